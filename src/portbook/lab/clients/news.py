"""A client of news servers (RFC 3977)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue


def nntp(dialogue: Dialogue) -> str | None:
    """Ask what it can and which groups there are, and open the first. Returns the greeting."""
    greeting = dialogue.reply(None, b"20")
    dialogue.reply(b"CAPABILITIES", b"101")
    dialogue.block()
    dialogue.reply(b"LIST", b"215")
    groups = dialogue.block()
    if groups:
        dialogue.reply(b"GROUP " + groups[0].partition(b" ")[0], b"211")
    return greeting
