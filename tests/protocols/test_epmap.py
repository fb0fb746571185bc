"""DCE RPC answers a bind; only the endpoint mapper accepts this one."""

from __future__ import annotations

import pytest

from portbook.protocols.epmap import PROTOCOLS, recognise, recognise_http

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

MAPPER = PROTOCOLS[0]
BIND = b"\x05\0\x0b\x03"
# Samba 4.17.12 as a domain controller: its endpoint mapper, and another of its endpoints.
ACCEPTED = (
    b"\x05\x00\x0c\x03\x10\x00\x00\x00<\x00\x00\x00\x00\x01\x02\x03\xd0\x16\xd0\x16X)\x00\x00"
    b"\x04\x00135\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x04]\x88\x8a\xeb\x1c\xc9\x11\x9f"
    b"\xe8\x08\x00+\x10H`\x02\x00\x00\x00"
)
REFUSED = (
    b"\x05\x00\x0c\x03\x10\x00\x00\x00<\x00\x00\x00\x00\x01\x02\x03\xd0\x16\xd0\x16[Z\x00\x00"
    b"\x06\x0049152\x00\x01\x00\x00\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)


def test_the_mapper_accepts() -> None:
    recorded = Recorded("Samba 4.17.12", None, None, answers=((BIND, ACCEPTED),))
    assert known(MAPPER, recorded).banner == "endpoint 135"
    cut_short(MAPPER, recorded)


def test_another_endpoint_is_not_certain() -> None:
    found = play(MAPPER.converse(ASKED), [REFUSED]).finding  # type: ignore[misc]
    assert found is not None
    assert (found.banner, found.certain) == ("endpoint 49152", False)


def test_the_bind_keeps_its_own_length_and_names_nobody() -> None:
    bind = play(MAPPER.converse(ASKED)).said[0]  # type: ignore[misc]
    assert int.from_bytes(bind[8:10], "little") == len(bind) == 72
    # No verifier of an authentication behind it.
    assert bind[10:12] == b"\0\0"


def test_an_answer_to_something_else_does_not_count() -> None:
    other = ACCEPTED[:12] + b"zzzz" + ACCEPTED[16:]
    assert play(MAPPER.converse(ASKED), [other]).finding is None  # type: ignore[misc]


@pytest.mark.parametrize("place", range(8, 45))
def test_a_broken_answer_is_survived(place: int) -> None:
    for value in (0, 0x7F, 0xFF):
        broken = ACCEPTED[:place] + bytes((value,)) + ACCEPTED[place + 1 :]
        recognise(broken)
        play(MAPPER.converse(ASKED), [broken], ended="end")  # type: ignore[misc]


def test_the_one_through_http_greets() -> None:
    found = recognise_http(b"ncacn_http/1.0")
    assert found is not None
    assert found.service == "http-rpc-epmap"
    assert recognise_http(b"ncacn_http/1") is None
