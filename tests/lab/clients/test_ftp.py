"""The clients of FTP with servers that let them in, and with others."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.lab.clients.dialogue import NotSpoken
from portbook.lab.clients.ftp import ftp

from .peer import dialogue

REPLIES = {b"USER": b"331 Password?\r\n", b"PASS": b"230 In.\r\n", b"PWD\r": b'257 "/"\r\n'}


def visit(greeting: bytes, **replies: bytes) -> str | None:
    """Return what the client makes of a server with these replies."""
    known = REPLIES | {command.encode().ljust(4, b"\r"): reply for command, reply in replies.items()}
    visited = dialogue(lambda asked: known[asked[:4]], socket.SOCK_STREAM)
    visited.came = greeting
    return ftp(visited)


def test_it_returns_the_first_line_of_the_greeting() -> None:
    assert visit(b"220 (vsFTPd 3.0.3)\r\n") == "(vsFTPd 3.0.3)"
    many = b"220---------- Welcome to Pure-FTPd ----------\r\n220-You are number 1\r\n indented\r\n220 Bye\r\n"
    assert visit(many) == "Welcome to Pure-FTPd"
    # One that asks for no password.
    assert visit(b"220 a\r\n", USER=b"230 In.\r\n", PASS=b"503 Why?\r\n") == "a"


@pytest.mark.parametrize(
    ("greeting", "replies"),
    [
        (b"120 Soon\r\n", {}),
        (b"421 Too many\r\n", {}),
        (b"SSH-2.0-OpenSSH_9.2\r\n", {}),
        (b"220 a\r\n", {"USER": b"530 No\r\n"}),
        (b"220 a\r\n", {"PASS": b"530 No\r\n"}),
        (b"220 a\r\n", {"PASS": b"332 Account?\r\n"}),
        (b"220 a\r\n", {"PWD": b"550 No\r\n"}),
        (b"220-a\r\n", {}),
    ],
)
def test_one_that_lets_nobody_in_is_no_answer(greeting: bytes, replies: dict[str, bytes]) -> None:
    with pytest.raises(NotSpoken):
        visit(greeting, **replies)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_comes_raises_nothing_else(greeting: bytes, reply: bytes) -> None:
    with suppress(NotSpoken):
        visit(greeting, USER=reply, PASS=reply)
