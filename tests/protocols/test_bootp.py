"""DHCP is proven by a reply to our number, with the cookie and a server's type of message."""

from __future__ import annotations

from portbook.protocols.bootp import PROTOCOLS, converse, recognise

from .asking import UDP, ask, cut_short, finds_only_its_own

# dnsmasq 2.90.
OPTIONS = bytes.fromhex("63825363 350105 3604c0a80601 0104ffffff00 1c04c0a806ff 0304c0a80601 ff")


def _answer(question: bytes) -> bytes:
    return (b"\x02" + question[1:236] + OPTIONS).ljust(300, b"\0")


def test_the_settings_are_given() -> None:
    finds_only_its_own(converse, _answer, "bootps")
    found = ask(converse, _answer).finding
    assert found is not None
    assert found.banner == "DHCPACK 192.168.6.1"


def test_no_lease_is_asked_for() -> None:
    (question,) = ask(converse, _answer).said
    assert len(question) == 300
    assert question[236:243] == bytes.fromhex("63825363 350108")
    assert question[12:16] == bytes((192, 0, 2, 9))


def test_there_is_none_over_ipv6() -> None:
    assert ask(converse, _answer, UDP._replace(ip="2001:db8::1")).said == []


def test_a_refusal_counts_and_a_request_does_not() -> None:
    reply = _answer(ask(converse, _answer).said[0])
    found = cut_short(recognise, reply.replace(b"\x35\x01\x05", b"\x35\x01\x06"), "bootps")
    assert found.banner == "DHCPNAK 192.168.6.1"
    assert recognise(reply.replace(b"\x35\x01\x05", b"\x35\x01\x03")) is None
    assert recognise(b"\x01" + reply[1:]) is None


def test_the_answer_goes_to_the_port_after_the_servers() -> None:
    server, client = PROTOCOLS
    assert server.source_port is not None
    assert server.source_port(67) == 68
    assert (client.name, client.converse) == ("bootpc", None)
    assert client.note
