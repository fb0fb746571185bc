"""What servers say that is too long, and every client with servers that say anything at all."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.lab.clients.dialogue import MOST, NotSpoken, header_fields
from portbook.lab.clients.web import http
from portbook.lab.talk import EXCHANGES

from .peer import dialogue

KINDS = [
    kind for kind in EXCHANGES if kind not in ("https", "smtps", "pop3s", "imaps", "rdp", "ftp-active", "telnet")
]
"""All but those for which a socket must be one: TLS is put on it, or another waits beside it; telnet has its own."""

_WORDS = (
    *(b"220 a\r\n", b"220-a\r\n", b"250 a\r\n", b"354 a\r\n", b"+OK 1\r\n", b".\r\n", b"* OK a\r\n", b"a1 OK\r\n"),
    *(b"+PONG\r\n", b"$9\r\n", b"$" + b"9" * 5000 + b"\r\n", b"STORED\r\n", b"RFB 003.008\n", b"\1\1\0\0\0\0"),
    *(b"HTTP/1.1 200 OK\r\n", b"SIP/2.0 200 OK\r\n", b"Content-Length: 3\r\n", b"\r\n", b"\x0a5.5\0", b"R\0\0\0\x08"),
    *(b":a 004 b c d\r\n", b"PING\r\n", b"SSH-2.0-a\r\n", b"\xff\xfd\x18", b"login: "),
)


@pytest.mark.parametrize("kind", KINDS)
@given(
    parts=st.lists(st.one_of(st.binary(max_size=9), st.sampled_from(_WORDS)), max_size=12),
    stream=st.booleans(),
)
def test_whatever_comes_raises_nothing_else(kind: str, parts: list[bytes], stream: bool) -> None:
    came = b"".join(parts)
    met = dialogue(lambda _: came, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    met.came = came
    with suppress(NotSpoken, TimeoutError):
        EXCHANGES[kind](met)


@pytest.mark.parametrize("line", [b"220-a\r\n", b"220-a\r\n221 a\r\n", b"no end"])
def test_a_reply_without_an_end_is_left(line: bytes) -> None:
    met = dialogue(lambda _: b"", socket.SOCK_STREAM)
    met.came = line * MOST
    with pytest.raises(NotSpoken):
        met.coded(None)


def test_a_reply_has_all_of_its_lines() -> None:
    met = dialogue(lambda _: b"", socket.SOCK_STREAM)
    met.came = b"211-Features\r\n EPRT\r\n211-more\r\n211 End\r\n200 Next\r\n"
    assert met.coded(None) == (b"211", ["Features", " EPRT", "more", "End"])
    assert met.coded(None) == (b"200", ["Next"])
    met.came = b"first\r\n..\r\n.\r\nmore\r\n"
    assert met.block() == [b"first", b"."]
    assert met.line() == b"more"


@pytest.mark.parametrize("length", [b"9" * 5000, str(MOST * 9).encode()])
def test_a_body_that_is_too_long_is_left(length: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n"
    with pytest.raises(NotSpoken):
        http(dialogue(lambda _: answer + bytes(MOST * 2), socket.SOCK_STREAM))


def test_a_body_is_taken_and_what_follows_is_not() -> None:
    met = dialogue(lambda _: b"HTTP/1.1 200 OK\r\nserver:  one \r\nCONTENT-LENGTH: 3\r\n\r\nabcd", socket.SOCK_STREAM)
    assert http(met) == "one"
    assert met.came == b"d"
    assert header_fields([b"A: b:c", b"a : d", b"none"]) == {b"a": b"d", b"none": b""}
