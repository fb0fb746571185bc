"""Finger is known by what a server says of itself, not of its users."""

from __future__ import annotations

import pytest

from portbook.protocols.finger import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "fingerd 0.17",
        None,
        None,
        answers=((b"@portbook.invalid\r\n", b"fingerd: forwarding not allowed\r\n"),),
        ends=True,
    ),
    Recorded(
        "cfingerd 1.4.3",
        None,
        None,
        answers=(
            (
                b"@",
                b"\nDebian GNU/Linux      Copyright (c) 1993-1999 Software in the Public Interest\n\n"
                b"                 Your site has been rejected for some reason.\n\n"
                b"         This may be caused by a missing RFC 1413 identd on your site.\n\n",
            ),
        ),
        ends=True,
    ),
    Recorded(
        "Twisted, by its source", None, None, answers=((b"@", b"Finger forwarding service denied\n"),), ends=True
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_users_are_not_told() -> None:
    found = recognise(b"Login    Name       Tty      Idle\r\nroot     root       tty1     1:00\r\n")
    assert found is not None
    assert found.banner == "Login    Name       Tty      Idle"
    found = recognise(b"Login: root           \t\t\tName: root\nDirectory: /root\n")
    assert found is not None
    assert found.banner is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"No one logged on.\r\n", True),
        (b"finger: GET: no such user.\r\n", True),
        (b"[portbook.invalid]\r\nunknown host\r\n", True),
        (b"", False),
        (b"login: ", False),
        (b"HTTP/1.1 400 Bad finger: x\r\n", False),
        (b"220 finger server\r\n", False),
    ],
)
def test_only_its_own_words_count(data: bytes, expected: bool) -> None:
    assert (recognise(data) is not None) == expected
