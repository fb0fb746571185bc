"""Clients of the smallest services: echo (RFC 862) and discard (RFC 863)."""

from __future__ import annotations

import socket

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_WORD = b"portbook\r\n"


def echo(dialogue: Dialogue) -> None:
    """Send a word and get it back."""
    dialogue.say(_WORD)
    if dialogue.until(b"\n") != _WORD:
        raise NotSpoken("this is no echo")


def sink(dialogue: Dialogue) -> None:
    """Send a word; nobody answers, but a closed UDP port would."""
    dialogue.say(_WORD)
    if dialogue.connection.type == socket.SOCK_DGRAM:
        dialogue.heed_refusal()
