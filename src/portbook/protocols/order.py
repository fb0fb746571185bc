"""In which order a port is asked: what is at home there first, then what is likely and tells much by its errors.

What each protocol asks and understands is in the modules named after them.
"""

from __future__ import annotations

from functools import cache, lru_cache

from portbook.protocols.catalogue import protocols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal, TypeAlias

    from portbook.porttest import Finding
    from portbook.protocols.conversation import Protocol

    Behaviour: TypeAlias = Literal["hung up", "words", "silence"]

TLS = "tls"
"""Stands for a handshake among the questions: what speaks inside is found out then."""

FIRST = "http"
"""What is asked first where nothing known is at home. Many that are mute answer it in their own words: Redis, AMQP,
MongoDB, IRC and RTSP servers among them, and plain HTTP at a port of TLS tells of TLS."""

AFTER_HANG_UP = ("postgresql", "ms-wbt-server", "mqtt", "ldap", "git", "ms-sql-s", "x11")
"""What is asked of one that hung up on HTTP and on TLS, which is asked of it next: these take the first bytes for a
length or a type that cannot be."""

AFTER_LINES = ("memcache", "sip", "irc", "domain", "postgresql")
"""What is asked of one that hung up on HTTP, and waits for more after the first bytes of TLS: it read lines."""

AFTER_SILENCE = ("domain", "sip", TLS, "irc", "microsoft-ds", "sunrpc")
"""What is asked of one that waits for more: these take it for the beginning of something longer."""

AFTER_WORDS = ("memcache", "irc", "sip", TLS, "domain")
"""What is asked of one that said something nobody understands, such as a bare ERROR."""

ANYWHERE_UDP = ("domain", "snmp", "ntp", "sip", "stun", "coap", "tftp", "memcache")
"""The same for UDP, where nobody answers what he does not understand."""

ANYWHERE_INSIDE = ("http", "sip", "domain", "ldap", "mqtt")
"""The same inside TLS."""

_PORTS = 1024
"""So many ports' protocols are kept: they are looked up again and again while a port is identified."""

INSIDE = {
    "http": ("https", (443, 8443, 9443, 4443, 6443, 10443, 5986, 2376, 8006)),
    "smtp": ("submissions", (465,)),
    "imap": ("imaps", (993,)),
    "pop3": ("pop3s", (995,)),
    "nntp": ("nntps", (563,)),
    "ftp": ("ftps", (990,)),
    "irc": ("ircs-u", (6697,)),
    "telnet": ("telnets", (992,)),
    "ldap": ("ldaps", (636, 3269)),
    "sip": ("sips", (5061,)),
    "domain": ("domain-s", (853,)),
    "amqp": ("amqps", (5671,)),
    "mqtt": ("secure-mqtt", (8883,)),
    "rtsp": ("rtsps", (322,)),
    "xmpp-client": ("xmpps-client", (5223,)),
    "xmpp-server": ("xmpps-server", (5270,)),
}
"""What a protocol is called where TLS begins with the first byte, and the ports where it does (the IANA registry,
and for those above 6000 the habits of products)."""


@cache
def named(name: str) -> Protocol | None:
    """Return the protocol of that name."""
    return next((one for one in protocols() if one.name == name), None)


@lru_cache(_PORTS)
def at_home(port: int, transport: str = "tcp") -> tuple[Protocol, ...]:
    """Return the protocols whose port this is, without those that begin with TLS there."""
    inside = inside_at_home(port) if transport == "tcp" else ()
    return tuple(
        one for one in protocols() if port in one.ports and transport in one.transports and one not in inside
    )


@lru_cache(_PORTS)
def inside_at_home(port: int) -> tuple[Protocol, ...]:
    """Return the protocols that stand inside TLS at this port."""
    names = (name for name, (_, ports) in INSIDE.items() if port in ports)
    return tuple(one for one in map(named, names) if one is not None)


def questions(port: int) -> list[Protocol | None]:
    """Return the protocols to ask at first at a mute port of TCP, in order; None is TLS."""
    tls: list[Protocol | None] = [None] if inside_at_home(port) else []
    home = [one for one in at_home(port) if one.converse is not None]
    first = named(FIRST)
    return [*tls, *home, *([] if first is None or first in home else [first])]


def further_questions(
    behaviour: Callable[[], Behaviour], asked: Sequence[Protocol | None]
) -> Iterator[Protocol | None]:
    """Yield what is asked then, by what the port did when it was asked last; `behaviour` tells that when called."""
    done = list(asked)
    names = list(AFTER_SILENCE)
    if behaviour() == "hung up":
        if None not in done:
            done.append(None)
            yield None
        names = list(AFTER_HANG_UP if behaviour() == "hung up" else AFTER_LINES)
    spoke = False
    while names:
        if behaviour() == "words" and not spoke:
            spoke = True
            names = list(dict.fromkeys((*AFTER_WORDS, *names)))
        name = names.pop(0)
        one = None if name == TLS else named(name)
        if one not in done and (one is not None or name == TLS):
            done.append(one)
            yield one


def questions_inside(port: int) -> Iterator[Protocol]:
    """Yield the protocols to ask inside TLS at a port, in order."""
    home = inside_at_home(port)
    yield from home
    for one in map(named, ANYWHERE_INSIDE):
        if one is not None and one not in home:
            yield one


def alpn(port: int) -> tuple[str, ...]:
    """Return what is offered of protocols within TLS (RFC 7301): at a port of HTTPS, HTTP.

    Elsewhere nothing is: a server that has none of them in its list has to refuse.
    """
    return ("h2", "http/1.1") if port in INSIDE["http"][1] else ()


def recognised(
    said: bytes, order: Iterable[Protocol] | None = None, transport: str = "tcp"
) -> tuple[Protocol, Finding] | None:
    """Return the protocol that makes most of what a server said, and what it makes of it; of equals the first.

    Several may fit: MongoDB and Tor answer a request of HTTP in HTTP. So what is proven comes before what only fits,
    and HTTP after all others.
    """
    fits = []
    for one in protocols() if order is None else order:
        if said and transport in one.transports and (found := one.recognise(said)) is not None:
            if found.certain and found.service != FIRST:
                return one, found
            fits.append((one, found))
    return min(fits, key=lambda fit: (not fit[1].certain, fit[1].service == FIRST), default=None)


def all_first(first: Sequence[Protocol]) -> list[Protocol]:
    """Return every protocol, these first: the order in which recognisers are tried."""
    return [*first, *(one for one in protocols() if one not in first)]
