"""Small plans for the tests of what raises them."""

from __future__ import annotations

from portbook.lab.scenario import HostPlan, Network, Scenario, ServicePlan


def two_hosts(*services: ServicePlan) -> Scenario:
    """Return two hosts on one network, and services on `server`."""
    return Scenario(
        "two-hosts",
        "Two hosts",
        "They see each other.",
        (Network("net", "192.0.2.0/24", "2001:db8:2::/64"),),
        (
            HostPlan("client", (("net", "192.0.2.1/24"), ("net", "2001:db8:2::1/64"))),
            HostPlan("server", (("net", "192.0.2.2/24"), ("net", "2001:db8:2::2/64"))),
        ),
        services,
    )


def echo(name: str, port: int = 7, **more: object) -> ServicePlan:
    """Return the plan of an echo service, which is always our own server."""
    return ServicePlan(name, "server", "echo", port, **more)  # type: ignore[arg-type]
