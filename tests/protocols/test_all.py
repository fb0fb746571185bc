"""What holds of every protocol: nothing raises, all ends, nobody logs in, and nothing is taken for something else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.protocols.catalogue import protocols
from portbook.protocols.conversation import MOST, Conversation, Heard, Protocol, Say, StartTls

from .driving import ASKED, play
from .recorded import GREETINGS

CREDENTIALS = re.compile(rb"(?i)\b(?:USER|PASS|LOGIN|AUTHINFO|NICK|AUTH PLAIN|AUTH LOGIN)\b[ :]|anonymous|password")
CONVERSING = [one for one in protocols() if one.converse is not None]
NAMES = [f"{place}-{one.name}" for place, one in enumerate(CONVERSING)]


def _conversation(protocol: Protocol, transport: str, heard: bytes = b"") -> Conversation:
    assert protocol.converse is not None
    port = protocol.ports[0] if protocol.ports else 1234
    return protocol.converse(ASKED._replace(port=port, transport=transport, heard=heard))


@pytest.mark.parametrize(("service", "greeting"), GREETINGS)
def test_what_is_one_protocol_is_not_another(service: str, greeting: bytes) -> None:
    found = {known.service for one in protocols() if (known := one.recognise(greeting)) is not None and known.certain}
    assert found == {service}


@pytest.mark.parametrize("protocol", CONVERSING, ids=NAMES)
def test_another_protocols_server_is_not_taken_for_its_own(protocol: Protocol) -> None:
    for service, greeting in GREETINGS:
        for transport in protocol.transports:
            if transport == "udp" and service in ("daytime", "time", "chargen", "qotd"):
                continue
            played = play(_conversation(protocol, transport), greeting=greeting, ended="end")
            if played.finding is not None and played.finding.certain:
                assert played.finding.service == service


@pytest.mark.parametrize("protocol", CONVERSING, ids=NAMES)
@pytest.mark.parametrize("data", [b"\0", b"A", b"\r\n", b"220-still\r\n", b"* OK\r\n", b"+OK\r\n", b"\xff\xfd\x18"])
def test_endless_data_is_not_heard_to_the_end(protocol: Protocol, data: bytes) -> None:
    chunk = data * (4096 // len(data))
    for transport in protocol.transports:
        conversation = _conversation(protocol, transport)
        heard: Heard | None = None
        given_bytes = 0
        try:
            while True:
                step = next(conversation) if heard is None else conversation.send(heard)
                if isinstance(step, StartTls) or (isinstance(step, Say) and step.farewell):
                    heard = Heard()
                    continue
                heard = Heard(chunk)
                given_bytes += len(chunk)
                assert given_bytes <= MOST + 8 * len(chunk)
        except StopIteration:
            pass


@pytest.mark.parametrize("protocol", CONVERSING, ids=NAMES)
@pytest.mark.parametrize("ended", ["silence", "end", "reset"])
def test_nobody_logs_in(protocol: Protocol, ended: str) -> None:
    for transport in protocol.transports:
        for _, greeting in ((None, b""), *GREETINGS):
            played = play(_conversation(protocol, transport), lambda said: said, greeting=greeting, ended=ended)  # type: ignore[arg-type]
            assert not any(CREDENTIALS.search(said) for said in (*played.said, played.farewell))


@pytest.mark.parametrize("protocol", CONVERSING, ids=NAMES)
def test_an_echo_is_nothing_but_an_echo(protocol: Protocol) -> None:
    for transport in protocol.transports:
        found = play(_conversation(protocol, transport), lambda said: said).finding
        assert found is None or found.service == "echo"


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A greeting of one protocol of which some bytes are other ones, gone, or doubled, and more behind it."""
    data = bytearray(draw(st.sampled_from([greeting for _, greeting in GREETINGS])))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data) - 1)) if data else 0
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data) + draw(st.binary(max_size=20))


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=300), _mutated()))
def test_no_bytes_make_a_recogniser_raise(data: bytes) -> None:
    for one in protocols():
        one.recognise(data)


@settings(max_examples=40, deadline=None)
@given(
    greeting=st.one_of(st.just(b""), _mutated()),
    replies=st.lists(st.one_of(st.binary(max_size=80), _mutated()), max_size=6),
    cut=st.sampled_from([1, 5, 65536]),
    ended=st.sampled_from(["silence", "end", "reset"]),
)
def test_no_bytes_make_a_conversation_raise(greeting: bytes, replies: list[bytes], cut: int, ended: str) -> None:
    for one in CONVERSING:
        for transport in one.transports:
            play(_conversation(one, transport), replies, greeting=greeting, cut=cut, ended=ended)  # type: ignore[arg-type]
