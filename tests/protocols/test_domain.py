"""DNS is proven by its own number and question coming back; version.bind tells the make."""

from __future__ import annotations

import pytest

from portbook.protocols.domain import converse, recognise

from .asking import ask, cut_short, finds_only_its_own
from .driving import ASKED, play


def _answer(version: bytes | None, code: int = 5) -> object:
    def answer(question: bytes) -> bytes:
        if b"version" not in question:
            return question[:2] + bytes((0x80, code)) + question[4:]
        if version is None:
            return question[:2] + b"\x80\x05" + question[4:]
        # As Knot DNS 3.2.6 has it, with its text replaced.
        record = b"\xc0\x0c\0\x10\0\3\0\0\0\0" + (len(version) + 1).to_bytes(2, "big") + bytes((len(version),))
        return question[:2] + b"\x80\0\0\1\0\1\0\0\0\0" + question[12:] + record + version

    return answer


@pytest.mark.parametrize(
    ("told", "product", "version"),
    [
        # As BIND 9.18.49, Unbound 1.17.1, dnsmasq 2.90, NSD 4.6.1, Knot DNS 3.2.6 and PowerDNS 4.7.3, 4.8.8 say it.
        (b"9.18.49-1~deb12u3-Debian", "BIND", "9.18.49"),
        (b"unbound 1.17.1", "Unbound", "1.17.1"),
        (b"dnsmasq-2.90", "dnsmasq", "2.90"),
        (b"NSD 4.6.1", "NSD", "4.6.1"),
        (b"Knot DNS 3.2.6", "Knot DNS", "3.2.6"),
        (b"PowerDNS Authoritative Server 4.7.3 (built Jan 1 2023 by root)", "PowerDNS Authoritative Server", "4.7.3"),
        (b"PowerDNS Recursor 4.8.8", "PowerDNS Recursor", "4.8.8"),
        # As their documentation has it.
        (b"CoreDNS-1.10.1", "CoreDNS", "1.10.1"),
        (b"9.16.23-RH", "BIND", "9.16.23"),
        (b"9.11.4-P2-RedHat-9.11.4-26.P2.el7", "BIND", "9.11.4-P2"),
        (b"dnsmasq-pi-hole-v2.90+1", "dnsmasq", "2.90+1"),
        (b"Served by PowerDNS - https://www.powerdns.com/", "PowerDNS", None),
        (b"Microsoft DNS 10.0.17763 (456343D5)", "Microsoft DNS", "10.0.17763"),
        (b"none of your business", None, None),
        (b"", None, None),
    ],
)
def test_the_version_names_the_make(told: bytes, product: str | None, version: str | None) -> None:
    found = ask(converse, _answer(told)).finding  # type: ignore[arg-type]
    assert found is not None
    assert (found.service, found.product, found.version) == ("domain", product, version)
    assert found.banner == (told.decode() or "REFUSED")


@pytest.mark.parametrize("version", [b"NSD 4.6.1", None])
def test_over_udp(version: bytes | None) -> None:
    finds_only_its_own(converse, _answer(version), "domain")  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [1, 3, 65536])
@pytest.mark.parametrize("version", [b"NSD 4.6.1", None])
def test_over_tcp_with_lengths(cut: int, version: bytes | None) -> None:
    answer = _answer(version)

    def framed(question: bytes) -> bytes:
        assert int.from_bytes(question[:2], "big") == len(question) - 2
        message: bytes = answer(question[2:])  # type: ignore[operator]
        return len(message).to_bytes(2, "big") + message

    found = play(converse(ASKED), framed, cut=cut).finding
    assert found is not None
    assert (found.service, found.version) == ("domain", "4.6.1" if version else None)


def test_a_refusal_without_the_question_counts() -> None:
    found = ask(converse, lambda question: question[:2] + b"\x80\x01" + bytes(8)).finding
    assert found is not None
    assert found.banner == "FORMERR"
    assert ask(converse, lambda question: question[:2] + b"\x80\x00" + bytes(8)).finding is None


def test_the_questions_ask_for_no_recursion() -> None:
    said = ask(converse, _answer(None)).said  # type: ignore[arg-type]
    assert len(said) == 2
    assert all(question[2:4] == b"\0\0" for question in said)


def test_captured_answers_are_recognised() -> None:
    # An answer of dnsmasq 2.90, over UDP and over TCP.
    message = bytes.fromhex("edef 8480 0001 0001 0000 0000 0776657273696f6e 0462696e64 00 0010 0003")
    message += bytes.fromhex("c00c 0010 0003 00000000 000d 0c") + b"dnsmasq-2.90"
    assert cut_short(recognise, message, "domain").product == "dnsmasq"
    assert cut_short(recognise, len(message).to_bytes(2, "big") + message, "domain").version == "2.90"
    looping = message[:12] + b"\xc0\x0c" * 40
    assert recognise(looping) is None
