"""TFTP is proven by an error; a server that has every file is told to stop."""

from __future__ import annotations

import pytest

from portbook.protocols.tftp import PROTOCOL, converse, recognise

from .asking import ask, cut_short, finds_only_its_own


@pytest.mark.parametrize(
    "message",
    [
        b"File not found",  # tftpd-hpa 5.2
        b"file /srv/tftp/portbook-000102030405 not found for 192.0.2.9",  # dnsmasq 2.90
        b"",
    ],
)
def test_an_error_is_the_answer(message: bytes) -> None:
    error = b"\0\5\0\1" + message + b"\0"
    finds_only_its_own(converse, lambda _: error, "tftp")
    found = cut_short(recognise, error, "tftp")
    assert found.banner == (message.decode() or "error 1")


def test_a_file_is_stopped() -> None:
    played = ask(converse, lambda _: b"\0\3\0\1" + b"x" * 512)
    assert played.finding is not None
    assert not played.finding.certain
    assert played.farewell.startswith(b"\0\5")


@pytest.mark.parametrize(
    "data", [b"\0\5\0\x09x\0", b"\0\5\0\1x", b"\0\5\0\1x\0y\0", b"\0\5\0\1\x1b[2J\0", b"\0\4\0\0"]
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_it_answers_from_another_port() -> None:
    assert PROTOCOL.other_port
    (question,) = ask(converse, lambda _: b"").said
    assert question.startswith(b"\0\1portbook-")
    assert question.endswith(b"\0octet\0")
