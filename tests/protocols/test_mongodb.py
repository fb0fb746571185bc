"""MongoDB is asked as its drivers ask it first, and tells what it was built from."""

from __future__ import annotations

import struct

import pytest

from portbook.protocols.mongodb import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

FIRST, SECOND = ASKED.numbers[:3] + b"\0", ASKED.numbers[3:6] + b"\0"


def _element(key: str, value: object) -> bytes:
    name = key.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + name + bytes((value,))
    if isinstance(value, int):
        return b"\x10" + name + value.to_bytes(4, "little")
    if isinstance(value, float):
        return b"\x01" + name + struct.pack("<d", value)
    if isinstance(value, str):
        told = value.encode() + b"\0"
        return b"\x02" + name + len(told).to_bytes(4, "little") + told
    assert isinstance(value, dict)
    return b"\x03" + name + _document(value)


def _document(values: dict[str, object]) -> bytes:
    inner = b"".join(_element(key, value) for key, value in values.items())
    return (len(inner) + 5).to_bytes(4, "little") + inner + b"\0"


def _old(number: bytes, values: dict[str, object]) -> bytes:
    document = _document(values)
    return struct.pack("<ii4siiqii", 36 + len(document), 77, number, 1, 8, 0, 0, 1) + document


def _new(number: bytes, values: dict[str, object]) -> bytes:
    document = _document(values)
    return struct.pack("<ii4sii", 21 + len(document), 78, number, 2013, 0) + b"\0" + document


def _said(make: str, product: str | None, version: str | None, hello: dict[str, object], build: bytes) -> Recorded:
    return Recorded(
        make, product, version, answers=((_question(None), _old(FIRST, hello)), (_question(hello), build))
    )


def _question(hello: dict[str, object] | None) -> bytes:
    played = play(PROTOCOL.converse(ASKED), [] if hello is None else [_old(FIRST, hello)])  # type: ignore[misc]
    return played.said[-1][:8]


# As MongoDB's documentation of hello and buildInfo has them.
HELLO: dict[str, object] = {"ismaster": True, "topologyVersion": {"counter": 0}, "maxWireVersion": 21, "ok": 1.0}
BUILT: dict[str, object] = {"version": "7.0.14", "gitVersion": "ce59cfc6", "modules": {}, "bits": 64, "ok": 1.0}
OLDER: dict[str, object] = {
    "ismaster": True,
    "maxWireVersion": 5,
    "setName": "rs0",
    "me": "db1.example:27017",
    "ok": 1.0,
}
REFUSED: dict[str, object] = {"ok": 0.0, "errmsg": "command buildInfo requires authentication", "code": 13}
RECORDED = (
    _said("MongoDB 7.0", "MongoDB", "7.0.14", HELLO, _new(SECOND, BUILT)),
    _said("MongoDB 3.4", "MongoDB", "3.4.24", OLDER, _old(SECOND, {**BUILT, "version": "3.4.24"})),
    _said(
        "Percona", "Percona Server for MongoDB", "6.0.9-7", HELLO, _new(SECOND, {**BUILT, "psmdbVersion": "6.0.9-7"})
    ),
    _said("FerretDB", "FerretDB", "1.24.0", HELLO, _new(SECOND, {**BUILT, "ferretdb": {"version": "v1.24.0"}})),
    _said("MongoDB with a password", None, None, HELLO, _new(SECOND, REFUSED)),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_it_tells_what_it_is(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_a_member_of_a_set_tells_its_name() -> None:
    found = known(PROTOCOL, RECORDED[1])
    assert found.server_name == "db1.example"
    assert found.banner == "maxWireVersion 5, replica set rs0"


def test_older_servers_are_not_asked_in_the_newer_way() -> None:
    for hello, code in ((HELLO, 2013), (OLDER, 2004)):
        played = play(PROTOCOL.converse(ASKED), [_old(FIRST, hello)])  # type: ignore[misc]
        assert struct.unpack("<i", played.said[1][12:16]) == (code,)
        assert int.from_bytes(played.said[1][:4], "little") == len(played.said[1])


def test_the_words_to_http_prove_it() -> None:
    words = (
        b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\n"
        b"It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n"
    )
    found = recognise(words)
    assert found is not None
    assert found.product == "MongoDB"
    assert recognise(words[:100]) is None


def test_an_answer_to_something_else_does_not_count() -> None:
    assert play(PROTOCOL.converse(ASKED), [_old(b"\x09\0\0\0", HELLO)]).finding is None  # type: ignore[misc]


@pytest.mark.parametrize("length", [0, 35, 36, 2**31 - 1])
def test_lengths_that_lie_are_survived(length: int) -> None:
    reply = _old(FIRST, HELLO)
    for place in (0, 36, reply.index(b"topologyVersion") + 16):
        broken = reply[:place] + length.to_bytes(4, "little") + reply[place + 4 :]
        recognise(broken)
        play(PROTOCOL.converse(ASKED), [broken], ended="end")  # type: ignore[misc]
