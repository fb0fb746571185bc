"""XMPP is known by the header and the features of a stream, of clients or of servers."""

from __future__ import annotations

import pytest

from portbook.protocols.xmpp import PROTOCOLS, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

PROTOCOL = PROTOCOLS[0]
HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' "
    b"version='1.0' xml:lang='en' from='server.lab' id='64efcf6e'>"
)
SERVER_HEADER = HEADER.replace(b"jabber:client", b"jabber:server")

RECORDED = (
    Recorded(
        "Prosody 0.12.3",
        None,
        None,
        answers=(
            (
                b"<?xml",
                HEADER + b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
            ),
            (b"<starttls", b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ),
        tls=True,
    ),
    Recorded(
        "ejabberd, by its documentation",
        "ejabberd",
        None,
        answers=(
            (
                b"<?xml",
                HEADER + b"<stream:features><c ver='abc=' node='http://www.process-one.net/en/ejabberd/' "
                b"hash='sha-1' xmlns='http://jabber.org/protocol/caps'/></stream:features>",
            ),
        ),
    ),
    Recorded(
        "one that does not serve the name",
        None,
        None,
        answers=(
            (
                b"<?xml",
                HEADER + b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
                b"</stream:stream>",
            ),
        ),
        ends=True,
    ),
    Recorded(
        "one for servers, asked as a client",
        None,
        None,
        answers=((b"<?xml", SERVER_HEADER + b"<stream:features/>"),),
        service="xmpp-server",
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_servers_are_asked_in_their_own_namespace() -> None:
    played = play(PROTOCOLS[1].converse(ASKED), [SERVER_HEADER + b"<stream:features/>"])  # type: ignore[misc]
    assert played.finding is not None
    assert (played.finding.service, played.finding.server_name) == ("xmpp-server", "server.lab")
    assert b"xmlns='jabber:server'" in played.said[0]
    assert played.farewell == b"</stream:stream>"


def test_an_error_to_another_question_is_its_own() -> None:
    found = recognise(HEADER + b"<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
    assert found is not None
    assert (found.service, found.banner) == ("xmpp-client", "stream error: not-well-formed")


def test_a_name_cannot_break_out_of_the_header() -> None:
    played = play(PROTOCOL.converse(ASKED._replace(host="a'/><b>")))  # type: ignore[misc]
    assert b"to='ab'" in played.said[0]


@pytest.mark.parametrize(
    "data",
    [b"", b"<?xml version='1.0'?><a/>", HEADER[:-1], HEADER.replace(b" id='64efcf6e'", b""), b"<html>" + HEADER],
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
