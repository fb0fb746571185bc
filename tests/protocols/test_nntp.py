"""NNTP is known by a greeting that speaks of news or posting, or by its capabilities or help."""

from __future__ import annotations

import pytest

from portbook.protocols.nntp import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "INN 2.7.1",
        "INN",
        "2.7.1",
        b"201 server InterNetNews NNRP server INN 2.7.1 ready (no posting)\r\n",
        (
            (
                b"CAPABILITIES",
                b"101 Capability list:\r\nVERSION 2\r\nIMPLEMENTATION INN 2.7.1\r\nREADER\r\nSTARTTLS\r\n.\r\n",
            ),
            (b"STARTTLS", b"382 Begin TLS negotiation now\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "sn 0.3.8",
        "sn",
        "0.3.8",
        b"200 Hi, you can post (sn version 0.3.8)\r\n",
        ((b"CAPABILITIES", b"500 unimplemented\r\n"),),
    ),
    Recorded(
        "Leafnode, by its documentation",
        "Leafnode",
        "1.12.0",
        b"200 Leafnode NNTP Daemon, version 1.12.0 running at news.lab (my fqdn: news.lab)\r\n",
        ((b"CAPABILITIES", b"500 Unknown command\r\n"),),
    ),
    Recorded(
        "an old one that says little",
        None,
        None,
        b"200 ready\r\n",
        ((b"CAPABILITIES", b"500 what?\r\n"), (b"HELP", b"100 Help yourself\r\n.\r\n")),
    ),
    Recorded(
        "a new one that says little",
        "Eine Suppe 3",
        None,
        b"200 ready\r\n",
        ((b"CAPABILITIES", b"101 list\r\nVERSION 2\r\nIMPLEMENTATION Eine Suppe 3\r\n.\r\n"),),
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
        (b"200 NNTP Service 6.0.3790.1830 Version: 6.0 Posting Allowed \r\n", "Microsoft NNTP Service"),
        (b"200 news.example Cyrus NNTP 3.6.1 server ready, posting allowed\r\n", "Cyrus IMAP"),
        (b"502 You have no permission to talk.  Goodbye.\r\n", None),
        (b"400 news.example: NNTP server is full\r\n", None),
    ],
)
def test_the_server_names_itself(greeting: bytes, product: str | None) -> None:
    found = recognise(greeting)
    assert found is not None
    assert (found.service, found.product) == ("nntp", product)


@pytest.mark.parametrize("data", [b"", b"200 ready\r\n", b"201 server InterNetNews", b"220 news\r\n", b"200 OK\r\n"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_other_servers_are_none() -> None:
    assert play(converse(ASKED), lambda _: b"500 no\r\n", greeting=b"200 hi\r\n").finding is None
    assert play(converse(ASKED), greeting=b"220 x\r\n").said == []
