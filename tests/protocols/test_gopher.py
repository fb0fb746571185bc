"""Gopher is known by the items of a menu."""

from __future__ import annotations

import pytest

from portbook.protocols.gopher import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "Gophernicus 3.1.1",
        "Gophernicus",
        "3.1.1",
        answers=(
            (
                b"\r\n",
                b"3Error: File or directory not found!\tTITLE\tnull.host\t1\r\ni____________\t\tnull.host\t1\r\n"
                b"i                 Gophered by Gophernicus/3.1.1 on Debian/12 x86_64\t\tnull.host\t1\r\n.\r\n",
            ),
        ),
        ends=True,
    ),
    Recorded(
        "PyGopherd, by its documentation",
        None,
        None,
        answers=((b"\r\n", b"0README\t/README\tserver.lab\t70\t+\r\n1files\t/files\tserver.lab\t70\t+\r\n"),),
        ends=True,
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_it_names_its_host() -> None:
    found = recognise(b"iHello\t\terror.host\t1\r\n0README\t/README\tserver.lab\t70\r\n")
    assert found is not None
    assert (found.banner, found.server_name) == ("Hello", "server.lab")


@pytest.mark.parametrize(
    "data", [b"", b".\r\n", b"0a\t/\thost\t70", b"0a\tb\tc\r\n", b"0a\t/\thost\t70\r\nnothing of it\r\n"]
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
