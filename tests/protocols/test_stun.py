"""STUN is proven by its cookie and our transaction coming back."""

from __future__ import annotations

import pytest

from portbook.protocols.stun import converse, recognise

from .asking import ask, cut_short, finds_only_its_own
from .driving import ASKED, play

# coturn 4.6.1.
ATTRIBUTES = (
    bytes.fromhex("002000080001ba91e1baa25c 000100080001 9b83c0a8061e 802b0008000134a600000000 80220014")
    + b"Coturn-4.6.1 'Gorst'"
)


def _answer(question: bytes) -> bytes:
    return b"\1\1" + len(ATTRIBUTES).to_bytes(2, "big") + question[4:20] + ATTRIBUTES


def test_over_udp() -> None:
    finds_only_its_own(converse, _answer, "stun")


@pytest.mark.parametrize("cut", [1, 7, 65536])
def test_over_tcp(cut: int) -> None:
    found = play(converse(ASKED), _answer, cut=cut).finding
    assert found is not None
    assert (found.product, found.version, found.banner) == ("coturn", "4.6.1", "Coturn-4.6.1 'Gorst'")


def test_an_error_counts() -> None:
    found = ask(converse, lambda question: b"\1\x11\0\0" + question[4:]).finding
    assert found is not None
    assert found.product is None


def test_an_attribute_beyond_the_end_does_not_count() -> None:
    whole = _answer(bytes.fromhex("00010000 2112a442") + bytes(12))
    assert cut_short(recognise, whole, "stun").version == "4.6.1"
    cut = recognise(whole[:-1])
    assert cut is not None
    assert cut.product is None
    assert recognise(b"\1\1\0\0\0\0\0\0" + bytes(12)) is None
    assert recognise(b"HTTP/1.1 200 OK\r\n\r\n") is None
