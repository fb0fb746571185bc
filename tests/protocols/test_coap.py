"""CoAP is proven by our message's number or token."""

from __future__ import annotations

from portbook.protocols.coap import converse
from portbook.protocols.conversation import Heard, Say

from .asking import UDP, ask, finds_only_its_own

LINKS = b'</>;title="General Info";ct=0,</time>;if="clock"'


def _answer(question: bytes) -> bytes:
    # libcoap 4.3.1.
    return b"\x64\x45" + question[2:8] + b"\xc1\x28\xff" + LINKS


def test_the_resources_are_listed() -> None:
    finds_only_its_own(converse, _answer, "coap")
    found = ask(converse, _answer).finding
    assert found is not None
    assert found.banner == "2.05 " + LINKS.decode()
    (question,) = ask(converse, _answer).said
    assert question[8:] == b"\xbb.well-known\x04core"


def test_a_reset_counts() -> None:
    found = ask(converse, lambda question: b"\x70\0" + question[2:4]).finding
    assert found is not None
    assert found.banner is None


def test_an_answer_of_its_own_is_acknowledged() -> None:
    conversation = converse(UDP)
    question = next(conversation)
    assert isinstance(question, Say)
    assert conversation.send(Heard(b"\x60\0" + question.data[2:4])) == Say()
    last = conversation.send(Heard(b"\x44\x45\x77\x77" + question.data[4:8]))
    assert last == Say(b"\x60\0\x77\x77", farewell=True)
