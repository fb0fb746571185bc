"""Which hosts may be named, and that what a name resolves to is held against what the operator wrote down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import BadQuestion
from portbook.web import allowed
from portbook.web.allowed import Allowed, NoAddress, allowed_addresses, host_name
from portbook.web.refused import Refused

GLOBAL = "93.184.215.14"


def never(_: str) -> bool:
    return False


def resolving(monkeypatch: pytest.MonkeyPatch, found: Sequence[str]) -> None:
    """Have every name resolve to these addresses."""

    async def looked_up(host: str) -> tuple[str, ...]:
        return tuple(found)

    monkeypatch.setattr(allowed, "_looked_up", looked_up)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("WWW.Example.ORG.", "www.example.org"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("_sip.example.org", "_sip.example.org"),
    ],
)
def test_a_host_is_kept_in_one_form(text: str, kept: str) -> None:
    assert host_name(text) == kept
    assert host_name(kept) == kept


NO_HOSTS = (
    *("", ".", "a b", "a/b", "user@host", "host:80", "-a.example", "a..b", "http://a", "<b>", "a\0b", "a\nb"),
    *("127.1", "2130706433", "0x7f.1", "1.2.3.4.5", "192.0.2.0/24", "fe80::1%eth0"),
    *("a" * 64 + ".example", "a." * 130 + "b"),
)


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_is_no_host_is_told_so(text: str) -> None:
    with pytest.raises(BadQuestion):
        host_name(text)


@given(st.text())
def test_any_text_is_a_host_or_told_to_be_none(text: str) -> None:
    try:
        kept = host_name(text)
    except BadQuestion:
        return
    assert kept.isascii()
    assert kept == kept.lower()
    assert not set(kept) & set("/ \\@?#%[]<>\"'")
    assert host_name(kept) == kept


@pytest.mark.parametrize(
    ("items", "ip", "host", "may"),
    [
        # By name: its addresses of the internet, and no other.
        (("www.example.org",), GLOBAL, "www.example.org", True),
        (("www.example.org",), "10.0.0.1", "www.example.org", False),
        (("www.example.org",), "127.0.0.1", "www.example.org", False),
        (("www.example.org",), "100.64.0.1", "www.example.org", False),
        (("www.example.org", "10.0.0.0/8"), "10.0.0.1", "www.example.org", True),
        (("*.example.org",), GLOBAL, "a.b.example.org", True),
        (("*.example.org",), GLOBAL, "example.org", False),
        (("*.example.org",), GLOBAL, "badexample.org", False),
        # By network, whatever the name.
        (("192.0.2.0/24",), "192.0.2.7", "other.example", True),
        (("192.0.2.0/24",), "198.51.100.7", "other.example", False),
        (("192.0.2.7",), "192.0.2.8", "192.0.2.8", False),
        # What is wrapped in IPv6 is judged as what it is.
        (("2000::/3", "::/0"), "2002:7f00:1::1", "x", False),
        (("::/0",), "64:ff9b::7f00:1", "x", False),
        (("::/0",), "::ffff:10.0.0.1", "x", False),
        (("10.0.0.0/8",), "64:ff9b::a00:1", "x", True),
        # Loopback, link-local and metadata only where they were meant.
        (("0.0.0.0/0", "::/0"), "127.0.0.1", "127.0.0.1", False),
        (("0.0.0.0/0", "::/0"), "::1", "::1", False),
        (("0.0.0.0/0", "::/0"), "169.254.1.1", "x", False),
        (("0.0.0.0/0", "::/0"), "fe80::1", "x", False),
        (("127.0.0.0/8",), "127.3.2.1", "127.3.2.1", True),
        (("127.0.0.1",), "127.0.0.1", "localhost", True),
        (("localhost",), "127.0.0.1", "localhost", True),
        (("localhost",), "::1", "localhost", True),
        (("localhost",), "127.0.0.1", "www.example.org", False),
        (("169.254.0.0/16",), "169.254.1.1", "x", True),
        (("169.254.0.0/16",), "169.254.169.254", "x", False),
        (("169.254.169.254",), "169.254.169.254", "x", True),
        (("fd00::/8",), "fd00:ec2::254", "x", False),
        (("100.64.0.0/10",), "100.100.100.200", "x", False),
        # Nobody's.
        (("0.0.0.0/0",), "0.0.0.0", "x", False),
        (("0.0.0.0/0",), "255.255.255.255", "x", False),
        (("0.0.0.0/0",), "224.0.0.1", "x", False),
        (("ff00::/8",), "ff02::1", "x", False),
        (("fe80::/10",), "fe80::1%eth0", "x", False),
    ],
)
def test_what_an_operator_allows(items: tuple[str, ...], ip: str, host: str, may: bool) -> None:
    assert Allowed.of(items).reaches(ip, host, never) is may


def test_this_servers_own_address_only_where_it_is_written_down() -> None:
    own = GLOBAL.__eq__
    assert not Allowed.of(("www.example.org",)).reaches(GLOBAL, "www.example.org", own)
    assert not Allowed.of(("0.0.0.0/0",)).reaches(GLOBAL, "x", own)
    assert Allowed.of((GLOBAL,)).reaches(GLOBAL, "x", own)


@given(st.ip_addresses() | st.integers(0, 2**32 - 1).map(lambda n: IPv6Address((0x64FF9B << 96) + n)))
def test_a_name_alone_never_leads_to_a_private_place(address: IPv4Address | IPv6Address) -> None:
    if Allowed.of(("www.example.org",)).reaches(str(address), "www.example.org", never):
        assert address.is_global
        assert not address.is_multicast
        inner = address if isinstance(address, IPv4Address) else ip_address(int(address) & 0xFFFFFFFF)
        if isinstance(address, IPv4Address) or int(address) >> 32 == 0x64FF9B << 64:
            assert inner.is_global


def test_every_address_of_a_name_is_held_against_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    which = Allowed.of(("www.example.org",))
    resolving(monkeypatch, (GLOBAL, "10.0.0.1"))
    with pytest.raises(Refused, match=r"10\.0\.0\.1") as caught:
        asyncio.run(allowed_addresses("www.example.org", which, never))
    assert caught.value.status == 403
    resolving(monkeypatch, (GLOBAL, "2606:2800:21f::1"))
    assert asyncio.run(allowed_addresses("www.example.org", which, never)) == (GLOBAL, "2606:2800:21f::1")
    resolving(monkeypatch, [f"93.184.215.{n}" for n in range(allowed.MOST_ADDRESSES + 1)])
    with pytest.raises(Refused, match="17 addresses"):
        asyncio.run(allowed_addresses("www.example.org", which, never))


def test_a_name_that_cannot_be_allowed_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked_up(host: str) -> tuple[str, ...]:
        raise AssertionError(host)

    monkeypatch.setattr(allowed, "_looked_up", looked_up)
    with pytest.raises(Refused):
        asyncio.run(allowed_addresses("other.example", Allowed.of(("www.example.org",)), never))


@pytest.mark.parametrize(("code", "kind"), [(socket.EAI_NONAME, NoAddress), (socket.EAI_AGAIN, BadQuestion)])
def test_no_such_name_is_told_from_no_answer(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[BadQuestion]
) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "said the resolver")

    async def asked() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", failing)
        await allowed_addresses("www.example.org", Allowed.of(("www.example.org",)), never)

    with pytest.raises(kind) as caught:
        asyncio.run(asked())
    assert type(caught.value) is kind


def test_localhost_is_looked_up_for_real() -> None:
    found = asyncio.run(allowed_addresses("localhost", Allowed.of(("localhost",)), never))
    assert set(found) <= {"127.0.0.1", "::1"}
    assert found
