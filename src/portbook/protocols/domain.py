"""DNS over UDP and TCP: a question that every server can answer from what it has, and what it says it is.

The first asks for the root's name servers and desires no recursion, so that nobody else is asked (RFC 1035, RFC
7766); the second is for the text version.bind in the class CHAOS, which BIND began and most others answer (RFC 4892).
"""

from __future__ import annotations

import re

from portbook.errors import Malformed
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram, text

_NS, _TXT, _IN, _CHAOS = 2, 16, 1, 3
_ROOT = b"\0"
_VERSION = b"\x07version\x04bind\0"
_CODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_PRODUCTS = (
    (re.compile(r"(?:ISC )?(?:BIND )?(9\.\d+\.\d+(?:(?:a|b|rc)\d+)?(?:-[PSW]\d+)*)"), "BIND"),
    (re.compile(r"(?:ISC )?BIND[ -]?([\d.]+\d)"), "BIND"),
    (re.compile(r"(8\.\d+\.\d+(?:-\w+)?)\Z"), "BIND"),
    (re.compile(r"unbound (\d\S*)", re.IGNORECASE), "Unbound"),
    (re.compile(r"dnsmasq-(?:pi-hole-)?v?(\d\S*)", re.IGNORECASE), "dnsmasq"),
    (re.compile(r"dnsmasq", re.IGNORECASE), "dnsmasq"),
    (re.compile(r"NSD (\d\S*)"), "NSD"),
    (re.compile(r"Knot DNS (\d\S*)"), "Knot DNS"),
    (re.compile(r"Knot Resolver (\d\S*)", re.IGNORECASE), "Knot Resolver"),
    (re.compile(r"PowerDNS Authoritative Server (\d\S*)"), "PowerDNS Authoritative Server"),
    (re.compile(r"PowerDNS Recursor (\d\S*)"), "PowerDNS Recursor"),
    (re.compile(r"(?:Served by )?PowerDNS"), "PowerDNS"),
    (re.compile(r"CoreDNS-v?(\d\S*)"), "CoreDNS"),
    (re.compile(r"Microsoft DNS ([\d.]+)"), "Microsoft DNS"),
    (re.compile(r"gdnsd[/ -](\d\S*)"), "gdnsd"),
    (re.compile(r"MaraDNS(?:[ /](\d\S*))?"), "MaraDNS"),
    (re.compile(r"AdGuard Home(?: v?(\d\S*))?"), "AdGuard Home"),
    (re.compile(r"Technitium DNS Server(?: v?(\d\S*))?"), "Technitium DNS Server"),
)


def _query(number: bytes, name: bytes, kind: int, group: int) -> bytes:
    return number[:2] + b"\0\0\0\1\0\0\0\0\0\0" + name + kind.to_bytes(2, "big") + group.to_bytes(2, "big")


def _name_end(data: bytes, place: int) -> int:
    """Return where the name at a place ends. Raises Malformed."""
    for _ in range(128):
        length = data[place : place + 1]
        if length and length[0] >= 0xC0:
            return place + 2
        if not length or length[0] >= 0x40:
            break
        place += 1 + length[0]
        if not length[0]:
            return place
    raise Malformed


def _question(data: bytes) -> tuple[bytes, int]:
    """Return the one question of an answer, and where it ends. Raises Malformed where it is no answer to one."""
    if len(data) < 12 or data[2] & 0xF8 != 0x80 or data[3] & 0x40 or data[4:6] != b"\0\1":
        raise Malformed
    end = _name_end(data, 12) + 4
    if len(data) < end or data[end - 2 : end] not in (b"\0\1", b"\0\3", b"\0\xff"):
        raise Malformed
    return data[12:end], end


def _answers(data: bytes, query: bytes) -> bool:
    """Whether it answers a query; an error may leave out the question."""
    if data[:2] != query[:2]:
        return False
    try:
        return _question(data)[0].lower() == query[12:]
    except Malformed:
        return len(data) == 12 and data[2] & 0xF8 == 0x80 and data[3] & 0x0F != 0 and not any(data[4:])


def _texts(data: bytes) -> str | None:
    """Return the text of the first TXT record of an answer. Raises Malformed."""
    place = _question(data)[1]
    for _ in range(min(8, int.from_bytes(data[6:8], "big"))):
        place = _name_end(data, place)
        kind, size = data[place : place + 2], int.from_bytes(data[place + 8 : place + 10], "big")
        content = data[place + 10 : place + 10 + size]
        place += 10 + size
        if len(content) < size or len(data) < place:
            raise Malformed
        if kind == b"\0\x10":
            strings, at = b"", 0
            while at < size:
                strings += content[at + 1 : at + 1 + content[at]]
                at += 1 + content[at]
            return text(strings).strip()
    return None


def _banner(data: bytes) -> str:
    code = data[3] & 0x0F
    return _CODES[code] if code < len(_CODES) else f"RCODE {code}"


def _found(first: bytes, second: bytes | None) -> Finding:
    try:
        told = None if second is None else _texts(second)
    except Malformed:
        told = None
    if not told:
        return Finding("domain", banner=_banner(first))
    for pattern, product in _PRODUCTS:
        if (named := pattern.match(told)) is not None:
            return Finding("domain", product, named[1] if pattern.groups else None, told[:200])
    return Finding("domain", banner=told[:200])


def recognise(data: bytes) -> Finding | None:
    """Return what an answer proves: a datagram, or a message with its length before it; with the question whole."""
    for message in (data, data[2:]):
        if message is not data and int.from_bytes(data[:2], "big") < 12 + 5:
            return None
        try:
            question, end = _question(message)
        except Malformed:
            continue
        if not int.from_bytes(message[6:8], "big") or len(message) == end or _plausible(message, end):
            return _found(message, message if question[:-4].lower() == _VERSION else None)
    return None


def _plausible(message: bytes, place: int) -> bool:
    """Whether a record begins there: a name, and a class that there is."""
    try:
        end = _name_end(message, place)
    except Malformed:
        return False
    return message[end + 2 : end + 4] in (b"\0\1", b"\0\3", b"")


def converse(asked: Asked) -> Conversation:
    """Ask for the root's name servers, then for the version, over what the port has."""
    first = _query(asked.numbers, _ROOT, _NS, _IN)
    second = _query(asked.numbers[2:], _VERSION, _TXT, _CHAOS)
    if asked.transport == "udp":
        answer = yield from datagram(first, lambda data: _answers(data, first))
        if answer is None:
            return None
        told = yield from datagram(second, lambda data: _answers(data, second))
        return _found(answer, told)
    server = Reader(asked.heard)
    replies: list[bytes] = []
    for query in (first, second):
        size = yield from server.exactly(2, len(query).to_bytes(2, "big") + query)
        message = None if size is None else (yield from server.exactly(int.from_bytes(size, "big")))
        if message is None or not _answers(message, query):
            break
        replies.append(message)
    yield Say(farewell=True)
    return _found(replies[0], replies[1] if len(replies) > 1 else None) if replies else None


PROTOCOL = Protocol("domain", (53,), ("udp", "tcp"), recognise=recognise, converse=converse)
