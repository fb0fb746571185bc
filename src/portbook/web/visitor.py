"""Who asks: the address that a request really came from, and what its way says of it.

A header counts only where a proxy that the operator trusts has set it. Whether the address may be
tested is guard.py's.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from portbook.endpoint import Endpoint
from portbook.errors import N_, BadQuestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.datastructures import Headers
    from starlette.types import Scope

    from portbook.web.settings import Settings

    Address = IPv4Address | IPv6Address

_MOST_HOPS = 32
_NAT64 = ip_network("64:ff9b::/96")
"""IPv4 addresses as an IPv6-only host sees them (RFC 6052, section 2.1)."""

_SIGNS_OF_A_PROXY = ("via", "forwarded", "x-forwarded-for", "x-proxyuser-ip", "cdn-loop")

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - of HTTP: RFC 9110, section 5.6.2
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PAIR = rf"({_TOKEN})=({_TOKEN}|{_QUOTED})"
_ELEMENT = re.compile(rf"{_PAIR}(?:[ \t]*;[ \t]*{_PAIR})*")
_ONE_PAIR = re.compile(_PAIR)
_COMMA = re.compile(r"[ \t]*,[ \t]*")
"""What Forwarded is made of (RFC 7239, section 4): a comma or a semicolon within quotes separates nothing."""


class Visitor(NamedTuple):
    """One request's sender: the address, the source port where it is known, and the endpoint that was asked.

    `server` is this server's side of the visitor's socket pair, None behind a proxy, which has a pair of its own.
    `shared` is that something on the way says it speaks for others. `scheme` is http or https.
    """

    ip: str
    port: int | None
    server: Endpoint | None
    scheme: str = "http"
    shared: bool = False
    unknown: bool = False
    """Whether only a proxy's own address is known."""


class Hop(NamedTuple):
    """What one proxy says of its peer: address, source port and scheme, None for what it does not say."""

    address: Address
    tunnelled: bool
    port: int | None = None
    scheme: str | None = None


def normalised(text: str) -> Address:
    """Return an address without what wraps it: IPv4-mapped, NAT64, 6to4 and Teredo become the IPv4 address inside.

    Raises BadQuestion for what is no address, or has a zone (RFC 4007), which means something to one host only.
    """
    return _unwrapped(text)[0]


def _unwrapped(text: str) -> tuple[Address, bool]:
    """Return the address inside, and whether a tunnel's end has it rather than the visitor (6to4, Teredo)."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise BadQuestion(N_("{text} is no address"), text=text) from error
    if isinstance(address, IPv4Address):
        return address, False
    if address.scope_id is not None:
        raise BadQuestion(N_("{text} is no address"), text=text)
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF), False
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped, False
    inside = address.sixtofour or (None if address.teredo is None else address.teredo[1])
    return (address, False) if inside is None else (inside, True)


def is_trusted(address: Address, settings: Settings) -> bool:
    """Whether the operator says that a proxy of theirs has the address."""
    return any(address in network for network in settings.trusted_proxies if network.version == address.version)


def visitor(scope: Scope, headers: Headers, settings: Settings) -> Visitor:
    """Return who sent a request. Raises BadQuestion where a trusted proxy's words about that are malformed."""
    host, port = scope.get("client") or ("", 0)
    peer, tunnelled = _unwrapped(host)
    there = scope.get("server")
    spoken = scope.get("scheme", "http")
    if not is_trusted(peer, settings):
        signs = any(name in headers for name in _SIGNS_OF_A_PROXY)
        server = None if not there or there[1] is None else Endpoint(str(normalised(there[0])), there[1])
        return Visitor(str(peer), port, server, spoken, shared=signs or tunnelled)
    by_rfc = settings.forwarded_header == "forwarded"
    hops = _forwarded(headers) if by_rfc else _x_forwarded_for(headers, _x_forwarded_proto(headers))
    for place in range(len(hops) - 1, -1, -1):
        hop = hops[place]
        if not is_trusted(hop.address, settings):
            shared = place > 0 or hop.tunnelled or "via" in headers
            return Visitor(str(hop.address), hop.port, None, hop.scheme or spoken, shared=shared)
    return Visitor(str(peer), None, None, spoken, unknown=True)


def _x_forwarded_for(headers: Headers, scheme: str | None) -> list[Hop]:
    """Return the senders that proxies name, the first proxy's first. Raises BadQuestion for a malformed one."""
    name = "x-forwarded-for"
    said = [item.strip(" \t") for line in headers.getlist(name) for item in line.split(",")]
    return _hops(name, [(item, scheme) for item in said])


def _x_forwarded_proto(headers: Headers) -> str | None:
    """Return what the nearest proxy says how it was asked. Raises BadQuestion."""
    lines = headers.getlist("x-forwarded-proto")
    return _scheme("x-forwarded-proto", lines[-1].rpartition(",")[2].strip(" \t")) if lines else None


def _forwarded(headers: Headers) -> list[Hop]:
    """Return the senders that the elements of Forwarded name. Raises BadQuestion for a malformed one."""
    said = []
    for line in headers.getlist("forwarded"):
        for pairs in _elements(line.strip(" \t")):
            values = dict(pairs)
            if len(values) != len(pairs) or "for" not in values:
                raise _malformed("forwarded")
            proto = values.get("proto")
            said.append((values["for"], None if proto is None else _scheme("forwarded", proto)))
    return _hops("forwarded", said)


def _elements(line: str) -> Iterable[list[tuple[str, str]]]:
    """Yield the pairs of each element, names in lower case, values without quotes. Raises BadQuestion."""
    place = 0
    while True:
        element = _ELEMENT.match(line, place)
        if element is None:
            raise _malformed("forwarded")
        yield [(name.lower(), _plain(value)) for name, value in _ONE_PAIR.findall(element[0])]
        if element.end() == len(line):
            return
        comma = _COMMA.match(line, element.end())
        if comma is None:
            raise _malformed("forwarded")
        place = comma.end()


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _hops(name: str, said: list[tuple[str, str | None]]) -> list[Hop]:
    if len(said) > _MOST_HOPS:
        raise _malformed(name)
    try:
        return [_hop(text, scheme) for text, scheme in said]
    except (BadQuestion, ValueError) as error:
        raise _malformed(name) from error


def _hop(text: str, scheme: str | None) -> Hop:
    port = None
    if text.startswith("["):
        text, closed, rest = text[1:].partition("]")
        if not closed or ":" not in text or (rest and not rest.startswith(":")):
            raise ValueError(text)
        port = _port(rest[1:]) if rest else None
    elif text.count(":") == 1:
        text, _, digits = text.partition(":")
        port = _port(digits)
    address, tunnelled = _unwrapped(text)
    return Hop(address, tunnelled, port, scheme)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise ValueError(text)
    return int(text)


def _scheme(name: str, text: str) -> str:
    if text.lower() not in ("http", "https"):
        raise _malformed(name)
    return text.lower()


def _malformed(name: str) -> BadQuestion:
    return BadQuestion(N_("the header {name} is malformed"), name=name)
