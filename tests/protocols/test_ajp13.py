"""A servlet container answers a CPing with a CPong."""

from __future__ import annotations

import pytest

from portbook.protocols.ajp13 import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known


def test_a_pong_proves_it() -> None:
    recorded = Recorded("Tomcat 10.1.60", None, None, answers=((b"\x12\x34\0\x01\x0a", b"AB\0\x01\x09"),))
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize("data", [b"AB\0\x01", b"AB\0\x01\x05", b"AB\0\x01\x09more", b"\x12\x34\0\x01\x0a"])
def test_anything_else_does_not(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
