"""The client of SNMP with agents that answer right, wrong and anything at all."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.lab.clients.dialogue import NotSpoken
from portbook.lab.clients.management import snmp

from .peer import dialogue

TEXT = b"An agent of a lab."
NAME = bytes.fromhex("06082b06010201010100")
HEAD = bytes.fromhex("0201010406") + b"public"


def element(tag: int, content: bytes, long: bool = False) -> bytes:
    """Return an element of BER, its length in one byte or in three."""
    size = b"\x82" + len(content).to_bytes(2, "big") if long else bytes((len(content),))
    return bytes((tag,)) + size + content


def number(asked: bytes) -> bytes:
    """Return the number of a request as it stands there: behind the heads of the message and of the unit."""
    assert asked[2:].startswith(HEAD)
    assert asked[2 + len(HEAD)] == 0xA0
    return asked[4 + len(HEAD) :][:6]


def reply(
    asked: bytes, tag: int = 0xA2, error: int = 0, name: bytes = NAME, value: int = 4, long: bool = False
) -> bytes:
    bindings = element(0x30, element(0x30, name + element(value, TEXT, long), long), long)
    return element(0x30, HEAD + element(tag, number(asked) + bytes((2, 1, error, 2, 1, 0)) + bindings, long), long)


@pytest.mark.parametrize("long", [False, True])
def test_it_returns_what_the_system_is(long: bool) -> None:
    assert snmp(dialogue(lambda asked: reply(asked, long=long))) == TEXT.decode()


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: asked,  # an echo
        lambda asked: reply(asked)[:-1],
        lambda asked: reply(asked, tag=0xA0),
        lambda asked: reply(asked, error=5),
        lambda asked: reply(asked, name=NAME[:-1] + b"\1"),
        lambda asked: reply(asked, value=0x80),  # noSuchObject
        lambda asked: reply(asked).replace(number(asked), b"\2\4\0\0\0\0"),
    ],
)
def test_what_is_no_answer_is_told_from_one(answer: object) -> None:
    with pytest.raises(NotSpoken):
        snmp(dialogue(answer))  # type: ignore[arg-type]


@given(st.binary(max_size=80), st.integers(0, 60))
def test_whatever_comes_raises_nothing_else(data: bytes, place: int) -> None:
    for damaged in (lambda asked: data, lambda asked: reply(asked)[:place] + data):
        with suppress(NotSpoken, TimeoutError):
            snmp(dialogue(damaged))
