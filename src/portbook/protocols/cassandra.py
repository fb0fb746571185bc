"""Cassandra's native protocol: an OPTIONS frame, which needs no log-in (CQL binary protocol v3 to v5)."""

from __future__ import annotations

import re

from portbook.errors import Malformed
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_OPTIONS = bytes.fromhex("03 00 0000 05 00000000")
"""In version 3, which all since 2.1 answer, if only by saying which they want."""

_SUPPORTED, _ERROR = 6, 0
_VERSION_ERROR = re.compile(r"[Ii]nvalid or unsupported protocol version")


def _strings(body: bytes) -> dict[str, list[str]]:
    """Return a string multimap. Raises Malformed."""
    place = 2
    found: dict[str, list[str]] = {}

    def string() -> str:
        nonlocal place
        end = place + 2 + int.from_bytes(body[place : place + 2], "big")
        if end > len(body) or place + 2 > len(body):
            raise Malformed
        told, place = text(body[place + 2 : end]), end
        return told

    for _ in range(int.from_bytes(body[:2], "big")):
        key = string()
        if place + 2 > len(body):
            raise Malformed
        number = int.from_bytes(body[place : place + 2], "big")
        place += 2
        found[key] = [string() for _ in range(number)]
    return found


def _frame(data: bytes) -> tuple[int, bytes] | None:
    """Return the opcode and the body of a response, which may be cut short, None where it is not one."""
    if data[:1] in (b"\x81", b"\x82"):
        head = 8
    elif data[:1] in (b"\x83", b"\x84", b"\x85", b"\x86"):
        head = 9
    else:
        return None
    length = int.from_bytes(data[head - 4 : head], "big")
    if len(data) < head + 6 or data[head - 5] not in (_SUPPORTED, _ERROR) or not 6 <= length < 32768:
        return None
    return data[head - 5], data[head : head + length]


def recognise(data: bytes) -> Finding | None:
    """Return what a SUPPORTED or an ERROR proves; a wrong question is answered with the latter."""
    frame = _frame(data)
    if frame is None:
        return None
    opcode, body = frame
    if opcode == _ERROR:
        code, length = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:6], "big")
        message = text(body[6 : 6 + length])
        if code != 0x0A or not _VERSION_ERROR.search(message):
            return None
        return Finding("cassandra-cql", banner=message)
    try:
        told = _strings(body)
    except Malformed:
        return None
    if "CQL_VERSION" not in told:
        return None
    banner = f"CQL {', '.join(told['CQL_VERSION'])}"
    versions = told.get("PROTOCOL_VERSIONS")
    if versions:
        banner += f"; protocol {', '.join(version.partition('/')[2] or version for version in versions)}"
    if any(key.startswith("SCYLLA_") for key in told):
        return Finding("cassandra-cql", "ScyllaDB", banner=banner)
    return Finding("cassandra-cql", "Apache Cassandra" if versions else None, banner=banner)


def converse(asked: Asked) -> Conversation:
    """Ask what it supports."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    if not (yield from server.more(_OPTIONS)):
        return None
    head = yield from server.exactly(9)
    if head is None or head[0] not in range(0x81, 0x87):
        return None
    # Versions 1 and 2 have a header of eight bytes.
    length = int.from_bytes(head[5:], "big") if head[0] > 0x82 else int.from_bytes(head[4:8], "big") - 1
    rest = yield from server.exactly(max(0, min(length, 32768)))
    yield Say(farewell=True)
    return recognise(head + (bytes(server.data) if rest is None else rest))


PROTOCOL = Protocol("cassandra-cql", (9042, 9142), recognise=recognise, converse=converse)
