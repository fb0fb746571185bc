"""Which programs serve and ask: the real servers of each kind in order of preference, and our own.

How each real server is run is in the modules of servers/. Where none is installed, or the plan asks for what only
ours can do, it is serve.py's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from portbook.errors import N_, Unavailable
from portbook.lab.scenario import SERVICE_OPTIONS
from portbook.lab.servers import shells, web
from portbook.lab.servers.program import Program, installed, may_become_others

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portbook.lab.scenario import ClientPlan, Scenario, ServicePlan
    from portbook.lab.servers.program import Candidate

CANDIDATES: Mapping[str, tuple[Candidate, ...]] = {
    "http": web.HTTP,
    "https": web.HTTPS,
    "ssh": shells.SSH,
}
"""The real servers of each kind, the preferred one first."""

OURS = ("http", "ftp", "ssh", "echo", "sink")
"""The kinds that Python's own server speaks."""


@dataclass(frozen=True)
class Chosen:
    """The server of a service: its program's name, the product it is, and how it is run."""

    name: str
    product: str
    program: Program


def choose(service: ServicePlan, folder: str) -> Chosen:
    """Return the server of a service, run from its private folder: the planned one, or the first that is installed.

    Raises Unavailable that names the packages where there is none.
    """
    named = service.program
    # A real server has its own mind about these.
    ours = service.kind in OURS and any(value is not SERVICE_OPTIONS[option] for option, value in service.options)
    rooted = False
    for candidate in CANDIDATES.get(service.kind, ()):
        if named not in (None, candidate.name) or (ours and named is None):
            continue
        path = installed(candidate.name)
        if path is None:
            continue
        if candidate.needs_users and not may_become_others():
            rooted = True
            continue
        return Chosen(candidate.name, candidate.product, candidate.prepare(path, service, folder))
    if named in (None, "python") and service.kind in OURS:
        return Chosen("python", "Python", _ours(service))
    if rooted:
        raise Unavailable(
            N_("{service} has no server that works without root: run portbook lab as root"), service=service.name
        )
    wanted = [one for one in CANDIDATES[service.kind] if named in (None, one.name)]
    raise Unavailable(
        N_(
            "{service} needs one of these packages: {packages}; portbook lab install installs what a scenario needs,"
            " without starting it on this host"
        ),
        service=service.name,
        packages=", ".join(one.package for one in wanted),
    )


def packages(scenario: Scenario) -> tuple[str, ...]:
    """Return the Debian packages that a scenario lacks or has: of its servers, and of what its network needs.

    Of each kind these are the packages of the server that would be used: the first installed, else the preferred.
    """
    routed = scenario.rules or scenario.published or any(host.masquerade for host in scenario.hosts)
    wanted = ["iproute2", *(["nftables"] if routed else [])]
    for service in scenario.services:
        able = [one for one in CANDIDATES.get(service.kind, ()) if service.program in (None, one.name)]
        present = [one for one in able if installed(one.name) is not None]
        wanted += [package for one in (present or able)[:1] for package in one.packages]
    return tuple(dict.fromkeys(wanted))


def client_argv(plan: ClientPlan, address: str) -> tuple[str, ...]:
    """Return the command that holds a plan's conversations with a server's address; see talk.main."""
    options = ["--transport", plan.transport, "--count", str(plan.count)]
    if plan.source_port is not None:
        options += ["--source-port", str(plan.source_port)]
    if plan.hold:
        options.append("--hold")
    return (sys.executable, "-m", "portbook.lab.talk", plan.kind, address, str(plan.port), *options)


def _ours(service: ServicePlan) -> Program:
    options = [f"--{'' if value else 'no-'}{option.replace('_', '-')}" for option, value in service.options]
    where = [] if service.address is None else ["--address", service.address]
    version = ".".join(map(str, sys.version_info[:3]))
    spoken = [word for transport in service.transports for word in ("--transport", transport)]
    what = [service.kind, "--name", service.name, "--port", str(service.port), *spoken]
    return Program((sys.executable, "-m", "portbook.lab.serve", *what, *where, *options), version)
