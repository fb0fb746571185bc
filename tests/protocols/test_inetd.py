"""inetd's small services are known by the form of what they say, and an echo by what only it can repeat."""

from __future__ import annotations

import pytest

from portbook.protocols.conversation import Protocol
from portbook.protocols.http import request
from portbook.protocols.inetd import PROTOCOLS, recognise_chargen, recognise_daytime, recognise_echo, recognise_time

from .driving import ASKED, Played, play

NAMED = {one.name: one for one in PROTOCOLS}
NOW = b"\xee\xac=\x8c"
LINE = bytes(range(32, 104)) + b"\r\n"
QUOTE = b"A short quote.\n"


def _asked(protocol: Protocol, transport: str, said: bytes, *, port: int | None = None, ended: str = "end") -> Played:
    assert protocol.converse is not None
    asked = ASKED._replace(port=protocol.ports[0] if port is None else port, transport=transport)
    if transport == "udp":
        return play(protocol.converse(asked), [said], ended="silence")
    return play(protocol.converse(asked), greeting=said, ended=ended)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "said"), [("daytime", b"Sat Nov 21 15:55:55 2026\r\n"), ("time", NOW), ("chargen", LINE)]
)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_each_is_known_on_any_port(name: str, said: bytes, transport: str) -> None:
    played = _asked(NAMED[name], transport, said, port=1234)
    assert played.finding is not None
    assert (played.finding.service, played.finding.certain) == (name, True)
    assert (len(played.said) == 1) == (transport == "udp")


@pytest.mark.parametrize(
    "line",
    [
        b"Sat Nov 21 15:55:55 2026\r\n",
        b"Tue Nov  3 05:05:55 2026\n",
        b"21 NOV 2026 15:45:31 UTC\r\n",
        b"Saturday, November 21, 2026 15:45:31-UTC\r\n",
        b"15:45:31 21/11/2026\n",
        b"3:45:31 PM 11/21/2026\n",
        b"Sat Nov 21 15:55:55 CET 2026\r\n",
        b"2026-11-21T15:45:31+00:00\r\n",
        b"\n61365 26-11-21 15:45:31 00 0 0 123.4 UTC(NIST) * \n",
    ],
)
def test_daytime_has_many_forms(line: bytes) -> None:
    assert recognise_daytime(line) is not None


@pytest.mark.parametrize(
    "line", [b"", b"Sat Nov 21 15:55:55 2026", b"Hello, it is Sat Nov 21 15:55:55 2026\r\n", b"21\r\n", b"220 x\r\n"]
)
def test_other_lines_are_no_daytime(line: bytes) -> None:
    assert recognise_daytime(line) is None


def test_four_bytes_are_a_time_only_of_these_years() -> None:
    found = recognise_time(NOW)
    assert found is not None
    assert not found.certain
    assert [
        recognise_time(data)
        for data in (b"", NOW[:3], NOW + b"\0", b"\0\0\0\0", b"\xff\xfb\x01\xff", b"\x83\xaa\x7e\x80")
    ] == [None] * 6
    silent = _asked(NAMED["time"], "tcp", NOW, ended="silence").finding
    assert silent is not None
    assert not silent.certain


def test_characters_follow_upon_one_another() -> None:
    assert recognise_chargen(b"~ " + bytes(range(33, 103)) + b"\r\n") is not None
    assert recognise_chargen(b"~" + bytes(range(33, 104)) + b"\r\n") is not None
    for data in (b"", LINE[:39], b"a" * 72, LINE[::-1], bytes(range(256))):
        assert recognise_chargen(data) is None


def test_a_quote_is_one_at_its_port_alone() -> None:
    for transport in ("tcp", "udp"):
        found = _asked(NAMED["qotd"], transport, QUOTE).finding
        assert found is not None
        assert (found.service, found.certain, found.banner) == ("qotd", False, "A short quote.")
        assert _asked(NAMED["qotd"], transport, QUOTE, port=1234).finding is None
    assert _asked(NAMED["qotd"], "tcp", QUOTE, ended="silence").finding is None


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("cut", [1, 65536])
def test_an_echo_repeats_what_nobody_can_guess(transport: str, cut: int) -> None:
    echo = NAMED["echo"].converse
    assert echo is not None
    if transport == "tcp" or cut > 1:
        found = play(echo(ASKED._replace(transport=transport)), lambda said: said, cut=cut).finding
        assert found is not None
        assert found.service == "echo"
    assert play(echo(ASKED), lambda said: said[:-3]).finding is None
    assert play(echo(ASKED), lambda said: said.upper()).finding is None
    other = ASKED._replace(numbers=bytes(32))
    assert play(echo(other)).said != play(echo(ASKED)).said


def test_an_echo_of_another_question_is_one_too() -> None:
    assert recognise_echo(request(ASKED)) is not None
    assert recognise_echo(b"GET / HTTP/1.1\r\nUser-Agent: other\r\n\r\n") is None
    assert recognise_echo(b"") is None


def test_what_discards_is_not_asked() -> None:
    assert NAMED["discard"].converse is None
    assert NAMED["discard"].note is not None
