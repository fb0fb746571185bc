"""Which hosts an operator allows a signed-in person to name, for targets and webhooks: by name and by address.

A name is resolved here, once, and what it resolves to is what the caller connects to: a second look-up could lead
elsewhere (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import ip_address, ip_network
from typing import NamedTuple

import idna

from portbook.columns import address_text, pack_address
from portbook.errors import N_, BadQuestion
from portbook.web.guard import METADATA, is_global
from portbook.web.refused import Refused
from portbook.web.visitor import normalised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

MOST_ADDRESSES = 16
"""Of one name."""
_PATIENCE = 10.0
"""Seconds for a look-up."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_LINK = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))

NO_HOST = N_("{text} is no host; one is: www.example.org, 192.0.2.7, 2001:db8::7")
NOT_ALLOWED = N_("the operator of this server does not allow {host}")
_NOT_ALLOWED_THERE = N_("{host} has the address {ip}, which the operator of this server does not allow")
_NO_NAME = N_("{host} has no address")
_NOT_LOOKED_UP = N_("{host} cannot be looked up: {reason}")
_TOO_MANY = N_("{host} has {count} addresses; {most} may be tested at once")


class NoAddress(BadQuestion):
    """A name that has no address: an answer of the name system, not a fault on the way to it."""


class Allowed(NamedTuple):
    """What an operator wrote down: names, the ends of names (of `*.example.org`), and networks."""

    names: frozenset[str]
    endings: tuple[str, ...]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, items: Iterable[str]) -> Allowed:
        """Return what is allowed by host names, `*.example.org`, addresses and networks. Raises BadQuestion."""
        names, endings, networks = set(), [], []
        for item in items:
            try:
                networks.append(ip_network(item, strict=False))
            except ValueError:
                if item.startswith("*."):
                    endings.append("." + host_name(item[2:]))
                else:
                    names.add(host_name(item))
        return cls(frozenset(names), tuple(endings), tuple(networks))

    def names_host(self, host: str) -> bool:
        """Whether the host is allowed by its name."""
        return host in self.names or host.endswith(self.endings)

    def reaches(self, ip: str, host: str, is_own: Callable[[str], bool]) -> bool:
        """Whether an address of the host is allowed: one of an allowed network, or by its name one of the internet.

        Loopback, link-local and metadata addresses, and this server's own, are allowed only where they were meant:
        a network that merely holds them too, such as 0.0.0.0/0, does not say so.
        """
        try:
            address = normalised(ip)
        except BadQuestion:  # an address with a zone
            return False
        if address.is_multicast or address.is_unspecified or (address.version == 4 and int(address) == 0xFFFFFFFF):
            return False
        within = [network for network in self.networks if address in network]
        exact = any(network.prefixlen == network.max_prefixlen for network in within)
        if address in METADATA:
            return exact
        for special in (*_LOOPBACK, *_LINK):
            if address in special:
                by_name = special in _LOOPBACK and host == "localhost" and host in self.names  # RFC 6761, 6.3
                return by_name or any(_lies_in(network, special) for network in within)
        if is_own(str(address)):
            return exact
        return bool(within) or (self.names_host(host) and is_global(address))


def _lies_in(network: Network, special: Network) -> bool:
    return network.version == special.version and network.subnet_of(special)  # type: ignore[arg-type]


def host_name(text: str) -> str:
    """Return a host as it is kept: an address canonical, a name in small letters of ASCII (RFC 5890).

    Raises BadQuestion for what is neither.
    """
    text = text.strip()
    if len(text) > _LONGEST_NAME:
        raise BadQuestion(NO_HOST, text=text[:_LONGEST_NAME])
    try:
        return str(address_text(pack_address(text.removeprefix("[").removesuffix("]"))))
    except ValueError:
        pass
    try:
        name = idna.encode(text.rstrip("."), uts46=True).decode() if not text.isascii() else text.lower().rstrip(".")
    except idna.IDNAError as error:
        raise BadQuestion(NO_HOST, text=text) from error
    labels = name.split(".")
    # What ends in a number is an address to most resolvers, however it is spelt (RFC 3696, section 2).
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        raise BadQuestion(NO_HOST, text=text)
    return name


def check_name(host: str, allowed: Allowed) -> None:
    """Refuse a host that cannot be allowed, whatever it resolves to. Raises Refused (403)."""
    if not (allowed.networks or allowed.names_host(host)):
        raise Refused(403, NOT_ALLOWED, host=host)


async def allowed_addresses(host: str, allowed: Allowed, is_own: Callable[[str], bool]) -> tuple[str, ...]:
    """Return every address of a host, of both families, looked up now.

    Raises Refused (403) where one of them is not allowed, NoAddress where it has none, and BadQuestion where it
    cannot be looked up.
    """
    check_name(host, allowed)
    found = await _looked_up(host)
    for ip in found:
        if not allowed.reaches(ip, host, is_own):
            if ip == host:
                raise Refused(403, NOT_ALLOWED, host=host)
            raise Refused(403, _NOT_ALLOWED_THERE, host=host, ip=ip)
    if len(found) > MOST_ADDRESSES:
        raise Refused(422, _TOO_MANY, host=host, count=len(found), most=MOST_ADDRESSES)
    return found


async def _looked_up(host: str) -> tuple[str, ...]:
    try:
        return (str(ip_address(host)),)
    except ValueError:
        pass
    try:
        async with asyncio.timeout(_PATIENCE):
            entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise BadQuestion(N_("{host} cannot be looked up: no answer in time"), host=host) from error
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
            raise NoAddress(_NO_NAME, host=host) from error
        raise BadQuestion(_NOT_LOOKED_UP, host=host, reason=error.strerror) from error
    # An IPv4 address that came wrapped in IPv6 is told, and connected to, as what it is.
    return tuple(dict.fromkeys(_unwrapped(str(entry[4][0])) for entry in entries))


def _unwrapped(ip: str) -> str:
    return ip if "%" in ip else str(address_text(pack_address(ip)))
