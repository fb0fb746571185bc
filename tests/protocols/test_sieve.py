"""ManageSieve is known by the capabilities that greet."""

from __future__ import annotations

import pytest

from portbook.protocols.sieve import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "Dovecot 2.3.19.1 with Pigeonhole",
        "Dovecot Pigeonhole",
        None,
        b'"IMPLEMENTATION" "Dovecot (Debian) Pigeonhole"\r\n"SIEVE" "fileinto reject"\r\n"NOTIFY" "mailto"\r\n'
        b'"SASL" ""\r\n"STARTTLS"\r\n"VERSION" "1.0"\r\nOK "Dovecot (Debian) ready."\r\n',
        ((b"STARTTLS", b'OK "Begin TLS negotiation now."\r\n'),),
        tls=True,
    ),
    Recorded(
        "Cyrus, by its documentation",
        "Cyrus IMAP",
        "3.6.1",
        b'"IMPLEMENTATION" "Cyrus timsieved 3.6.1-Debian"\r\n"SASL" "PLAIN"\r\n"SIEVE" "fileinto"\r\nOK\r\n',
    ),
    Recorded("a literal", "Sieb", None, b'"IMPLEMENTATION" {4+}\r\nSieb\r\n"SIEVE" "reject"\r\nOK\r\n'),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize(
    "data", [b"", b'"IMPLEMENTATION" "x"\r\n', b'"SIEVE" ""\r\nOK\r\n', b"OK\r\n", b'NO "x"\r\n']
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_other_servers_are_none() -> None:
    for greeting in (b"", b"220 x\r\n", b"* OK\r\n"):
        played = play(converse(ASKED), greeting=greeting)
        assert (played.finding, played.said) == (None, [])
