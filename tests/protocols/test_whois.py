"""Whois is known by words that only its servers say."""

from __future__ import annotations

import pytest

from portbook.protocols.whois import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "RIPE, by its documentation",
        None,
        None,
        answers=(
            (b"\r\n", b"% This is the RIPE Database query service.\r\n% The objects are in RPSL format.\r\n\r\n"),
        ),
        ends=True,
    ),
    Recorded("whoisd", None, "2.1", answers=((b"\r\n", b"Whoisd server 2.1: no query given\r\n"),), ends=True),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'No match for "GET / HTTP/1.1".\r\n>>> Last update of whois database: 2026 <<<\r\n', True),
        (b"%rwhois V-1.5:003fff:00 rwhois.example (by Network Solutions, Inc. V-1.5.9.5)\r\n", True),
        (b"%ERROR:106: no search key specified\r\n", True),
        (b"", False),
        (b"% whois", False),
        (b"220 whois.example ESMTP\r\n", False),
        (b"HTTP/1.1 200 whois\r\n", False),
        (b"hello\r\n", False),
    ],
)
def test_only_its_own_words_count(data: bytes, expected: bool) -> None:
    assert (recognise(data) is not None) == expected
