"""AMQP: the header of version 0-9-1, and what the broker tells in Connection.Start or in the header it wants."""

from __future__ import annotations

import struct

from portbook.errors import Malformed
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_HEADER = b"AMQP\0\0\x09\x01"
_START = b"\0\x0a\0\x0a"
_VERSIONS = {
    b"\0\0\x09\x01": "0-9-1",
    b"\x01\x01\0\x09": "0-9",
    b"\x01\x01\x09\x01": "0-9-1",
    b"\x01\x01\x08\0": "0-8",
    b"\x01\x01\0\x0a": "0-10",
    b"\0\x01\0\0": "1.0",
    b"\x02\x01\0\0": "1.0",
    b"\x03\x01\0\0": "1.0",
}
"""The headers: of 0-9-1 (section 4.2.2), and of 1.0 bare, for TLS and for SASL (section 5)."""

_SIZES = dict(zip(b"tbBUsuIiLlfdDTV", (1, 1, 1, 2, 2, 2, 4, 4, 8, 8, 4, 8, 5, 8, 0), strict=True))
"""How long a value of a field table is, by its type."""


def _table(data: bytes) -> dict[str, str]:
    """Return the texts of a field table (0-9-1, section 4.2.5.5). Raises Malformed."""
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        end = place + 1 + data[place]
        key = text(data[place + 1 : end])
        kind = data[end : end + 1]
        place = end + 1
        if kind and kind in b"SxAF":
            size = int.from_bytes(data[place : place + 4], "big")
            if kind == b"S":
                found[key] = text(data[place + 4 : place + 4 + size])
            place += 4 + size
        elif kind and kind[0] in _SIZES:
            place += _SIZES[kind[0]]
        else:
            raise Malformed
        if place > len(data):
            raise Malformed
    return found


def recognise(data: bytes) -> Finding | None:
    """Return what Connection.Start proves, or the header that a broker answers to one it does not want."""
    if data[:4] == b"AMQP" and data[4:8] in _VERSIONS:
        return Finding("amqp", banner=f"AMQP {_VERSIONS[data[4:8]]}")
    if len(data) < 17 or data[:3] != b"\x01\0\0" or data[7:11] != _START:
        return None
    major, minor, size = struct.unpack(">BBI", data[11:17])
    if (major, minor) not in ((0, 9), (8, 0), (0, 10)) or size > 16384:
        return None
    told: dict[str, str] = {}
    try:
        told = _table(data[17 : 17 + size])
    except (Malformed, IndexError):
        if len(data) >= 17 + size:
            return None
    version = "0-9-1" if (major, minor) == (0, 9) else f"{major}-{minor}"
    product, number = told.get("product"), told.get("version")
    host = told.get("cluster_name", "").partition("@")[2]
    banner = " ".join(filter(None, (f"AMQP {version};" if product else f"AMQP {version}", product, number)))
    return Finding("amqp", product, number, banner, host or None)


def converse(asked: Asked) -> Conversation:
    """Offer version 0-9-1 and read what it answers; a broker that wants another says which."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    if not (yield from server.more(_HEADER)):
        return None
    head = yield from server.exactly(8)
    if head == _HEADER:
        return None
    if head is None or head[:3] != b"\x01\0\0":
        return recognise(head or b"")
    size = int.from_bytes(head[3:7], "big")
    rest = yield from server.exactly(min(size, 32768))
    yield Say(farewell=True)
    return recognise(head + (rest if rest is not None else bytes(server.data)))


PROTOCOL = Protocol("amqp", (5672,), recognise=recognise, converse=converse)
