"""mDNS is proven by an answer in the domain local."""

from __future__ import annotations

from portbook.protocols.mdns import converse, recognise

from .asking import UDP, ask, cut_short, finds_only_its_own

_PLACE = UDP._replace(ip="192.168.6.1")


def _answer(question: bytes) -> bytes:
    # Avahi 0.8: its own name; and a service as RFC 6763 has it.
    own = bytes.fromhex("c02e 000c 0001 0000000a 0009 06") + b"server\xc0\x23"
    service = bytes.fromhex("c00c 000c 0001 0000000a 000c 04") + b"_ssh\x04_tcp\xc0\x23"
    return question[:2] + bytes.fromhex("8400 0002 0002 0000 0000") + question[12:] + own + service


def test_services_and_the_name_are_told() -> None:
    finds_only_its_own(converse, _answer, "mdns", _PLACE)
    found = ask(converse, _answer, _PLACE).finding
    assert found is not None
    assert (found.server_name, found.banner) == ("server.local", "_ssh._tcp")


def test_an_answer_by_unicast_is_asked_for() -> None:
    (question,) = ask(converse, _answer, _PLACE).said
    assert question[4:6] == b"\0\2"
    assert question.endswith(b"\x07in-addr\x04arpa\0\0\x0c\x80\1")
    over_six = ask(converse, _answer, UDP._replace(ip="fe80::1%eth0")).said
    assert over_six[0].endswith(b"\x03ip6\x04arpa\0\0\x0c\x80\1")


def test_captured_answers_are_recognised() -> None:
    answer = _answer(ask(converse, _answer, _PLACE).said[0])
    cut_short(recognise, answer, "mdns")
    assert recognise(answer[:2] + b"\0\0" + answer[4:]) is None
    assert recognise(answer[:12] + b"\xc0\x0c" * 50) is None
