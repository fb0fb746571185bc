"""SMTP is known by its greeting or its answer to EHLO, and LMTP by that to LHLO."""

from __future__ import annotations

import pytest

from portbook.protocols.smtp import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "Postfix 3.7.11",
        "Postfix",
        None,
        b"220 server ESMTP Postfix (Debian/GNU)\r\n",
        (
            (b"EHLO", b"250-server\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n"),
            (b"STARTTLS", b"220 2.0.0 Ready to start TLS\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "Exim 4.96",
        "Exim",
        "4.96",
        b"220 server.lab ESMTP Exim 4.96 Sat, 21 Nov 2026 15:54:50 +0000\r\n",
        ((b"EHLO", b"250-server.lab Hello portbook.invalid [192.168.6.30]\r\n250-SIZE 52428800\r\n250 HELP\r\n"),),
    ),
    Recorded(
        "OpenSMTPD 6.8.0p2",
        "OpenSMTPD",
        None,
        b"220 server.lab ESMTP OpenSMTPD\r\n",
        ((b"EHLO", b"250-server.lab Hello portbook.invalid [192.168.6.30], pleased to meet you\r\n250 HELP\r\n"),),
    ),
    Recorded(
        "aiosmtpd 1.4.3",
        "aiosmtpd",
        "1.4.3",
        b"220 server Python SMTP 1.4.3\r\n",
        ((b"EHLO", b"250-server\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 HELP\r\n"),),
    ),
    Recorded(
        "Dovecot 2.3.19.1, submission",
        "Dovecot",
        None,
        b"220 server.lab Dovecot (Debian) ready.\r\n",
        (
            (
                b"EHLO",
                b"250-server.lab\r\n250-8BITMIME\r\n250-AUTH \r\n250-BURL imap\r\n250-STARTTLS\r\n250 PIPELINING\r\n",
            ),
            (b"STARTTLS", b"220 2.0.0 Begin TLS negotiation now.\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "Dovecot 2.3.19.1, LMTP",
        "Dovecot",
        None,
        b"220 server.lab Dovecot (Debian) ready.\r\n",
        (
            (b"EHLO", b"500 5.5.1 Unknown command\r\n"),
            (b"HELO", b"500 5.5.1 Unknown command\r\n"),
            (b"LHLO", b"250-server.lab\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 PIPELINING\r\n"),
        ),
        "lmtp",
    ),
    Recorded(
        "a Sendmail that hides, by its documentation",
        "Sendmail",
        "8.17.1",
        b"220 mail.lab.example ESMTP\r\n",
        (
            (
                b"EHLO",
                b"250-mail.lab.example Hello [192.0.2.7], pleased to meet you\r\n250-PIPELINING\r\n250 HELP\r\n",
            ),
            (b"HELP", b"214-2.0.0 This is sendmail version 8.17.1\r\n214 2.0.0 End of HELP info\r\n"),
        ),
    ),
    Recorded(
        "Courier, by its documentation",
        "Courier",
        None,
        b"220 mail.lab.example ESMTP\r\n",
        ((b"EHLO", b"250-mail.lab.example Ok.\r\n250-XVERP=Courier\r\n250-PIPELINING\r\n250 DSN\r\n"),),
    ),
    Recorded(
        "one that knows only HELO and says nothing",
        None,
        None,
        b"220 hello\r\n",
        ((b"EHLO", b"502 not implemented\r\n"), (b"HELO", b"250 hello\r\n")),
    ),
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
        (
            b"220 m.example ESMTP Sendmail 8.17.1.9/8.17.1.9/Debian-2+deb12u2; Sat, 21 Nov 2026\r\n",
            "Sendmail",
            "8.17.1.9",
        ),
        (b"220 m.example Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026\r\n", "Microsoft ESMTP", None),
        (
            b"220 m.example Microsoft ESMTP MAIL Service, Version: 10.0.14393 ready\r\n",
            "Microsoft ESMTP",
            "10.0.14393",
        ),
        (b"220 m.example ESMTP Haraka/2.8.28 ready\r\n", "Haraka", "2.8.28"),
        (b"220 m.example ESMTP MDaemon 21.5.2; Sat, 21 Nov 2026\r\n", "MDaemon", "21.5.2"),
        (b"220 m.example Kerio Connect 9.2.5 ESMTP ready\r\n", "Kerio Connect", "9.2.5"),
        (b"220 m.example ESMTP Service (HCL Domino Release 12.0.2) ready\r\n", "HCL Domino", "12.0.2"),
        (b"220 postfix.example ESMTP Exim 4.96 Sat\r\n", "Exim", "4.96"),
        (b"220 mx.google.com ESMTP 5b1f17b1804b1-47 - gsmtp\r\n", "Google SMTP", None),
        (b"220 m.example Python SMTP proxy version 0.3\r\n", "Python smtpd", "0.3"),
        (b"220-m.example ESMTP Exim 4.96.2 #2\r\n220-We do not authorize\r\n220 spam\r\n", "Exim", "4.96.2"),
        (b"220 m.example ESMTP\r\n", None, None),
    ],
)
def test_the_server_names_itself(greeting: bytes, product: str | None, version: str | None) -> None:
    found = recognise(greeting)
    assert found is not None
    assert (found.service, found.product, found.version) == ("smtp", product, version)
    assert found.server_name is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"220 m.example ESMTP",
        b"220 smtp.example\r\n",
        b"220 ready\r\n",
        b"220 smtp\r\n500 what\r\n",
        b"421 later\r\n",
    ],
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


@pytest.mark.parametrize(
    "greeting", [b"554 No mail here\r\n", b"421 4.7.0 too many\r\n", b"550 this SMTP server is not for you\r\n"]
)
def test_a_refusal_is_an_answer(greeting: bytes) -> None:
    played = play(converse(ASKED), greeting=greeting)
    assert played.finding is not None
    assert (played.finding.service, played.finding.note is None) == ("smtp", False)
    assert (played.said, played.farewell) == ([], b"QUIT\r\n")


def test_an_answer_behind_a_plain_greeting_proves_it() -> None:
    found = recognise(b"220 hello there\r\n500 5.5.2 Error: bad syntax\r\n")
    assert found is not None
    assert (found.service, found.server_name) == ("smtp", "hello")


def test_an_ftp_server_is_none() -> None:
    answer = b"530 Please login with USER and PASS.\r\n"
    assert play(converse(ASKED), lambda _: answer, greeting=b"220 Welcome\r\n").finding is None
    assert play(converse(ASKED), greeting=b"").said == []


def test_inside_tls_no_tls_is_begun() -> None:
    answers = {b"EHLO": b"250-x\r\n250 STARTTLS\r\n"}
    played = play(
        converse(ASKED._replace(tls=True)), lambda said: answers.get(said[:4], b""), greeting=b"220 x ESMTP\r\n"
    )
    assert (played.tls, played.finding and played.finding.service) == (0, "smtp")
