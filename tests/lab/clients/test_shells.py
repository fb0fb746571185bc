"""The client of telnet with servers that negotiate, and with others."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.lab.clients.dialogue import MOST, Dialogue, NotSpoken
from portbook.lab.clients.shells import telnet

from .peer import Peer

IAC, SE, NOP, SB, WILL, WONT, DO, DONT = 255, 240, 241, 250, 251, 252, 253, 254


def said(*parts: bytes | int) -> bytes:
    return b"".join(bytes((part,)) if isinstance(part, int) else part for part in parts)


def told(came: bytes) -> list[bytes]:
    """Return what the client answers to what comes."""
    answers: list[bytes] = []

    def hear(data: bytes) -> bytes:
        answers.append(data)
        return peer.waiting

    peer = Peer(hear, socket.SOCK_STREAM, came)
    telnet(Dialogue(cast("socket.socket", peer)))
    return answers


@pytest.mark.parametrize("size", [1, 4096])
def test_every_option_is_refused_and_nothing_else_is_answered(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    came = said(
        *(IAC, DO, 24, IAC, WILL, 3, b"Linux", IAC, NOP, IAC, DONT, 31, IAC, WONT, 1),
        *(IAC, SB, 24, 1, b" login: ", IAC, SE, b"\r\nhost ", IAC, IAC, b" Login: "),
    )
    receive = Peer.recv
    monkeypatch.setattr(Peer, "recv", lambda self, most: receive(self, min(most, size)))
    assert told(came) == [bytes((IAC, WONT, 24)), bytes((IAC, DONT, 3))]


def test_a_prompt_alone_is_no_telnet() -> None:
    with pytest.raises(NotSpoken):
        told(b"host login: ")


def test_a_server_that_never_asks_is_left() -> None:
    for endless in (b"a", said(IAC, NOP)):
        with pytest.raises(NotSpoken, match="without end"):
            told(endless * (MOST + 2))


@given(
    st.lists(
        st.one_of(st.binary(max_size=8), st.sampled_from([b"login: ", *(bytes((IAC, n)) for n in range(240, 256))]))
    )
)
def test_whatever_comes_raises_nothing_else(parts: list[bytes]) -> None:
    with suppress(NotSpoken):
        told(b"".join(parts))
