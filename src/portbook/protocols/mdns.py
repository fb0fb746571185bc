"""mDNS: which services a host has, and its name, asked of it alone (RFC 6762, sections 5.5 and 6.7; RFC 6763, 9)."""

from __future__ import annotations

from ipaddress import ip_address

from portbook.errors import Malformed
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, text

_SERVICES = [b"_services", b"_dns-sd", b"_udp", b"local"]
_BY_UNICAST = b"\0\x0c\x80\1"
"""PTR, class IN, and the answer wanted by unicast."""
_POINTER = b"\0\x0c"
_MOST = 20


def _name(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _labels(data: bytes, place: int) -> tuple[list[bytes], int]:
    """Return the labels of the name at a place, and where it ends (RFC 1035, section 4.1.4). Raises Malformed."""
    labels: list[bytes] = []
    end = 0
    for _ in range(128):
        length = data[place] if place < len(data) else 0x40
        if length >= 0xC0 and place + 1 < len(data):
            end = end or place + 2
            place = (length & 0x3F) << 8 | data[place + 1]
        elif length >= 0x40 or place + 1 + length > len(data):
            break
        elif not length:
            return labels, end or place + 1
        else:
            labels.append(data[place + 1 : place + 1 + length])
            place += 1 + length
    raise Malformed


def _answers(data: bytes) -> tuple[list[str], str | None]:
    """Return the types of services in an answer, and the name of its host. Raises Malformed where it is none."""
    if len(data) < 12 or data[2] & 0xF8 != 0x80 or data[3] & 0x0F:
        raise Malformed
    place = 12
    for _ in range(min(4, int.from_bytes(data[4:6], "big"))):
        place = _labels(data, place)[1] + 4
    services: list[str] = []
    host = None
    for _ in range(min(_MOST, int.from_bytes(data[6:8], "big"))):
        name, place = _labels(data, place)
        size = int.from_bytes(data[place + 8 : place + 10], "big")
        if data[place : place + 2] == _POINTER:
            target = _labels(data, place + 10)[0]
            told = text(b".".join(target))
            if name == _SERVICES and target[2:] == [b"local"]:
                services += [] if told[:-6] in services else [told[:-6]]
            elif name[-1:] == [b"arpa"] and target[-1:] == [b"local"]:
                host = told
        place += 10 + size
    return services, host


def recognise(data: bytes) -> Finding | None:
    """Return what an answer proves that lists services, or has a name in the domain local for an address."""
    try:
        services, host = _answers(data)
    except Malformed:
        return None
    if not services and host is None:
        return None
    return Finding("mdns", banner=", ".join(services)[:200] or None, server_name=host)


def converse(asked: Asked) -> Conversation:
    """Ask which services there are, and whose the address is; only a host on the same link answers."""
    number = asked.numbers[:2]
    try:
        own = _name(ip_address(asked.ip.partition("%")[0]).reverse_pointer.encode().split(b"."))
    except ValueError:
        return None

    def fits(data: bytes) -> bool:
        return data[:2] in (number, b"\0\0") and recognise(data) is not None

    questions = _name(_SERVICES) + _BY_UNICAST + own + _BY_UNICAST
    answer = yield from datagram(number + b"\0\0\0\2\0\0\0\0\0\0" + questions, fits)
    return None if answer is None else recognise(answer)


PROTOCOL = Protocol("mdns", (5353,), ("udp",), recognise=recognise, converse=converse)
