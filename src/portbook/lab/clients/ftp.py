"""A client of FTP servers (RFC 959)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue


def ftp(dialogue: Dialogue) -> str | None:
    """Log in and ask for the folder. Returns the greeting."""
    greeting = dialogue.reply(None, b"220")
    dialogue.reply(b"USER anonymous", b"331")
    dialogue.reply(b"PASS portbook@", b"230")
    dialogue.reply(b"PWD", b"257")
    return greeting
