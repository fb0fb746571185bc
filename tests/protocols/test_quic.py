"""QUIC is proven by a negotiation of versions that gives both connection ids back."""

from __future__ import annotations

from portbook.protocols.quic import converse, recognise

from .asking import ask, cut_short, finds_only_its_own


def _answer(question: bytes) -> bytes:
    # Caddy 2.6.2 (quic-go).
    theirs, own = question[5:14], question[14:23]
    return b"\xea\0\0\0\0" + own + theirs + bytes.fromhex("00000001 ff00001d 5a6a7a8a")


def test_the_versions_are_named() -> None:
    finds_only_its_own(converse, _answer, "quic")
    found = ask(converse, _answer).finding
    assert found is not None
    assert found.banner == "QUIC 1, draft-29"


def test_the_question_is_long_enough_and_of_no_version() -> None:
    (question,) = ask(converse, _answer).said
    assert len(question) == 1200
    assert question[1:5] == bytes.fromhex("1a2a3a4a")


def test_captured_answers_are_recognised() -> None:
    answer = _answer(ask(converse, _answer).said[0])
    cut_short(recognise, answer, "quic")
    assert recognise(b"\x7a" + answer[1:]) is None
    assert recognise(b"\x80\0\0\0\0\x08") is None
