"""DCE RPC, as Windows has it: a bind to the endpoint mapper, and the greeting of RPC over HTTP (C706, MS-RPCE)."""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_MAPPER = bytes.fromhex("0883afe1 1f5d c911 91a4 08002b14a0fa 03000000")
_NDR = bytes.fromhex("045d888a eb1c c911 9fe8 08002b104860 02000000")
_ACK, _NAK, _FAULT = 12, 13, 3


def _bind(number: bytes) -> bytes:
    """Return a bind to the endpoint mapper, version 3 (C706, section 12.6.4.3)."""
    body = bytes.fromhex("d016 d016 00000000 01 000000 0000 01 00") + _MAPPER + _NDR
    return bytes.fromhex("05000b03 10000000") + (16 + len(body)).to_bytes(2, "little") + b"\0\0" + number + body


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to a bind proves: the endpoint mapper's where it accepts, otherwise some DCE RPC."""
    if len(data) < 24 or data[:2] != b"\x05\0" or data[2] not in (_ACK, _NAK) or data[4:8] != b"\x10\0\0\0":
        return None
    length = int.from_bytes(data[8:10], "little")
    if not 18 <= length <= 4096:
        return None
    if data[2] == _NAK:
        return Finding("epmap", banner="bind refused", certain=False)
    named = 26 + int.from_bytes(data[24:26], "little")
    place = (named + 3) & ~3
    address = text(data[26:named]).rstrip("\0")
    if len(data) < place + 8 or len(data) < length or not data[place] or not address.isprintable():
        return None
    accepted = data[place + 4 : place + 6] == b"\0\0"
    return Finding("epmap", banner=f"endpoint {address}" if address else None, certain=accepted)


def converse(asked: Asked) -> Conversation:
    """Bind, and go."""
    if asked.heard:
        return None
    server = Reader()
    number = asked.numbers[:4]
    if not (yield from server.more(_bind(number))):
        return None
    head = yield from server.exactly(16)
    if head is None or head[:2] != b"\x05\0" or head[12:] != number:
        return None
    rest = yield from server.exactly(max(0, min(int.from_bytes(head[8:10], "little"), 4096) - 16))
    yield Say(farewell=True)
    return None if rest is None else recognise(head + rest)


def recognise_http(data: bytes) -> Finding | None:
    """Return what the greeting of RPC over HTTP proves (MS-RPCH, section 2.1.1.2.1)."""
    return Finding("http-rpc-epmap", banner="ncacn_http/1.0") if data.startswith(b"ncacn_http/1.0") else None


PROTOCOLS = (
    Protocol("epmap", (135,), recognise=recognise, converse=converse),
    Protocol("http-rpc-epmap", (593,), greets=True, recognise=recognise_http),
)
