"""POP3 is known by its greeting or its answer to CAPA, which may name the implementation."""

from __future__ import annotations

import pytest

from portbook.protocols.pop3 import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "Dovecot 2.3.19.1",
        "Dovecot",
        None,
        b"+OK Dovecot (Debian) ready.\r\n",
        (
            (
                b"CAPA",
                b"+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nSTLS\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
            ),
            (b"STLS", b"+OK Begin TLS negotiation now.\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "GNU Mailutils 3.15",
        None,
        None,
        b"+OK POP3 Ready <400.1795276494@server>\r\n",
        ((b"CAPA", b"+OK Capability list follows\r\nTOP\r\nUIDL\r\nEXPIRENEVER\r\nUSER\r\n.\r\n"),),
    ),
    Recorded(
        "Courier, by its documentation",
        "Courier",
        None,
        b"+OK Hello there.\r\n",
        ((b"CAPA", b"+OK Here's what I can do:\r\nTOP\r\nUIDL\r\nIMPLEMENTATION Courier Mail Server\r\n.\r\n"),),
    ),
    Recorded(
        "Cyrus IMAP, by its documentation",
        "Cyrus IMAP",
        "3.6.1",
        b"+OK m.example Cyrus POP3 3.6.1-Debian-3.6.1-4+deb12u5 server ready <1.2@m.example>\r\n",
        ((b"CAPA", b"+OK List of capabilities follows\r\nUSER\r\nIMPLEMENTATION Cyrus POP3 3.6.1-Debian\r\n.\r\n"),),
    ),
    Recorded(
        "Qpopper, by its documentation",
        "Qpopper",
        "4.0.9",
        b"+OK ready  <12.34@m.example>\r\n",
        ((b"CAPA", b"+OK Capability list follows\r\nTOP\r\nIMPLEMENTATION Qpopper-version-4.0.9\r\n.\r\n"),),
    ),
    Recorded("popa3d, by its documentation", None, None, b"+OK\r\n", ((b"CAPA", b"-ERR\r\n"),)),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize(
    ("greeting", "product", "version"),
    [
        (b"+OK The Microsoft Exchange POP3 service is ready. [TQB=]\r\n", "Microsoft Exchange", None),
        (b"+OK Qpopper (version 4.0.9) at m.example starting.  <1.2@m.example>\r\n", "Qpopper", "4.0.9"),
        (b"+OK Gpop ready for requests from 192.0.2.1 abc\r\n", "Google POP3", None),
        (b"+OK m.example Zimbra POP3 server ready\r\n", "Zimbra", None),
        (b"+OK POP3 m.example 2007e.104 server ready\r\n", None, None),
        (b"-ERR [SYS/TEMP] Try again\r\n", None, None),
    ],
)
def test_the_server_names_itself(greeting: bytes, product: str | None, version: str | None) -> None:
    found = recognise(greeting)
    assert found is not None
    assert (found.service, found.product, found.version) == ("pop3", product, version)


@pytest.mark.parametrize(
    "data", [b"", b"+OK", b"+OK\r\n", b"+OK Dovecot ready.", b"-ERR unknown command 'GET'\r\n", b"+PONG\r\n"]
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_a_greeting_that_refuses_is_left() -> None:
    played = play(converse(ASKED), greeting=b"-ERR [IN-USE] busy\r\n")
    assert played.finding is not None
    assert (played.said, played.farewell, played.finding.note is None) == ([], b"QUIT\r\n", False)


def test_other_servers_are_none() -> None:
    assert play(converse(ASKED), lambda _: b"$5\r\nhello\r\n", greeting=b"+OK\r\n").finding is None
    for greeting in (b"", b"* OK x\r\n", b"220 x\r\n"):
        played = play(converse(ASKED), greeting=greeting)
        assert (played.finding, played.said) == (None, [])
