"""Who asks: what is believed of headers, and what an address is under its wrappings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from portbook.errors import BadQuestion
from portbook.web.settings import Settings
from portbook.web.visitor import Visitor, normalised, visitor

PROXY = "10.0.0.2"
SETTINGS: dict[str, Any] = {"mode": "public", "trusted_proxies": ("10.0.0.0/24", "fd00:1::/64")}
FAR = "8.8.8.8"


def asked(peer: str, *headers: tuple[str, str], **settings: Any) -> Visitor:
    """Return who is taken to ask, from a peer with headers."""
    scope = {"client": (peer, 50000), "server": ("192.0.2.1", 80), "scheme": "http"}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return visitor(scope, Headers(raw=raw), Settings(**{**SETTINGS, **settings}))


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("64:ff9b::10.1.2.3", "10.1.2.3"),
        ("64:ff9b::a9fe:a9fe", "169.254.169.254"),
        ("2002:7f00:1::1", "127.0.0.1"),
        ("2002:c0a8:101::", "192.168.1.1"),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "10.0.0.1"),
        ("2606:4700::1111", "2606:4700::1111"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ],
)
def test_wrappings_are_taken_off(text: str, inside: str) -> None:
    assert str(normalised(text)) == inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "fe80::1%eth0",
        "::ffff:127.0.0.1%lo",
        "fe80::1%",
        "127.1",
        "0x7f000001",
        "2130706433",
        "127.0.0.01",
        "1.2.3.4\n",
        " 1.2.3.4",
        "1.2.3.4/32",
        "::1/128",
        "[::1]",
        "١.١.١.١",
        "1.2.3.4\x00",
    ],
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(BadQuestion):
        normalised(text)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP", "CF-Connecting-IP", "Via"]
)
@pytest.mark.parametrize("value", ["9.9.9.9", "for=9.9.9.9", "127.0.0.1, 10.0.0.2", "%%%", "for="])
def test_a_stranger_is_who_connects_whatever_they_say(name: str, value: str) -> None:
    who = asked(FAR, (name, value), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"))
    assert (who.ip, who.port, who.scheme, who.unknown) == (FAR, 50000, "http", False)
    assert who.server is not None


def test_nothing_is_trusted_by_default() -> None:
    assert Settings(mode="public").trusted_proxies == ()
    assert asked("127.0.0.1", ("X-Forwarded-For", FAR), trusted_proxies=()).ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("chain", "who"),
    [
        (FAR, FAR),
        (f"9.9.9.9, {FAR}", FAR),  # the visitor wrote the first
        (f"127.0.0.1, {FAR}", FAR),
        (f"10.0.0.9, {FAR}", FAR),
        (f"{FAR}, 10.0.0.3", FAR),
        (f"9.9.9.9,{FAR},10.0.0.3,10.0.0.4", FAR),
        (f"{FAR}:4711", FAR),
        ("[2606:4700::1]:4711", "2606:4700::1"),
        ("2606:4700::1", "2606:4700::1"),
        ("::ffff:8.8.8.8", FAR),
        (f"\t{FAR} ", FAR),
    ],
)
def test_a_chain_is_read_from_the_nearest_proxy_on(chain: str, who: str) -> None:
    found = asked(PROXY, ("X-Forwarded-For", chain))
    assert (found.ip, found.server, found.unknown) == (who, None, False)


def test_a_chain_over_several_lines_is_one_chain() -> None:
    assert asked(PROXY, ("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", FAR)).ip == FAR


def test_a_mapped_proxy_is_the_proxy() -> None:
    assert asked("::ffff:10.0.0.2", ("X-Forwarded-For", FAR)).ip == FAR
    assert asked("fd00:1::5", ("X-Forwarded-For", FAR)).ip == FAR
    assert asked("fd00:2::5", ("X-Forwarded-For", FAR)).ip == "fd00:2::5"


@pytest.mark.parametrize("chain", [None, "10.0.0.3", "10.0.0.3, 10.0.0.4"])
def test_a_proxy_that_names_nobody_leaves_the_visitor_unknown(chain: str | None) -> None:
    headers = [] if chain is None else [("X-Forwarded-For", chain)]
    assert asked(PROXY, *headers).unknown


MALFORMED = [
    "",
    ",",
    "unknown",
    "localhost",
    "evil.example",
    "8.8.8.8,",
    "8.8.8.8,,9.9.9.9",
    "8.8.8.8:0",
    "8.8.8.8:65536",
    "8.8.8.8:99999999999999999999",
    "8.8.8.8:",
    "8.8.8.8:x",
    "[8.8.8.8]",
    "[::1",
    "[::1]x",
    "[::1]:",
    "fe80::1%eth0",
    "8.8.8.8 9.9.9.9",
    "8.8.8.8;9.9.9.9",
    "8.8.8.8\x00",
    "8.8.8.8\x1b[31m",
    "0x08080808",
    "134744072",
    "8.8.8.8/32",
    "\xff\xfe",
    ", ".join([FAR] * 33),
    "8." * 5000,
]


@pytest.mark.parametrize("chain", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("place", ["{chain}", "{chain}, 8.8.8.8", "8.8.8.8, {chain}"])
def test_a_malformed_chain_is_refused_wherever_it_is_so(chain: str, place: str) -> None:
    with pytest.raises(BadQuestion):
        asked(PROXY, ("X-Forwarded-For", place.format(chain=chain)))


FORWARDED: dict[str, Any] = {"forwarded_header": "forwarded"}


@pytest.mark.parametrize(
    ("value", "ip", "port", "scheme"),
    [
        ("for=8.8.8.8", FAR, None, "http"),
        ("For=8.8.8.8;proto=https;by=10.0.0.2", FAR, None, "https"),
        ('for="8.8.8.8:4711"', FAR, 4711, "http"),
        ('for="[2606:4700::1]:4711";proto=HTTPS', "2606:4700::1", 4711, "https"),
        ("for=9.9.9.9;proto=https, for=8.8.8.8;proto=http", FAR, None, "http"),
        ('for=9.9.9.9;host="a, for=1.1.1.1;b", for=8.8.8.8', FAR, None, "http"),  # what is quoted separates nothing
        (r'for=9.9.9.9;host="\", for=1.1.1.1", for=8.8.8.8', FAR, None, "http"),
        ("for=8.8.8.8;proto=https, for=10.0.0.3;proto=http", FAR, None, "https"),
        ("for=8.8.8.8 ; proto=https", FAR, None, "https"),
    ],
)
def test_forwarded_is_read_as_its_standard_says(value: str, ip: str, port: int | None, scheme: str) -> None:
    found = asked(PROXY, ("Forwarded", value), **FORWARDED)
    assert (found.ip, found.port, found.scheme) == (ip, port, scheme)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "8.8.8.8",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=[::1]",
            "proto=https",
            "for=8.8.8.8;",
            ";",
        ),
        *("for=8.8.8.8;for=9.9.9.9", "for=8.8.8.8;FOR=9.9.9.9", "for=8.8.8.8;proto=gopher", "for=8.8.8.8:80"),
        *(
            'for="8.8.8.8',
            'for=8.8.8.8"',
            'for=9.9.9.9;host=", for=8.8.8.8',
            "for=8.8.8.8 for=9.9.9.9",
            "for = 8.8.8.8",
        ),
        *('for="fe80::1%eth0"', 'for="[fe80::1%eth0]"', "for=8.8.8.8,", ",for=8.8.8.8", 'for="8.8.8.8\x00"'),
        ", ".join(["for=8.8.8.8"] * 33),
        'for=8.8.8.8;x="' + "\\" * 9999,
    ],
)
def test_a_malformed_forwarded_is_refused(value: str) -> None:
    with pytest.raises(BadQuestion):
        asked(PROXY, ("Forwarded", value), **FORWARDED)


def test_only_the_header_that_the_proxy_writes_counts() -> None:
    assert asked(PROXY, ("Forwarded", "for=9.9.9.9"), ("X-Forwarded-For", FAR)).ip == FAR
    found = asked(PROXY, ("Forwarded", "for=8.8.8.8"), ("X-Forwarded-For", "9.9.9.9"), **FORWARDED)
    assert found.ip == FAR
    found = asked(PROXY, ("Forwarded", "for=8.8.8.8"), ("X-Forwarded-Proto", "https"), **FORWARDED)
    assert found.scheme == "http"


def test_the_nearest_proxy_says_how_it_was_asked() -> None:
    who = ("X-Forwarded-For", FAR)
    assert asked(PROXY, who, ("X-Forwarded-Proto", "https")).scheme == "https"
    assert asked(PROXY, who, ("X-Forwarded-Proto", "https, http")).scheme == "http"
    assert asked(PROXY, who, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")).scheme == "http"
    with pytest.raises(BadQuestion):
        asked(PROXY, who, ("X-Forwarded-Proto", "javascript"))


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (FAR, [("Via", "1.1 proxy")]),
        (FAR, [("X-Forwarded-For", "192.168.1.1")]),
        (FAR, [("Forwarded", "for=192.168.1.1")]),
        (PROXY, [("X-Forwarded-For", f"192.168.1.1, {FAR}")]),
        (PROXY, [("X-Forwarded-For", FAR), ("Via", "1.1 proxy")]),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", []),
        ("2002:808:808::1", []),
    ],
)
def test_an_address_that_speaks_for_others_is_shared(peer: str, headers: list[tuple[str, str]]) -> None:
    found = asked(peer, *headers)
    assert (found.ip, found.shared) == (FAR, True)
    assert not asked(FAR).shared


@given(st.text(st.characters(max_codepoint=255), max_size=200), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_whatever_a_visitor_writes_before_the_proxys_word_it_stays_theirs(text: str, header: str) -> None:
    said = f"for={FAR}" if header == "forwarded" else FAR
    try:
        found = asked(PROXY, (header, f"{text}, {said}"), forwarded_header=header)
    except BadQuestion:
        return
    assert found.ip == FAR
