"""MongoDB: hello in its oldest form, which every version answers, then buildInfo (Wire Protocol and BSON 1.1)."""

from __future__ import annotations

import struct

from portbook.errors import N_, Malformed
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from portbook.protocols.conversation import Heard, StartTls

    Reply: TypeAlias = Generator[Say | StartTls, Heard, dict[str, object] | None]

_OVER_HTTP = b"It looks like you are trying to access MongoDB over HTTP on the native driver port."
_REPLY, _MESSAGE, _QUERY = 1, 2013, 2004
_SIZES = {1: 8, 7: 12, 8: 1, 9: 8, 16: 4, 17: 8, 18: 8, 19: 16, 6: 0, 10: 0, 127: 0, 255: 0}
_MODERN = 6
"""The lowest maxWireVersion that understands OP_MSG, that of MongoDB 3.6."""


def _document(**elements: str | int) -> bytes:
    """Return a BSON document of strings and 32-bit integers; `db` stands for `$db`."""
    inner = b""
    for key, value in elements.items():
        name = (b"$db" if key == "db" else key.encode()) + b"\0"
        if isinstance(value, int):
            inner += b"\x10" + name + value.to_bytes(4, "little")
        else:
            told = value.encode() + b"\0"
            inner += b"\x02" + name + len(told).to_bytes(4, "little") + told
    return (len(inner) + 5).to_bytes(4, "little") + inner + b"\0"


def _read(data: bytes, depth: int = 3) -> dict[str, object]:
    """Return the elements of a BSON document that are texts, numbers, truths or documents. Raises Malformed."""
    if len(data) < 5 or int.from_bytes(data[:4], "little") > len(data):
        raise Malformed
    data = data[: int.from_bytes(data[:4], "little")]
    place = 4
    found: dict[str, object] = {}
    while place < len(data) and data[place]:
        kind = data[place]
        end = data.find(b"\0", place + 1)
        if end < 0:
            raise Malformed
        key = text(data[place + 1 : end])
        place = end + 1
        size = int.from_bytes(data[place : place + 4], "little")
        if kind in (2, 13, 14):
            found[key] = text(data[place + 4 : place + 3 + size])
            size += 4
        elif kind in (3, 4):
            if depth:
                found[key] = _read(data[place : place + size], depth - 1)
        elif kind == 5:
            size += 5
        elif kind in _SIZES:
            value, size = data[place : place + _SIZES[kind]], _SIZES[kind]
            if kind in (16, 18):
                found[key] = int.from_bytes(value, "little", signed=True)
            elif kind == 1 and len(value) == 8:
                found[key] = struct.unpack("<d", value)[0]
            elif kind == 8:
                found[key] = value == b"\1"
        else:
            raise Malformed
        place += size
        if place > len(data):
            raise Malformed
    return found


def _body(data: bytes) -> dict[str, object] | None:
    """Return the document of a reply, {} where it is cut short or odd inside, None where it is not a reply."""
    if len(data) < 36:
        return None
    length, _, _, code, flags = struct.unpack("<iiiii", data[:20])
    if code == _REPLY and 36 <= length <= 1 << 20:
        *_, number = struct.unpack("<qii", data[20:36])
        start = 36
        fits = 0 <= flags < 16 and number <= 1
    elif code == _MESSAGE and 26 <= length <= 1 << 20:
        start = 21
        fits = 0 <= flags & 0xFFFF < 4 and data[20] == 0
    else:
        return None
    inner = int.from_bytes(data[start : start + 4], "little")
    if not fits or not 5 <= inner <= length - start or length - start - inner not in (0, 4):
        return None
    try:
        return _read(data[start:length])
    except Malformed:
        return {}


def recognise(data: bytes) -> Finding | None:
    """Return what a reply proves, or the words with which a server answers HTTP."""
    if data.startswith(b"HTTP/1.") and _OVER_HTTP in data[:1024]:
        return Finding("mongodb", "MongoDB", banner=text(_OVER_HTTP))
    told = _body(data)
    return _told(told) if told and ("ok" in told or "ismaster" in told) else None


def _told(told: dict[str, object], version: dict[str, object] | None = None) -> Finding:
    """Return what a hello tells, and a buildInfo where it was answered."""
    wire = told.get("maxWireVersion")
    banner = f"maxWireVersion {wire}" if isinstance(wire, int) else None
    replicas = told.get("setName")
    if banner and isinstance(replicas, str):
        banner += f", replica set {replicas}"
    elif banner and told.get("msg") == "isdbgrid":
        banner += ", mongos"
    me = told.get("me")
    finding = Finding("mongodb", banner=banner, server_name=me.rpartition(":")[0] if isinstance(me, str) else None)
    version = told if version is None else version
    number = version.get("version")
    if not isinstance(number, str) or "gitVersion" not in version:
        error = version.get("errmsg")
        if version.get("ok") == 0 and isinstance(error, str):
            asks = N_("it asks for a password") if version.get("code") == 13 else None
            return finding._replace(banner=banner or error, note=asks)
        return finding
    percona, ferret = version.get("psmdbVersion"), version.get("ferretdb")
    if isinstance(percona, str):
        return finding._replace(product="Percona Server for MongoDB", version=percona)
    if isinstance(ferret, dict) or "ferretdbVersion" in version:
        own = ferret.get("version") if isinstance(ferret, dict) else version["ferretdbVersion"]
        return finding._replace(product="FerretDB", version=own.removeprefix("v") if isinstance(own, str) else None)
    return finding._replace(product="MongoDB", version=number)


def _reply(server: Reader, question: bytes, number: bytes) -> Reply:
    """Ask, and return the document of the reply to it."""
    if not (yield from server.more(question)):
        return None
    head = yield from server.exactly(16)
    if head is None or head[8:12] != number or not 26 <= int.from_bytes(head[:4], "little") <= 60000:
        return None
    rest = yield from server.exactly(int.from_bytes(head[:4], "little") - 16)
    return None if rest is None else _body(head + rest)


def converse(asked: Asked) -> Conversation:
    """Ask what it is and what it was built from; both may be asked without a log-in."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    first, second = asked.numbers[:3] + b"\0", asked.numbers[3:6] + b"\0"
    told = yield from _reply(server, _query(first, _document(isMaster=1)), first)
    if told is None or not ("maxWireVersion" in told or "ismaster" in told or "ok" in told):
        return None if told is None else recognise(bytes(server.data))
    wire = told.get("maxWireVersion")
    if isinstance(wire, int) and wire >= _MODERN:
        question = bytes(4) + b"\0" + _document(buildInfo=1, db="test")
        question = struct.pack("<i4sii", len(question) + 16, second, 0, _MESSAGE) + question
    else:
        question = _query(second, _document(buildInfo=1))
    version = yield from _reply(server, question, second)
    yield Say(farewell=True)
    return _told(told, version or {})


def _query(number: bytes, document: bytes) -> bytes:
    """Return an OP_QUERY for one document of the commands."""
    inner = bytes(4) + b"test.$cmd\0" + bytes(4) + b"\xff\xff\xff\xff" + document
    return struct.pack("<i4sii", len(inner) + 16, number, 0, _QUERY) + inner


PROTOCOL = Protocol("mongodb", (27017, 27018, 27019), recognise=recognise, converse=converse)
