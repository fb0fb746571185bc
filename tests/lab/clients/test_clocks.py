"""The client of NTP with servers that know the time, and with others."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.lab.clients.clocks import ntp
from portbook.lab.clients.dialogue import NotSpoken

from .peer import dialogue


def reply(asked: bytes, first: int = 0x24, stratum: int = 10, time: bytes = b"\xe0" * 8) -> bytes:
    """Return a server's answer (RFC 5905, section 7.3)."""
    assert len(asked) == 48
    assert asked[0] == 0x23
    return bytes((first, stratum)) + bytes(22) + asked[40:] + bytes(8) + time


def test_a_server_that_knows_the_time_is_understood() -> None:
    ntp(dialogue(reply))
    ntp(dialogue(lambda asked: reply(asked, first=0xE4, stratum=1) + bytes(20)))


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: asked,  # an echo
        lambda asked: reply(asked)[:47],
        lambda asked: reply(asked, first=0x23),
        lambda asked: reply(asked, stratum=0),
        lambda asked: reply(asked, stratum=16),
        lambda asked: reply(asked, time=bytes(8)),
        lambda asked: reply(asked[:40] + bytes(8)),
    ],
)
def test_what_is_no_answer_is_told_from_one(answer: object) -> None:
    with pytest.raises(NotSpoken):
        ntp(dialogue(answer))  # type: ignore[arg-type]


def test_no_two_questions_are_alike() -> None:
    asked: set[bytes] = set()
    for _ in range(3):
        ntp(dialogue(lambda question: asked.add(question) or reply(question)))  # type: ignore[func-returns-value]
    assert len(asked) == 3


@given(st.binary(max_size=60))
def test_whatever_comes_raises_nothing_else(data: bytes) -> None:
    with suppress(NotSpoken, TimeoutError):
        ntp(dialogue(lambda asked: data))
