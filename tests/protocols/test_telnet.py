"""Telnet is known by option negotiation, and all that is offered is declined."""

from __future__ import annotations

import pytest

from portbook.protocols.telnet import PROTOCOL, QUESTION, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "GNU inetutils 2.4",
        None,
        None,
        b"\xff\xfb%\xff\xfb&\xff\xfd\x18\xff\xfd \xff\xfd#\xff\xfd'\xff\xfd$",
        ((b"\xff\xfe%", b"\r\nLinux 6.18.44 (server) (pts/3)\r\n\r\nserver login: "),),
    ),
    Recorded("one that waits to be asked", None, None, answers=((QUESTION, b"\xff\xfb\x03"), (b"", b""))),
    Recorded(
        "RouterOS, by its documentation",
        "MikroTik RouterOS",
        "6.49.6",
        b"\xff\xfb\x01\xff\xfd\x18\xff\xfd\x1f",
        ((b"\xff\xfe\x01", b"\r\nMikroTik v6.49.6 (stable)\r\nLogin: "),),
    ),
    Recorded(
        "Windows, by its documentation",
        "Microsoft Telnet Service",
        None,
        b"\xff\xfd\x25\xff\xfb\x01\xff\xfb\x03\xff\xfd\x27\xff\xfd\x1f\xff\xfd\x00\xff\xfb\x00"
        b"Welcome to Microsoft Telnet Service \r\n\n\rlogin: ",
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_every_offer_is_declined_once() -> None:
    played = play(converse(ASKED._replace(heard=RECORDED[0].greeting)))
    assert played.said == [b"\xff\xfe%\xff\xfe&\xff\xfc\x18\xff\xfc \xff\xfc#\xff\xfc'\xff\xfc$"]


def test_a_bare_prompt_is_weak() -> None:
    found = recognise(b"\r\nDebian GNU/Linux 12\r\n\r\nserver login: ")
    assert found is not None
    assert (found.service, found.certain) == ("telnet", False)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xff\xfb", b"hello\r\n", b"\xff\xfb\xc8", b"\xff\xd8\xff\xe0\0\x10JFIF", QUESTION, b"\xff\xf1"],
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
