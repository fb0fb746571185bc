"""VNC's servers tell their version and the security types, by which some makes are known."""

from __future__ import annotations

import pytest

from portbook.protocols.rfb import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RFB = b"RFB 003.008\n"
RECORDED = (
    Recorded("TigerVNC 1.12.0 without a password", None, None, RFB, ((b"RFB", b"\x01\x01"),)),
    Recorded("TigerVNC 1.12.0", "TigerVNC", None, RFB, ((b"RFB", b"\x03\x13\x02\x05"),)),
    Recorded("x11vnc 0.9.16", None, None, RFB, ((b"RFB", b"\x01\x02"),)),
    Recorded("TightVNC 1.3.10", "TightVNC", None, RFB, ((b"RFB", b"\x02\x02\x10"),)),
    Recorded("QEMU 7.2", None, None, RFB, ((b"RFB", b"\x01\x02"),)),
    # As their makers' documentation and viewers list them.
    Recorded("UltraVNC", "UltraVNC", None, RFB, ((b"RFB", b"\x02\x71\x02"),)),
    Recorded("RealVNC", "RealVNC", None, b"RFB 005.000\n", ((b"RFB", b"\x04\x85\x0d\x06\x05"),)),
    Recorded("macOS", "Apple Remote Desktop", None, b"RFB 003.889\n", ((b"RFB", b"\x04\x1e\x21\x24\x23"),)),
    Recorded("a server of 3.3", None, None, b"RFB 003.003\n", ((b"RFB", b"\0\0\0\x02"),)),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_the_version_and_the_types_tell(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        (b"RFB 003.003\n", b"RFB 003.003\n"),
        (b"RFB 003.006\n", b"RFB 003.003\n"),
        (b"RFB 003.007\n", b"RFB 003.007\n"),
        (b"RFB 003.889\n", b"RFB 003.008\n"),
        (b"RFB 005.000\n", b"RFB 003.008\n"),
    ],
)
def test_the_answer_is_a_version_that_both_know(server: bytes, answer: bytes) -> None:
    assert play(PROTOCOL.converse(ASKED), greeting=server).said == [answer]  # type: ignore[misc]


def test_no_type_is_chosen() -> None:
    played = play(PROTOCOL.converse(ASKED), [b"\x01\x01"], greeting=RFB)  # type: ignore[misc]
    assert len(played.said) == 1
    assert played.farewell == b""
    assert played.finding is not None
    assert played.finding.note == "it asks for no password"


def test_who_came_too_often_is_told_so() -> None:
    reason = b"Too many security failures"
    answer = b"\0" + len(reason).to_bytes(4, "big") + reason
    found = play(PROTOCOL.converse(ASKED), [answer], greeting=RFB, cut=1, ended="end").finding  # type: ignore[misc]
    assert found is not None
    assert found.banner == "RFB 3.8; Too many security failures"
    assert "blocked" in (found.note or "")


@pytest.mark.parametrize("data", [b"RFB", b"RFB 3.8\n", b"RFB 003.008", b"XFB 003.008\n"])
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), greeting=data, ended="end").finding is None  # type: ignore[misc]
