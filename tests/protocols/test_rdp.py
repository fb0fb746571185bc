"""RDP is known by its connection confirm, and shows its certificate."""

from __future__ import annotations

import pytest

from portbook.protocols.rdp import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

REQUEST = b"\x03\0\0\x13\x0e\xe0"
XRDP = bytes.fromhex("030000130ed000001234000201080001000000")
FREERDP = bytes.fromhex("030000130ed000000000000203080001000000")
# As MS-RDPBCGR, sections 2.2.1.2 and 4.1.2, have them.
WINDOWS = bytes.fromhex("030000130ed00000123400021f080002000000")
REQUIRED = bytes.fromhex("030000130ed00000123400030008000500 0000")
OLD = bytes.fromhex("0300000b06d00000123400")
RECORDED = (
    Recorded("xrdp 0.9.21.1", None, None, answers=((REQUEST, XRDP),), tls=True),
    Recorded("FreeRDP 2.11.7", None, None, answers=((REQUEST, FREERDP),), tls=True),
    Recorded("Windows", None, None, answers=((REQUEST, WINDOWS),), tls=True),
    Recorded("Windows that wants CredSSP", None, None, answers=((REQUEST, REQUIRED),)),
    Recorded("Windows 2003", None, None, answers=((REQUEST, OLD),)),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_the_confirm_tells(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_the_security_is_the_banner_and_nobody_is_named() -> None:
    played = play(PROTOCOL.converse(ASKED), [WINDOWS])  # type: ignore[misc]
    assert played.finding is not None
    assert played.finding.banner == "security: CredSSP"
    assert len(played.said[0]) == 19
    assert b"mstshash" not in played.said[0]


def test_a_disconnection_is_weak_and_other_users_of_x224_are_others() -> None:
    # xrdp 0.9.21.1 to HTTP.
    found = recognise(bytes.fromhex("0300000902f0802180"))
    assert found is not None
    assert not found.certain
    # A controller of ISO-TSAP counts its references otherwise.
    other = recognise(bytes.fromhex("0300000b06d00001000100"))
    assert other is not None
    assert not other.certain
    assert recognise(bytes.fromhex("0300001611d00001000100c0010ac1020100c2020102")) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x03\0\0\x13\x0e\xd0",
        b"\x03\0\xff\xff",
        b"\x03\0\0\0",
        bytes.fromhex("030000130ed00000123400020008000900ffff"),
    ],
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
