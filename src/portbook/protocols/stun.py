"""STUN: a Binding request, and the SOFTWARE of the answer (RFC 8489); servers of TURN answer it too."""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram, text
from portbook.protocols.software import software

_REQUEST = b"\0\1\0\0"
_ANSWERS = (b"\1\1", b"\1\x11")
_COOKIE = b"\x21\x12\xa4\x42"
_HEAD = 20
_SOFTWARE = b"\x80\x22"


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to a Binding request proves by its cookie; an attribute that is cut does not count."""
    size = int.from_bytes(data[2:4], "big")
    if len(data) < _HEAD or data[:2] not in _ANSWERS or data[4:8] != _COOKIE or size % 4:
        return None
    place, end = _HEAD, min(len(data), _HEAD + size)
    while place + 4 <= end:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place : place + 2] == _SOFTWARE and place + 4 + length <= end:
            told = text(data[place + 4 : place + 4 + length].rstrip(b"\0 "))
            product, version = software(told)
            return Finding("stun", product, version, told[:200] or None)
        place += 4 + (length + 3 & ~3)
    return Finding("stun")


def converse(asked: Asked) -> Conversation:
    """Ask which address this host has from there."""
    question = _REQUEST + _COOKIE + asked.numbers[:12]

    def fits(data: bytes) -> bool:
        return data[8:_HEAD] == question[8:] and recognise(data) is not None

    if asked.transport == "udp":
        answer = yield from datagram(question, fits)
        return None if answer is None else recognise(answer)
    server = Reader(asked.heard)
    head = yield from server.exactly(_HEAD, question)
    if head is None or not fits(head):
        return None
    rest = yield from server.exactly(int.from_bytes(head[2:4], "big"))
    yield Say(farewell=True)
    return recognise(head + (rest or b""))


PROTOCOL = Protocol("stun", (3478, 3479, 19302), ("udp", "tcp"), recognise=recognise, converse=converse)
