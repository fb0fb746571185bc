"""OpenVPN: the first packet of a client, to which a server without tls-auth or tls-crypt answers with its own.

The packets are those of OpenVPN's documentation of its reliability layer; over TCP each has its length before it.
"""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram

_CLIENT, _SERVER = 7 << 3, 8 << 3
"""P_CONTROL_HARD_RESET_CLIENT_V2 and _SERVER_V2, key 0."""
_SESSION, _LONG = 8, 26


def _is_answer(data: bytes) -> bool:
    """Whether it is a server's first packet: it acknowledges packet 0 of our session, and is number 0 itself."""
    shape = len(data) == _LONG and data[0] == _SERVER and data[9:14] == b"\1\0\0\0\0" and not any(data[22:])
    return shape and any(data[1:9]) and any(data[14:22])


def recognise(data: bytes) -> Finding | None:
    """Return what a server's first packet proves, with its length before it or without."""
    behind = data[2 : 2 + _LONG] if data[:2] == _LONG.to_bytes(2, "big") else data
    return Finding("openvpn") if _is_answer(behind) else None


def converse(asked: Asked) -> Conversation:
    """Begin a session, and leave it there."""
    session = asked.numbers[:_SESSION]
    question = bytes((_CLIENT,)) + session + bytes(5)

    def fits(data: bytes) -> bool:
        return _is_answer(data) and data[14:22] == session

    if asked.transport == "udp":
        answer = yield from datagram(question, fits)
        return None if answer is None else Finding("openvpn")
    server = Reader(asked.heard)
    answer = yield from server.exactly(2 + _LONG, len(question).to_bytes(2, "big") + question)
    yield Say(farewell=True)
    return recognise(answer) if answer is not None and fits(answer[2:]) else None


PROTOCOL = Protocol("openvpn", (1194,), ("udp", "tcp"), recognise=recognise, converse=converse)
