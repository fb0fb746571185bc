"""AJP 1.3: a CPing, which a servlet container answers whether or not it wants a secret (Tomcat's AJP description)."""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_CPING = bytes.fromhex("1234 0001 0a")
_CPONG = bytes.fromhex("4142 0001 09")


def recognise(data: bytes) -> Finding | None:
    """Return what a CPong proves."""
    return Finding("ajp13", banner="CPong") if data == _CPONG else None


def converse(asked: Asked) -> Conversation:
    """Ask whether it is alive."""
    if asked.heard:
        return None
    server = Reader()
    if not (yield from server.more(_CPING)):
        return None
    answer = yield from server.exactly(len(_CPONG))
    yield Say(farewell=True)
    return recognise((answer or b"") + bytes(server.data))


PROTOCOL = Protocol("ajp13", (8009,), recognise=recognise, converse=converse)
