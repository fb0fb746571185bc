"""The identification protocol: a query for ports that cannot be, so that no user is named (RFC 1413)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_REPLY = re.compile(
    rb"\s*(?:\d{1,5}\s*,\s*\d{1,5}\s*:\s*(ERROR)\s*:\s*([A-Z][\w-]{1,30})"
    rb"|[^:\n]{0,300}:\s*(USERID)\s*:\s*([\w./-]{1,60})[^:\n]*:[^\n]*)\s*\n"
)
"""Some servers name a user whatever is asked, and repeat it."""


def recognise(data: bytes) -> Finding | None:
    """Return what a reply proves; the user that one names is left out."""
    reply = _REPLY.match(data[:1024])
    if reply is None:
        return None
    return Finding("auth", banner=text(reply[1] or reply[3]) + " : " + text(reply[2] or reply[4]))


def converse(asked: Asked) -> Conversation:
    """Ask for whom port 0 is a connection to port 0, which nothing can be."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    line = yield from server.line(b"0, 0\r\n")
    yield Say(farewell=True)
    return None if line is None else recognise(line + b"\r\n")


PROTOCOL = Protocol("auth", (113,), recognise=recognise, converse=converse)
