"""Servers that speak by their standard input and output, and OpenBSD's inetd, which listens for them.

It starts one for each connection, and has a socket for each family.
"""

from __future__ import annotations

from portbook.lab.servers.program import addresses, bracketed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

PROGRAM, PACKAGE = "inetd", "openbsd-inetd"


def argv(folder: str) -> tuple[str, ...]:
    """Return the command that listens as `inetd.conf` in a folder says."""
    return (PROGRAM, "-i", "-q", "1024", f"{folder}/inetd.conf")


def configuration(service: ServicePlan, user: str, *command: str) -> tuple[str, str]:
    """Return the file `inetd.conf`: for each connection to a service this command is run as this user.

    No word of the command may hold a space: inetd knows no quotation.
    """
    lines = [
        # A thousand a second, where it would close the door for ten minutes after 256.
        f"{bracketed(address)}:{service.port} stream tcp{6 if ':' in address else 4} nowait.60000 {user}"
        f" {command[0]} {' '.join(command)}\n"
        for address in addresses(service)
    ]
    return "inetd.conf", "".join(lines)
