"""What is to be tested: hosts, endpoints, URLs, blocks of addresses and files of them, and lists of ports.

It reads them, and finds a name's addresses. Whether one may test them all without being asked twice is decided here;
the tests themselves are left to reach.py.
"""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from portbook.errors import N_, BadQuestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from ipaddress import IPv4Network, IPv6Network

    Block = IPv4Network | IPv6Network

_LONGEST_NAME = 255
_DIGITS = 9
"""More make no port, and Python refuses to read thousands of them."""

MOST_ADDRESSES = 4096
"""More are tested only when that is confirmed."""

_WIDEST = {4: 24, 6: 120}
"""The shortest prefix of a public network that is tested without a confirmation."""

_SCHEMES = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "ftp": 21,
    "ftps": 990,
    "ssh": 22,
    "sftp": 22,
    "telnet": 23,
    "smtp": 25,
    "smtps": 465,
    "imap": 143,
    "imaps": 993,
    "pop": 110,
    "pop3": 110,
    "pop3s": 995,
    "nntp": 119,
    "irc": 194,
    "ircs": 6697,
    "ldap": 389,
    "ldaps": 636,
    "mysql": 3306,
    "mariadb": 3306,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "mqtt": 1883,
    "mqtts": 8883,
    "mongodb": 27017,
    "rtsp": 554,
    "git": 9418,
    "svn": 3690,
    "rsync": 873,
    "vnc": 5900,
    "rdp": 3389,
    "sip": 5060,
    "sips": 5061,
    "xmpp": 5222,
}
"""The ports of URI schemes that people write (the IANA registry of URI schemes, and each product's documents)."""


class Target(NamedTuple):
    """One address to be tested: what the user wrote, the host's name (else the address), and the port, if any."""

    text: str
    host: str
    ip: str
    port: int | None = None


class Named(NamedTuple):
    """What the user wrote, taken apart: a name, an address or a block of them, and a port, if any."""

    text: str
    host: str
    port: int | None = None
    block: Block | None = None


def named(text: str) -> Named:
    """Take one target apart: `host`, `host:port`, `[v6]:port`, `v6`, a URL, or a CIDR block. Raises BadQuestion."""
    text = text.strip()
    if "://" in text:
        return _url(text)
    if text.startswith("["):
        inner, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise _no_target(text)
        return Named(text, _literal(inner, text), _port(rest[1:], text) if rest else None)
    if "/" in text:
        try:
            return Named(text, text, block=ip_network(text, strict=False))
        except ValueError:
            raise _no_target(text) from None
    if text.count(":") > 1:
        return Named(text, _literal(text, text))
    host, colon, port = text.partition(":")
    return Named(text, _name(host, text), _port(port, text) if colon else None)


def _url(text: str) -> Named:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _no_target(text) from None
    host = _literal(host.replace("%25", "%", 1), text) if ":" in host else _name(host, text)
    # What stands before the @ may be a password, and what a target is called is shown.
    shown = text.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
    if port is None and parts.scheme not in _SCHEMES:
        raise BadQuestion(
            N_("{text}: the port of {scheme} is not known; write it: {scheme}://{host}:PORT"),
            text=shown,
            scheme=parts.scheme,
            host=host,
        )
    return Named(shown, host, _SCHEMES.get(parts.scheme) if port is None else _port(str(port), shown))


def _literal(text: str, whole: str) -> str:
    try:
        return _canonical(text)
    except ValueError:
        raise _no_target(whole) from None


def _canonical(text: str) -> str:
    """Return an address as RFC 5952 writes it; one that is IPv4's, mapped into IPv6, as IPv4. Raises ValueError."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(address if mapped is None else mapped)


def _name(host: str, whole: str) -> str:
    """Return a host's name or IPv4 address, of which it has the form. Raises BadQuestion.

    A number alone is none: the C library would take 443 for 0.0.1.187.
    """
    odd = not host.isprintable() or any(character.isspace() or character in "@?#%\\/[]" for character in host)
    if not host or odd or len(host) > _LONGEST_NAME or host.isdecimal():
        raise _no_target(whole)
    return host


def _port(text: str, whole: str) -> int:
    if _is_port(text):
        return int(text)
    raise BadQuestion(N_("{text}: a port is a number from 1 to 65535"), text=whole)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS and 0 < int(text) < 65536


def _no_target(text: str) -> BadQuestion:
    return BadQuestion(
        N_("{text} is no target; one is: host, host:port, [IPv6]:port, a URL, or a block such as 192.0.2.0/24"),
        text=text or '""',
    )


def in_file(lines: Iterable[str]) -> Iterator[str]:
    """Yield the targets in the lines of a file: one or more a line, `#` begins a comment."""
    for line in lines:
        yield from line.partition("#")[0].split()


def addresses(target: Named, families: Sequence[int] = (4, 6)) -> list[Target]:
    """Return every address of a target, each once, in the resolver's order. Raises BadQuestion where it has none."""
    no_address = BadQuestion(N_("{host} has no address of the family that was asked for"), host=target.host)
    if target.block is not None:
        if target.block.version not in families:
            raise no_address
        hosts = target.block.hosts() if target.block.num_addresses > 2 else iter(target.block)
        return [Target(target.text, str(ip), str(ip)) for ip in hosts]
    try:
        found = [_canonical(target.host)]
    except ValueError:
        found = _resolved(target)
    _check_zone(target)
    kept = [ip for ip in dict.fromkeys(found) if ip_address(ip.partition("%")[0]).version in families]
    if not kept:
        raise no_address
    return [Target(target.text, target.host, ip, target.port) for ip in kept]


def _check_zone(target: Named) -> None:
    """Refuse an address with a zone (RFC 4007) that is none of this host's interfaces. Raises BadQuestion."""
    zone = target.host.partition("%")[2]
    if zone:
        try:
            socket.if_indextoname(int(zone)) if zone.isdecimal() else socket.if_nametoindex(zone)
        except (OSError, OverflowError, ValueError):
            raise BadQuestion(N_("{host}: this host has no interface {zone}"), host=target.host, zone=zone) from None


def _resolved(target: Named) -> list[str]:
    try:
        found = socket.getaddrinfo(target.host, None, type=socket.SOCK_STREAM)
        return [_canonical(_zoned(*entry[4])) for entry in found]
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadQuestion(N_("{host} cannot be looked up: {reason}"), host=target.host, reason=reason) from error


def _zoned(ip: str | int, _port: str | int, _flow: int = 0, zone: int = 0) -> str:
    """Return a resolver's address with its zone, by which alone a link-local one can be reached (RFC 4007)."""
    return f"{ip}%{socket.if_indextoname(zone)}" if zone else str(ip)


def is_near(ip: str) -> bool:
    """Return whether an address is of this host or of a private network, where a faster pace bothers nobody else."""
    address = ip_address(ip.partition("%")[0])
    return address.is_private or address.is_loopback or address.is_link_local


def size(targets: Iterable[Named]) -> int:
    """Return how many addresses the targets have at most, names counted as one."""
    return sum(1 if target.block is None else target.block.num_addresses for target in targets)


def check_permission(targets: Sequence[Named]) -> None:
    """Refuse what looks like somebody else's network. Raises BadQuestion that says how to confirm."""
    for target in targets:
        block = target.block
        if block is not None and block.is_global and block.prefixlen < _WIDEST[block.version]:
            raise BadQuestion(
                N_(
                    "{text} is a wide public network: test only what is yours or what you may test; --yes confirms"
                    " that you may"
                ),
                text=target.text,
            )
    count = size(targets)
    if count > MOST_ADDRESSES:
        raise BadQuestion(
            N_("{count} addresses are more than {most}: test only what you may test; --yes confirms that you may"),
            count=count,
            most=MOST_ADDRESSES,
        )


def ports_in(text: str, sets: dict[str, Sequence[int]]) -> list[int]:
    """Return the ports of a list such as `22,80,8000-8100,main`, each once. Raises BadQuestion.

    `sets` are those with names.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        part = part.strip()
        if part in sets:
            found |= dict.fromkeys(sets[part])
            continue
        first, dash, last = part.partition("-")
        bounds = [first, last if dash else first]
        if dash and not first and last:
            bounds[0] = "1"
        if dash and first and not last:
            bounds[1] = "65535"
        if not all(map(_is_port, bounds)):
            raise BadQuestion(
                N_("{text} is no list of ports; one is: 22,80,8000-8100, or {sets}"),
                text=part or text,
                sets=", ".join(sets),
            )
        begin, end = map(int, bounds)
        if begin > end:
            raise BadQuestion(N_("{text}: the first port is beyond the last"), text=part)
        found |= dict.fromkeys(range(begin, end + 1))
    return list(found)
