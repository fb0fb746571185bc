"""SOCKS is known by the method it chooses and by how it refuses what is no command."""

from __future__ import annotations

import pytest

from portbook.protocols.socks import PROTOCOLS, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

FIVE, FOUR = PROTOCOLS
METHODS, COMMAND = b"\x05\x01\0", b"\x05\x7f"
OPEN, CLOSED = "a proxy that asks for no log-in", "a proxy that asks for a log-in"
UNSUPPORTED = b"\x05\x07\0\x01" + bytes(6)
RECORDED = (
    (Recorded("microsocks 1.0.3", None, None, answers=((METHODS, b"\x05\0"), (COMMAND, UNSUPPORTED))), OPEN),
    (Recorded("Tor", None, None, answers=((METHODS, b"\x05\0"), (COMMAND, b"\x05\x01\0\x01" + bytes(6)))), OPEN),
    (Recorded("Dante 1.4.2, which closes", None, None, answers=((METHODS, b"\x05\0"),)), OPEN),
    (Recorded("microsocks 1.0.3 with a password", None, None, answers=((METHODS, b"\x05\xff"),)), CLOSED),
)


@pytest.mark.parametrize(("recorded", "note"), RECORDED)
def test_the_method_tells(recorded: Recorded, note: str) -> None:
    assert known(FIVE, recorded).note == note
    cut_short(FIVE, recorded)


def test_nothing_is_connected_to() -> None:
    played = play(FIVE.converse(ASKED), [b"\x05\0", UNSUPPORTED])  # type: ignore[misc]
    played_4 = play(FOUR.converse(ASKED))  # type: ignore[misc]
    # The commands are 1 to 3 (RFC 1928, section 4).
    for said in (played.said[1], played_4.said[0]):
        assert said[1] == 0x7F
        assert not any(said[4:])


def test_socks_4_refuses_it() -> None:
    found = play(FOUR.converse(ASKED), [b"\0\x5b" + bytes(6)]).finding  # type: ignore[misc]
    assert found is not None
    assert found.banner == "SOCKS 4"
    assert play(FOUR.converse(ASKED), [b"\0\x5a" + bytes(6)]).finding is None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "product"),
    [
        # microsocks 1.0.3, and Tor 0.4.7, to HTTP.
        (b"\x05\xff", None),
        (b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n", "Tor"),
        (b"\x05\0" + UNSUPPORTED, None),
    ],
)
def test_errors_to_other_questions_prove_it_as_well(data: bytes, product: str | None) -> None:
    found = recognise(data)
    assert found is not None
    assert (found.service, found.product) == ("socks", product)


@pytest.mark.parametrize(
    "data", [b"\x05", b"\x05\x02", b"\x05\0\x0c\x03\x10\0\0\0", b"\x05\x01\0", b"\x05\0nonsense"]
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(FIVE.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
