"""X servers name their vendor to whom they let in, and refuse the others in words."""

from __future__ import annotations

import pytest

from portbook.protocols.x11 import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

SETUP = b"l\0\x0b\0"
# Xvfb of X.Org 21.1.7, shortened behind the formats, and as it refuses; both X servers of TigerVNC as well.
ADMITTED = (
    b"\x01\x00\x0b\x00\x00\x00S\t\x8f\xa5\xb8\x00\x00\x00 \x02\xff\xff\x1f\x00\x00\x01\x00\x00"
    b"\x14\x00\xff\xff\x01\x06\x00\x00  \x08\xff\x00\x00\x00\x00The X.Org Foundation\x01\x01 "
    b"\x00\x00\x00\x00\x00\x04\x08 \x00\x00\x00\x00\x00\x08\x08 \x00\x00\x00\x00\x00\x10\x10 "
    b"\x00\x00\x00\x00\x00\x18  \x00\x00\x00\x00\x00   \x00\x00\x00\x00\x00\r\x05\x00\x00 \x00"
    b"\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00H\x00\x80\x02\xe0\x01\xa3\x00z\x00\x01"
    b"\x00\x01\x00!\x00\x00\x00\x01\x00\x18\x06\x18\x00h\x01\x00\x00\x00\x00!\x00\x00\x00\x04"
    b'\x08\x00\x01\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00"\x00\x00\x00'
    b"\x05\x08\x00\x01\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00\x89\x03"
    b"\x00\x00\x04\x08\x00\x01\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00"
    b"\x8a\x03\x00\x00\x04\x08\x00\x01\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00\x00\x00"
    b"\x00\x00\x8b\x03\x00\x00\x04\x08\x00\x01\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00"
    b"\x00\x00\x00\x00\x8c\x03\x00\x00\x04\x08\x00\x01\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00"
    b"\x00\x00\x00\x00\x00\x00"
)
REFUSED = b"\0@\x0b\0\0\0\x10\0Authorization required, but no authorization protocol specified\n"
OLDER = b"\0\x16\x0b\0\0\0\x06\0No protocol specified\n\0\0"
RECORDED = (
    Recorded("X.Org 21.1.7", "X.Org", "21.1.7", answers=((SETUP, ADMITTED),)),
    Recorded("X.Org 21.1.7", None, None, answers=((SETUP, REFUSED),)),
    Recorded("X.Org 1.19", None, None, answers=((SETUP, OLDER),)),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_the_answer_tells(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_the_refusal_is_the_banner() -> None:
    assert known(PROTOCOL, RECORDED[1]).banner == "Authorization required, but no authorization protocol specified"


@pytest.mark.parametrize(
    ("vendor", "release", "product", "version"),
    [
        (b"The X.Org Foundation", 12013000, "X.Org", "1.20.13"),
        (b"The X.Org Foundation", 11906000, "X.Org", "1.19.6"),
        (b"The XFree86 Project, Inc", 40300000, "XFree86", "4.3.0"),
        (b"The Cygwin/X Project", 12101004, "Cygwin/X", "21.1.4"),
        (b"Somebody Else", 6600, "Somebody Else", None),
    ],
)
def test_the_vendors_pack_their_versions(vendor: bytes, release: int, product: str, version: str | None) -> None:
    head = bytearray(ADMITTED[:40])
    head[8:12] = release.to_bytes(4, "little")
    head[24:26] = len(vendor).to_bytes(2, "little")
    found = recognise(bytes(head) + vendor + bytes(100))
    assert found is not None
    assert (found.product, found.version) == (product, version)


@pytest.mark.parametrize(
    "data", [b"\x01\0\x0b\0\0\0", b"\0\0\x0b\0\0\0\0\0", b"\x02\0\x0b\0\0\0\xff\xff", b"\0\x04\x0a\0\0\0\x01\0nope"]
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
