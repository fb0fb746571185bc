"""What the tests of protocols over UDP share: asking a played server, and cutting its answers short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portbook.protocols.conversation import Heard, Say

from .driving import ASKED, Played, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.porttest import Finding
    from portbook.protocols.conversation import Asked, Conversation

UDP = ASKED._replace(transport="udp", own_ip="192.0.2.9")


def ask(converse: Callable[[Asked], Conversation], answer: Callable[[bytes], bytes], asked: Asked = UDP) -> Played:
    """Hold a conversation with a server that answers each datagram by a function."""
    return play(converse(asked), answer)


def finds_only_its_own(
    converse: Callable[[Asked], Conversation], answer: Callable[[bytes], bytes], service: str, asked: Asked = UDP
) -> None:
    """Check a conversation that finds its service against echoes, silence, foreign numbers, and every cut."""
    whole = ask(converse, answer, asked)
    assert whole.finding is not None
    assert whole.finding.service == service
    for nothing in (lambda _: b"", lambda question: question, lambda _: b"\xff" * 64, lambda _: b"220 hello\r\n"):
        assert ask(converse, nothing, asked).finding is None
    others = asked._replace(numbers=bytes(range(100, 132)))
    replies = [answer(said) for said in ask(converse, answer, others).said]
    if replies != [answer(said) for said in whole.said]:
        assert play(converse(asked), replies).finding is None
    for length in range(max(map(len, replies))):
        cut = ask(converse, _cut(answer, length), asked).finding
        assert cut is None or cut.service == service
    # What others send to the same socket is passed over.
    conversation = converse(asked)
    first = next(conversation)
    assert isinstance(first, Say)
    assert isinstance(conversation.send(Heard(b"\0" * 40)), Say)
    again = _ended(conversation, answer(first.data))
    assert again is not None
    assert again.service == service


def _cut(answer: Callable[[bytes], bytes], length: int) -> Callable[[bytes], bytes]:
    return lambda said: answer(said)[:length]


def _ended(conversation: Conversation, data: bytes) -> Finding | None:
    heard = Heard(data)
    while True:
        try:
            conversation.send(heard)
        except StopIteration as stop:
            found: Finding | None = stop.value
            return found
        heard = Heard(ended="silence")


def cut_short(recognise: Callable[[bytes], Finding | None], data: bytes, service: str) -> Finding:
    """Return what bytes are recognised as; cut short anywhere they are nothing, or the same."""
    for length in range(len(data)):
        cut = recognise(data[:length])
        assert cut is None or cut.service == service
    found = recognise(data)
    assert found is not None
    assert found.service == service
    return found
