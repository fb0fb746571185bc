"""Kafka's brokers say which requests they take, whoever asks."""

from __future__ import annotations

import struct

import pytest

from portbook.protocols.kafka import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

NUMBER = ASKED.numbers[:4]
QUESTION = b"\0\0\0\x0a\0\x12\0\0" + NUMBER


def _answer(entries: list[tuple[int, int, int]], error: int = 0, number: bytes = NUMBER) -> bytes:
    body = number + struct.pack(">hi", error, len(entries)) + b"".join(struct.pack(">hhh", *one) for one in entries)
    return len(body).to_bytes(4, "big") + body


# The requests of Kafka 3.7 (its protocol guide), shortened.
ENTRIES = [(0, 0, 10), (1, 0, 16), (2, 0, 8), (3, 0, 12), (8, 0, 9), (17, 0, 1), (18, 0, 3), (19, 0, 7), (36, 0, 2)]
RECORDED = (
    Recorded("Kafka 3.7", None, None, answers=((QUESTION, _answer(ENTRIES)),)),
    Recorded("a broker that wants another version", None, None, answers=((QUESTION, _answer([(18, 1, 4)], 35)),)),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_it_tells_what_it_takes(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_how_many_requests_are_the_banner() -> None:
    assert known(PROTOCOL, RECORDED[0]).banner == "ApiVersions 0-3, 9 requests"


@pytest.mark.parametrize(
    "data",
    [
        _answer(ENTRIES, number=b"zzzz"),
        _answer([(0, 0, 9), (1, 0, 11)]),
        _answer([(18, 3, 1)]),
        _answer([(18, 0, 3), (18, 0, 3)]),
        _answer(ENTRIES, error=7),
        b"\0\0\0\0",
        b"\x7f\xff\xff\xff" + NUMBER,
    ],
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]


def test_a_caught_answer_is_recognised_by_its_lengths() -> None:
    found = recognise(_answer(ENTRIES, number=b"zzzz"))
    assert found is not None
    assert found.service == "kafka"
