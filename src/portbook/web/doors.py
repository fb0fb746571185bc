"""What the answer of a port means to the person whose port it is, and what to do: one sentence each.

The words of a state are here; what the evidence is, the test itself tells.
"""

from __future__ import annotations

from typing import NamedTuple

from portbook.columns import pack_address
from portbook.endpoint import reach
from portbook.errors import N_


class Door(NamedTuple):
    """What a state is called, what it means and what can be done: message ids without fields."""

    name: str
    meaning: str
    advice: str


DOORS = {
    "open": Door(
        N_("open"),
        N_("A program answered: anybody on the internet can reach it."),
        N_("If you want it to be found, all is well. If not, stop the program, or close the port in your firewall."),
    ),
    "closed": Door(
        N_("closed"),
        N_("Your host answered that no program listens there."),
        N_("If it should be open, start the program, and have it listen on this address and not on 127.0.0.1 alone."),
    ),
    "rejected": Door(
        N_("rejected"),
        N_("A firewall or a router refused the connection and said so."),
        N_("If it should be open, allow the port in the firewall of your host or your router."),
    ),
    "filtered": Door(
        N_("filtered"),
        N_("Nothing answered: a firewall drops what comes, or a router does not know whom to pass it to."),
        N_("If it should be open, allow it in the firewall, and forward the port in your router to the host."),
    ),
    "open|filtered": Door(
        N_("open or filtered"),
        N_("Nothing answered; UDP programs that are not spoken to in their own way stay silent too."),
        N_("Ask with the program's own client from outside, or look on the host with: portbook who"),
    ),
    "unreachable": Door(
        N_("unreachable"),
        N_("This server found no way to your address."),
        N_("Try again later, or with your other address (IPv4 or IPv6)."),
    ),
    "error": Door(
        N_("error"),
        N_("The test itself failed here; nothing is known of your port."),
        N_("Try again later."),
    ),
}
"""Every state of a test of an address of the internet, the best known first."""

_OPEN_HERE = DOORS["open"]._replace(
    meaning=N_("A program on this host answered; who else can reach it depends on the address it listens on."),
    advice=N_("To see which program it is, and who can reach it, run: portbook who"),
)
_OPEN_IN_NETWORK = DOORS["open"]._replace(meaning=N_("A program answered: every host of your network can reach it."))
_CLOSED_HERE = DOORS["closed"]._replace(advice=N_("If it should be open, start the program."))
_MAIL = DOORS["filtered"]._replace(
    advice=N_("Most providers block port 25 (mail) for their customers: then only your provider can open it.")
)


def door(port: int, state: str, ip: str) -> Door:
    """Return what a state of a port means, by how far the address reaches."""
    far = reach(pack_address(ip))
    if far == "loopback" and state in ("open", "closed"):
        return _OPEN_HERE if state == "open" else _CLOSED_HERE
    if far in ("private", "link") and state == "open":
        return _OPEN_IN_NETWORK
    if port == 25 and state == "filtered":
        return _MAIL
    return DOORS[state]


def doors(ip: str) -> dict[str, Door]:
    """Return what every state means for the ports of an address."""
    return {state: door(0, state, ip) for state in DOORS}
