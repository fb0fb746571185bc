"""The identification protocol is known by a reply to a query that names nobody."""

from __future__ import annotations

import pytest

from portbook.protocols.ident import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded("oidentd 2.5.0", None, None, answers=((b"0, 0\r\n", b"0,0:ERROR:INVALID-PORT\r\n"),)),
    Recorded("ident2 1.07", None, None, answers=((b"0, 0\r\n", b"0 , 0 : ERROR : NO-USER\r\n"),)),
    Recorded("nullidentd 1.0", None, None, answers=((b"0, 0\r\n", b"0, 0 : USERID : UNIX : foobar\r\n"),)),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_the_user_is_not_told() -> None:
    for data in (b"0, 0 : USERID : UNIX : foobar\r\n", b"GET / HTTP/1.1 : USERID : UNIX : foobar\r\n"):
        found = recognise(data)
        assert found is not None
        assert found.banner == "USERID : UNIX"


@pytest.mark.parametrize(
    "data", [b"", b"0, 0 : ERROR", b"0 : ERROR : X\r\n", b"ERROR : INVALID-PORT\r\n", b"a: b: c\r\n"]
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
