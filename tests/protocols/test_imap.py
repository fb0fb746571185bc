"""IMAP is known by its greeting, and the server by it or by its ID."""

from __future__ import annotations

import pytest

from portbook.protocols.imap import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "Dovecot 2.3.19.1",
        "Dovecot",
        None,
        b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE STARTTLS AUTH=PLAIN] Dovecot (Debian) ready.\r\n",
        (
            (
                b"a1 CAPABILITY",
                b"* CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE STARTTLS AUTH=PLAIN\r\na1 OK Listed.\r\n",
            ),
            (b"a2 ID NIL", b'* ID ("name" "Dovecot")\r\na2 OK ID completed.\r\n'),
            (b"a3 STARTTLS", b"a3 OK Begin TLS negotiation now.\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "GNU Mailutils 3.15",
        None,
        None,
        b"* OK IMAP4rev1\r\n",
        (
            (
                b"a1 CAPABILITY",
                b"* CAPABILITY IMAP4rev1 NAMESPACE ID IDLE LITERAL+ UNSELECT\r\na1 OK CAPABILITY Completed\r\n",
            ),
            (b"a2 ID NIL", b"a2 BAD ID Wrong state\r\n"),
        ),
    ),
    Recorded(
        "Cyrus IMAP, by its documentation",
        "Cyrus IMAP",
        "3.6.1",
        b"* OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE] m.example Cyrus IMAP 3.6.1-Debian-3.6.1-4 server ready\r\n",
        (
            (b"a1 CAPABILITY", b"* CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE\r\na1 OK Completed\r\n"),
            (
                b"a2 ID NIL",
                b'* ID ("name" "Cyrus IMAPD" "version" "3.6.1-Debian-3.6.1-4" "vendor" NIL)\r\na2 OK Completed\r\n',
            ),
        ),
    ),
    Recorded(
        "Courier, by its documentation",
        "Courier",
        None,
        b"* OK [CAPABILITY IMAP4rev1 UIDPLUS] Courier-IMAP ready. Copyright 1998-2021 Double Precision, Inc.\r\n",
        ((b"a1 CAPABILITY", b"* CAPABILITY IMAP4rev1 UIDPLUS\r\na1 OK CAPABILITY completed\r\n"),),
    ),
    Recorded(
        "one that tells its ID inside TLS",
        "Stalwart",
        "0.10.2",
        b"* OK hello\r\n",
        (
            (b"a1 CAPABILITY", b"* CAPABILITY IMAP4rev2 STARTTLS LOGINDISABLED\r\na1 OK done\r\n"),
            (b"a3 STARTTLS", b"a3 OK go\r\n"),
            (b"a4 CAPABILITY", b"* CAPABILITY IMAP4rev2 ID\r\na4 OK done\r\n"),
            (b"a5 ID NIL", b'* ID ("name" "Stalwart" "version" "0.10.2")\r\na5 OK done\r\n'),
        ),
        tls=True,
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize(
    ("greeting", "product"),
    [
        (b"* OK The Microsoft Exchange IMAP4 service is ready.\r\n", "Microsoft Exchange"),
        (b"* OK Gimap ready for requests from 192.0.2.1 abc\r\n", "Google IMAP"),
        (b"* PREAUTH ready\r\n", None),
        (b"* OK\r\n", None),
    ],
)
def test_the_server_names_itself(greeting: bytes, product: str | None) -> None:
    found = recognise(greeting)
    assert found is not None
    assert (found.service, found.product) == ("imap", product)


@pytest.mark.parametrize("data", [b"", b"* OK", b"* BAD x\r\n", b"a OK x\r\n", b"* OKAY\r\n"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_one_that_says_bye_is_left_alone() -> None:
    played = play(converse(ASKED), greeting=b"* BYE Too many connections\r\n", ended="end")
    assert played.finding is not None
    assert (played.said, played.finding.note is None) == ([], False)
    assert play(converse(ASKED), greeting=b"+OK\r\n").finding is None
