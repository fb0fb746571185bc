"""Which programs serve and ask: the real servers of each kind in order of preference, and our own.

How each real server is run is in the modules of servers/. Where none is installed, or the plan asks for what only
ours can do, it is serve.py's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from portbook.errors import N_, Unavailable
from portbook.lab.network import needed_packages
from portbook.lab.scenario import SERVICE_OPTIONS
from portbook.lab.servers import (
    chat,
    clocks,
    databases,
    desktops,
    dhcp,
    ftp,
    mail,
    management,
    names,
    news,
    shells,
    telephony,
    web,
)
from portbook.lab.servers.program import Program, installed, may_become_others

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portbook.lab.scenario import ClientPlan, Scenario, ServicePlan
    from portbook.lab.servers.program import Candidate

CANDIDATES: Mapping[str, tuple[Candidate, ...]] = {
    "http": web.HTTP,
    "https": web.HTTPS,
    "ftp": ftp.FTP,
    "ssh": shells.SSH,
    "syslog": management.SYSLOG,
    "snmp": management.SNMP,
    "ntp": clocks.CLOCKS,
    "dhcp-client": dhcp.CLIENTS,
    "dhcp": dhcp.SERVERS,
    "dns": names.DNS,
    "telnet": shells.TELNET,
    "mysql": databases.MYSQL,
    "postgresql": databases.POSTGRESQL,
    "redis": databases.REDIS,
    "memcached": databases.MEMCACHED,
    "smtp": mail.SMTP,
    "smtps": mail.SMTPS,
    "pop3": mail.POP3,
    "pop3s": mail.POP3,
    "imap": mail.IMAP,
    "imaps": mail.IMAP,
    "nntp": news.NNTP,
    "irc": chat.IRC,
    "sip": telephony.SIP,
    "rdp": desktops.RDP,
    "vnc": desktops.VNC,
}
"""The real servers of each kind, the preferred one first."""

OURS = ("http", "https", "ftp", "ssh", "echo", "sink")
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
    present = present_for(service)
    allowed = [one for one in present if may_become_others() or not one.needs_users]
    # A real server has its own mind about these.
    ours = service.kind in OURS and any(value is not SERVICE_OPTIONS[option] for option, value in service.options)
    for candidate in allowed if service.program is not None or not ours else ():
        path = installed(candidate.name)
        if path is not None:
            return Chosen(candidate.name, candidate.product, candidate.prepare(path, service, folder))
    if ours_may_serve(service):
        return Chosen("python", "Python", _ours(service))
    if present:
        raise Unavailable(
            N_("{service} has no server that works without root: run portbook lab as root"), service=service.name
        )
    raise Unavailable(
        N_(
            "{service} needs one of these packages: {packages}; portbook lab install installs what a scenario needs,"
            " without starting it on this host"
        ),
        service=service.name,
        packages=", ".join(one.package for one in _able(service)),
    )


def without_spare(scenario: Scenario) -> tuple[Scenario, tuple[ServicePlan, ...]]:
    """Return a scenario without the optional services that no program here serves, and their clients; and these."""
    left = tuple(one for one in scenario.services if one.optional and not _can_be_served(one))
    places = {(one.host, one.port) for one in left}
    return (
        replace(
            scenario,
            services=tuple(one for one in scenario.services if one not in left),
            clients=tuple(one for one in scenario.clients if (one.server, one.port) not in places),
        ),
        left,
    )


def _can_be_served(service: ServicePlan) -> bool:
    if ours_may_serve(service):
        return True
    return any(may_become_others() or not one.needs_users for one in present_for(service))


def ours_may_serve(service: ServicePlan) -> bool:
    """Return whether Python's own server speaks what a service does, and no other is asked for."""
    return service.kind in OURS and service.program in (None, "python")


def _able(service: ServicePlan) -> tuple[Candidate, ...]:
    """Return the servers that a service may have."""
    return tuple(one for one in CANDIDATES.get(service.kind, ()) if service.program in (None, one.name))


def present_for(service: ServicePlan) -> tuple[Candidate, ...]:
    """Return the real servers that a service may have and that are installed."""
    return tuple(one for one in _able(service) if all(map(installed, (one.name, *one.needs))))


def packages(scenario: Scenario) -> tuple[str, ...]:
    """Return the Debian packages that a scenario lacks or has: of its servers, and of what its network needs."""
    wanted = list(needed_packages(scenario).values())
    for service in scenario.services:
        wanted += packages_of(service)
    return tuple(dict.fromkeys(wanted))


def packages_of(service: ServicePlan) -> tuple[str, ...]:
    """Return the Debian packages of the server that a service has: the first installed, else the preferred one."""
    first = (present_for(service) or _able(service))[:1]
    return tuple(package for one in first for package in one.packages)


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
