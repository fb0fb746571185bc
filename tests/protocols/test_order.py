"""In which order a port is asked, and whose words a server's are."""

from __future__ import annotations

import pytest

from portbook.protocols.catalogue import protocols
from portbook.protocols.order import (
    ANYWHERE_INSIDE,
    INSIDE,
    at_home,
    further_questions,
    inside_at_home,
    named,
    questions,
    questions_inside,
    recognised,
)

HOMES = sorted(
    {port for one in protocols() for port in one.ports} | {port for _, ports in INSIDE.values() for port in ports}
)


def names(asked: object) -> list[str]:
    assert isinstance(asked, (list, tuple))
    return ["tls" if one is None else one.name for one in asked]


@pytest.mark.parametrize(
    ("port", "first"),
    [
        (22, ["http"]),
        (25, ["smtp", "http"]),
        (80, ["http"]),
        (443, ["tls", "http"]),
        (465, ["tls", "http"]),
        (6379, ["redis", "http"]),
        (8009, ["ajp13", "http"]),
        (50000, ["http"]),
    ],
)
def test_what_is_at_home_is_asked_first(port: int, first: list[str]) -> None:
    assert names(questions(port)) == first


def test_only_what_has_a_question_is_asked() -> None:
    assert any(one.converse is None for one in protocols())
    for port in HOMES:
        inside = list(questions_inside(port))
        assert inside[: len(inside_at_home(port))] == list(inside_at_home(port))
        assert {one.name for one in inside} >= set(ANYWHERE_INSIDE)
        for one in (*questions(port), *inside):
            assert one is None or one.converse is not None
        assert not set(names(at_home(port))) & set(names(inside_at_home(port)))


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [
        ("silence", ["domain", "sip", "tls", "irc", "microsoft-ds", "sunrpc"]),
        ("words", ["memcache", "irc", "sip", "tls", "domain", "microsoft-ds", "sunrpc"]),
        ("hung up", ["tls", "postgresql", "ms-wbt-server", "mqtt", "ldap", "git", "ms-sql-s", "x11"]),
    ],
)
def test_what_follows_goes_by_what_the_port_did(behaviour: str, asked: list[str]) -> None:
    done = questions(50000)
    assert names(list(further_questions(lambda: behaviour, done))) == asked  # type: ignore[arg-type,return-value]
    left = names(list(further_questions(lambda: behaviour, [*done, named("sip"), None])))  # type: ignore[arg-type,return-value]
    assert left == [name for name in asked if name not in ("sip", "tls")]


def test_what_is_proven_comes_before_what_fits_and_http_after_all() -> None:
    tor = b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\nContent-Type: text/html\r\n\r\n"
    told = [found[0].name if (found := recognised(said)) else None for said in (tor, b"HTTP/1.1 200 OK\r\n\r\n", b"")]
    assert told == ["socks", "http", None]
    weak = recognised(b"\xed\x00\x00\x00")
    assert weak is not None
    assert (weak[0].name, weak[1].certain) == ("time", False)
