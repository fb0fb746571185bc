"""Time servers: chrony, NTPsec. They tell the machine's time, and have no right to set its clock (CAP_SYS_TIME).

They answer as a server of stratum 10 does that has nobody to ask (RFC 5905, section 7.3).
"""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, insist_on_port, user_among, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_PORT = 123


def _chronyd(path: str, service: ServicePlan, folder: str) -> Program:
    lines = [
        f"port {service.port}",
        *([] if service.address is None else [f"bindaddress {service.address}"]),
        "allow",
        "local stratum 10",
        "cmdport 0",
        "bindcmdaddress /",
        f"pidfile {folder}/chronyd.pid",
    ]
    family = () if service.address is None else ("-6" if ":" in service.address else "-4",)
    user = user_among("_chrony")
    # -x: it leaves the clock alone; -U: it need not be root; -u: nor become anybody.
    return Program(
        (path, "-d", "-x", "-U", "-u", user or "root", *family, "-f", f"{folder}/chrony.conf"),
        version(path, "-v", pattern=r"version ([\d.]+\d)"),
        (("chrony.conf", "\n".join(lines) + "\n"),),
        user=user,
    )


def _ntpd(path: str, service: ServicePlan, folder: str) -> Program:
    insist_on_port(service, "ntpd", _PORT)
    # "all" is neither the unspecified addresses nor those of loopback; what is said last holds.
    alone = [*(f"ignore {name}" for name in ("wildcard", "lo", "all")), f"listen {service.address}"]
    lines = [
        *([] if service.address is None else [f"interface {what}" for what in alone]),
        # The clock of its own host is what it trusts, at once.
        "refclock local stratum 9 minpoll 3 maxpoll 3 iburst prefer",
        "tos minsane 1",
        f"statsdir {folder}/",
    ]
    # It wants to be root, and would set the clock whatever is configured: no right of root's is left but to the port.
    return Program(
        (
            *("setpriv", "--bounding-set", "-all,+net_bind_service", "--inh-caps", "-all"),
            *(path, "-n", "-c", f"{folder}/ntp.conf"),
        ),
        version(path, "--version", pattern=r"ntpsec-([\d.]+)"),
        (("ntp.conf", "\n".join(lines) + "\n"),),
    )


CLOCKS = (
    Candidate("chronyd", "chrony", "chrony", _chronyd),
    Candidate("ntpd", "NTPsec", "ntpsec", _ntpd),
)
