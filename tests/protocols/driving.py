"""Conversations driven without a network: by a server that is played from recorded bytes or by a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from portbook.porttest import Finding, Tls
from portbook.protocols.conversation import Asked, Heard, Say, StartTls

if TYPE_CHECKING:
    from portbook.protocols.conversation import Conversation, Ended

ASKED = Asked("server.example", "192.0.2.1", 1234, "tcp", bytes(range(32)))
MOST_STEPS = 300_000


@dataclass
class Played:
    """What a conversation came to, what it said, and how often it began TLS."""

    finding: Finding | None
    said: list[bytes] = field(default_factory=list)
    farewell: bytes = b""
    tls: int = 0


def play(
    conversation: Conversation,
    answers: Callable[[bytes], bytes] | Iterable[bytes] = (),
    *,
    greeting: bytes = b"",
    cut: int = 65536,
    ended: Ended = "silence",
) -> Played:
    """Drive a conversation to its end.

    The server begins with `greeting`. `answers` are what it says to each thing said in turn, or a function that
    returns it; b"" is nothing. All comes in pieces of `cut` bytes. Once there are no more the conversation is told
    `ended`.
    """
    replies = None if callable(answers) else iter(answers)
    played = Played(None)
    waiting = bytearray(greeting)
    heard: Heard | None = None
    for _ in range(MOST_STEPS):
        try:
            step = next(conversation) if heard is None else conversation.send(heard)
        except StopIteration as stop:
            played.finding = stop.value
            return played
        if isinstance(step, StartTls):
            played.tls += 1
            heard = Heard(tls=Tls("TLSv1.3"))
            continue
        assert isinstance(step, Say)
        if step.farewell:
            played.farewell += step.data
            heard = Heard()
            continue
        if step.data:
            played.said.append(step.data)
            reply = answers(step.data) if callable(answers) else next(replies, b"") if replies is not None else b""
            waiting += reply
        piece = bytes(waiting[:cut])
        del waiting[:cut]
        heard = Heard(piece, None if piece else ended)
    raise AssertionError("the conversation does not end")
