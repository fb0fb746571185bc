"""The client of DNS with servers that answer right, wrong and anything at all."""

from __future__ import annotations

import socket
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.lab.clients.dialogue import NotSpoken
from portbook.lab.clients.names import dns

from .peer import dialogue

KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


def reply(asked: bytes, flags: int = 0x8400, code: int = 0, record: bytes = b"") -> bytes:
    """Return the answer to a question as it came by a datagram: with one record, or with none."""
    end = asked.index(b"\0", 12) + 5
    return asked[:2] + pack("!5H", flags | code, 1, int(bool(record)), 0, 0) + asked[12:end] + record


def text(data: bytes, name: bytes = b"\xc0\x0c", kind: int = 16) -> bytes:
    return name + pack("!HHIH", kind, 3, 0, len(data) + 1) + bytes((len(data),)) + data


def told(asked: bytes, stream: bool, **more: object) -> bytes:
    """Return the same by either transport; a version.bind is told to whoever asks in the space CH."""
    question = asked[2:] if stream else asked
    assert not stream or int.from_bytes(asked[:2], "big") == len(question)
    record = {"record": text(b"names 1.2")} if b"\7version\4bind" in question else {}
    made = reply(question, **{**record, **more})  # type: ignore[arg-type]
    return len(made).to_bytes(2, "big") + made if stream else made


@pytest.mark.parametrize("kind", KINDS)
def test_it_returns_what_the_server_calls_itself(kind: socket.SocketKind) -> None:
    stream = kind == socket.SOCK_STREAM
    assert dns(dialogue(lambda asked: told(asked, stream), kind)) == "names 1.2"
    full = text(b"names 1.2", name=b"\7VERSION\4BIND\0")
    assert dns(dialogue(lambda asked: told(asked, stream, record=full), kind)) == "names 1.2"


def test_a_server_may_keep_its_version_to_itself() -> None:
    def refusing(asked: bytes) -> bytes:
        return reply(asked, code=5 if b"version" in asked else 0)

    assert dns(dialogue(refusing)) is None
    assert dns(dialogue(reply)) is None


def test_only_streams_are_asked_to_stay() -> None:
    asked: list[bytes] = []

    def noting(question: bytes) -> bytes:
        asked.append(question)
        return b"\0\0"

    for kind in KINDS:
        with pytest.raises(NotSpoken):
            dns(dialogue(noting, kind))
    assert [question[-6:] == pack("!HHH", 4, 11, 0) for question in asked] == [False, True]


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: asked,  # an echo
        lambda asked: b"",
        lambda asked: reply(asked)[:11],
        lambda asked: reply(asked, code=3),
        lambda asked: reply(bytes((asked[0] ^ 1,)) + asked[1:]),
        lambda asked: reply(asked).replace(b"\3lab", b"\3bal"),
        lambda asked: reply(asked, record=text(b"x", kind=1) if b"version" in asked else b""),
        lambda asked: reply(asked, record=text(b"x", name=b"\7version") if b"version" in asked else b""),
        lambda asked: reply(asked, record=text(b"x")[:-2] if b"version" in asked else b""),
    ],
)
def test_what_is_no_answer_is_told_from_one(answer: object) -> None:
    with pytest.raises((NotSpoken, TimeoutError)):
        dns(dialogue(answer))  # type: ignore[arg-type]


@given(st.binary(max_size=80), st.booleans())
def test_whatever_comes_raises_nothing_else(data: bytes, mine: bool) -> None:
    def answer(asked: bytes) -> bytes:
        return reply(asked, record=data if b"version" in asked else b"") if mine else data

    with suppress(NotSpoken, TimeoutError):
        dns(dialogue(answer))
