"""Servers of chat: ngIRCd and InspIRCd, with their limits so high that no plan meets them."""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, addresses, user_among, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_MANY = 100_000
"""More clients, and more commands of one, than any plan has."""


def _ngircd(path: str, service: ServicePlan, folder: str) -> Program:
    parts = {
        "Global": {
            "Name": _name(service),
            "Info": "portbook lab",
            "AdminInfo1": service.name,
            "AdminEMail": f"root@{_name(service)}",
            "Listen": ",".join(addresses(service)),
            "Ports": str(service.port),
            "MotdPhrase": f"Here is {service.name}.",
        },
        # 0 is no limit.
        "Limits": {"MaxConnections": "0", "MaxConnectionsIP": "0", "MaxJoins": "0", "MaxPenaltyTime": "0"},
        "Options": {"DNS": "no", "Ident": "no", "PAM": "no"},
    }
    lines = (
        line
        for part, settings in parts.items()
        for line in (f"[{part}]", *(f"{name} = {value}" for name, value in settings.items()))
    )
    return Program(
        (path, "--nodaemon", "--config", f"{folder}/ngircd.conf"),
        version(path, "--version", pattern=r"ngIRCd ([\d.]+)"),
        (("ngircd.conf", "\n".join(lines) + "\n"),),
        user=user_among("irc"),
    )


def _inspircd(path: str, service: ServicePlan, folder: str) -> Program:
    many = f'threshold="{_MANY}" localmax="{_MANY}" globalmax="{_MANY}" commandrate="{_MANY}"'
    lines = (
        f'<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">',
        f'<server name="{_name(service)}" description="portbook lab" network="lab">',
        f'<admin name="{service.name}" nick="root" email="root@{_name(service)}">',
        *(f'<bind address="{address}" port="{service.port}" type="clients">' for address in addresses(service)),
        '<power diepass="" restartpass="">',
        f'<connect allow="*" timeout="1m" pingfreq="1h" {many} fakelag="no" resolvehostnames="no">',
        f'<performance softlimit="{_MANY}" somaxconn="1024">',
        f'<pid file="{folder}/pid">',
        f'<files motd="{folder}/motd">',
    )
    user = user_among("irc")
    return Program(
        (path, "--nofork", "--config", f"{folder}/inspircd.conf", *(() if user else ("--runasroot",))),
        version(path, "--version", pattern=r"InspIRCd-([\d.]+)"),
        (("inspircd.conf", "\n".join(lines) + "\n"), ("motd", f"Here is {service.name}.\n")),
        user=user,
    )


def _name(service: ServicePlan) -> str:
    """Return the server's name, which must have a dot."""
    return f"{service.host}.lab"


IRC = (
    # It becomes another user, or does not run.
    Candidate("ngircd", "ngIRCd", "ngircd", _ngircd, needs_users=True),
    Candidate("inspircd", "InspIRCd", "inspircd", _inspircd),
)
