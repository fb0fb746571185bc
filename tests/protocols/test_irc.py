"""IRC is known by what a server says to one who has not registered."""

from __future__ import annotations

import pytest

from portbook.protocols.irc import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "ngIRCd 26.1",
        "ngIRCd",
        None,
        answers=((b"CAP LS 302\r\nQUIT", b":server.lab CAP * LS :multi-prefix\r\nERROR :Closing connection\r\n"),),
    ),
    Recorded(
        "InspIRCd 3.15.0 without CAP",
        None,
        None,
        answers=((b"CAP", b"ERROR :Closing link: (035AAAAAA@192.168.6.30) [Client exited]\r\n"),),
    ),
    Recorded(
        "ircd-hybrid 8.2.43",
        None,
        None,
        b":hyb.lab.example NOTICE * :*** Looking up your hostname\r\n:hyb.lab.example NOTICE * :*** Ident\r\n",
    ),
    Recorded(
        "ZNC 1.8.2",
        "ZNC",
        None,
        answers=((b"CAP", b":irc.znc.in CAP unknown-nick LS :batch cap-notify echo-message znc.in/batch\r\n"),),
    ),
    Recorded(
        "BitlBee 3.6",
        "BitlBee",
        None,
        b":server.lab NOTICE * :BitlBee-IRCd initialized, please go on\r\n",
        ((b"CAP", b":server.lab CAP * LS :sasl=PLAIN multi-prefix\r\nERROR :Closing link: Leaving...\r\n"),),
    ),
    Recorded(
        "InspIRCd, by its documentation",
        "InspIRCd",
        None,
        answers=(
            (b"CAP", b":irc.example CAP * LS :cap-notify inspircd.org/poison inspircd.org/standard-replies\r\n"),
        ),
    ),
    Recorded(
        "UnrealIRCd, by its documentation, in two lines",
        "UnrealIRCd",
        None,
        b":irc.example NOTICE * :*** Looking up your hostname...\r\n",
        (
            (
                b"CAP",
                b":irc.example CAP * LS * :unrealircd.org/plaintext-policy unrealircd.org/link-security\r\n"
                b":irc.example CAP * LS :sts=port=6697\r\nERROR :Closing Link: [192.0.2.7] (Quit: )\r\n",
            ),
        ),
    ),
    Recorded("an old one", None, None, answers=((b"CAP", b":irc.example 451 * :You have not registered\r\n"),)),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_an_answer_to_http_is_its_own() -> None:
    found = recognise(b'ERROR :"Oops, HTTP request received? This is IRC!"\r\n')
    assert found is not None
    assert found.service == "irc"


@pytest.mark.parametrize(
    "data", [b"", b"ERROR\r\n", b"CAP LS 302\r\nQUIT\r\n", b":x\r\n", b"ERROR :cut", b"NOTICE\r\n", b"PING :1\r\n"]
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_nothing_is_said_to_a_server_of_another_protocol() -> None:
    played = play(converse(ASKED._replace(heard=b"220 hi\r\n")))
    assert (played.finding, played.said) == (None, [])
