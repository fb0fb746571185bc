"""Which packages a scenario needs, and what is said of a server that is not there."""

from __future__ import annotations

import pytest

from portbook.errors import Unavailable
from portbook.lab import scenario
from portbook.lab.programs import client_argv, packages, program_for
from portbook.lab.scenario import ClientPlan, ServicePlan


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("web-ftp", ("iproute2", "nginx-light")),
        ("client-server", ("iproute2", "nginx-light", "openssh-server")),
        ("gateway", ("iproute2", "nftables", "nginx-light")),
        ("closed-doors", ("iproute2", "nftables", "nginx-light")),
    ],
)
def test_the_packages_of_a_scenario(name: str, needed: tuple[str, ...]) -> None:
    assert packages(scenario.load(name)) == needed


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="nginx is not installed, or does not serve ssh"):
        program_for(ServicePlan("one", "server", "ssh", 22), "/nowhere", "nginx")


def test_a_plan_becomes_a_command() -> None:
    plan = ClientPlan("client", "echo", "server", 7, "udp", "ipv6", 1099, 3)
    assert client_argv(plan, "fd00:1::7")[1:] == (
        *("-m", "portbook.lab.talk", "echo", "fd00:1::7", "7", "--transport", "udp", "--count", "3"),
        *("--source-port", "1099", "--hold"),
    )
    assert client_argv(ClientPlan("client", "http", "server", 80, hold=False), "10.0.0.1")[-2:] == ("--count", "1")
