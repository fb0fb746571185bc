"""QUIC: a first packet of a version that there is not, to which the server names those that it speaks (RFC 9000, 6).

A server passes over one shorter than 1200 bytes (section 14.1), so this is the longest of the questions.
"""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram

_LONG, _LEAST, _ID = 0xC0, 1200, 8
_NOBODYS = bytes.fromhex("1a2a3a4a")
"""A version that is reserved to be unknown (section 15)."""
_NAMES = {1: "1", 0x6B3343CF: "2"}
_MOST = 16


def recognise(data: bytes) -> Finding | None:
    """Return what a version negotiation packet proves, once it is whole (section 17.2.1)."""
    if len(data) < 7 or not data[0] & 0x80 or any(data[1:5]):
        return None
    behind = 6 + data[5]
    if data[5] > 20 or len(data) <= behind or data[behind] > 20:
        return None
    versions = data[behind + 1 + data[behind] :]
    if not versions or len(versions) % 4 or len(versions) > 4 * _MOST:
        return None
    numbers = [int.from_bytes(versions[place : place + 4], "big") for place in range(0, len(versions), 4)]
    known = [_NAMES.get(one) or f"draft-{one & 0xFF}" for one in numbers if one in _NAMES or one >> 8 == 0xFF0000]
    return Finding("quic", banner=f"QUIC {', '.join(known)}") if known else None


def converse(asked: Asked) -> Conversation:
    """Ask in a version that there is not; both connection ids are to come back, the other way round."""
    theirs, own = asked.numbers[:_ID], asked.numbers[_ID : 2 * _ID]
    ids = bytes((_ID,)) + theirs + bytes((_ID,)) + own
    back = bytes((_ID,)) + own + bytes((_ID,)) + theirs

    def fits(data: bytes) -> bool:
        return data[:1] >= b"\x80" and data[1:5] == bytes(4) and data[5 : 5 + len(back)] == back

    question = (bytes((_LONG,)) + _NOBODYS + ids).ljust(_LEAST, b"\0")
    answer = yield from datagram(question, fits)
    return None if answer is None else recognise(answer) or Finding("quic")


PROTOCOL = Protocol("quic", (443, 853, 784, 8853, 4433, 8443), ("udp",), recognise=recognise, converse=converse)
