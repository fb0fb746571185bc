"""OpenVPN is proven by an acknowledgement of our session."""

from __future__ import annotations

import pytest

from portbook.protocols.openvpn import converse, recognise

from .asking import cut_short, finds_only_its_own
from .driving import ASKED, play


def _answer(question: bytes) -> bytes:
    # OpenVPN 2.6.14.
    return bytes.fromhex("40 f7300aba04e2d29b 01 00000000") + question[1:9] + bytes(4)


def test_over_udp() -> None:
    finds_only_its_own(converse, _answer, "openvpn")


@pytest.mark.parametrize("cut", [1, 5, 65536])
def test_over_tcp(cut: int) -> None:
    found = play(converse(ASKED), lambda question: b"\0\x1a" + _answer(question[2:]), cut=cut).finding
    assert found is not None
    assert found.service == "openvpn"


def test_captured_answers_are_recognised() -> None:
    answer = _answer(b"\x38" + bytes(range(1, 14)))
    cut_short(recognise, answer, "openvpn")
    cut_short(recognise, b"\0\x1a" + answer, "openvpn")
    assert recognise(b"@" * 26) is None
    assert recognise(b"\x40" + bytes(25)) is None
