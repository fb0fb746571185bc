"""CoAP: a confirmable request for the list of resources (RFC 7252, section 3; RFC 6690, section 4)."""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Say, datagram, text

_VERSION, _TOKEN = 1, 4
_CONFIRMABLE, _NON, _ACKNOWLEDGEMENT, _RESET = range(4)
_PATH = b"\xbb.well-known\x04core"
_MARK = b"\xff"


def _kind(data: bytes) -> int | None:
    """Return the type of a message of version 1 that is a response, an empty acknowledgement or a reset."""
    if len(data) < 4 or data[0] >> 6 != _VERSION or data[0] & 0x0F > 8:
        return None
    kind = data[0] >> 4 & 3
    if not data[1]:
        return kind if len(data) == 4 and data[0] & 0x0F == 0 and kind in (_ACKNOWLEDGEMENT, _RESET) else None
    return kind if data[1] >> 5 in (2, 4, 5) and data[1] & 0x1F < 0x1C and kind != _RESET else None


def _banner(data: bytes) -> str | None:
    if not data[1]:
        return None
    told = f"{data[1] >> 5}.{data[1] & 0x1F:02d}"
    links = data[4 + (data[0] & 0x0F) :].partition(_MARK)[2]
    return f"{told} {text(links)[:200]}" if links else told


def converse(asked: Asked) -> Conversation:
    """Ask which resources there are; the message's number and the token are to come back."""
    number, token = asked.numbers[:2], asked.numbers[2 : 2 + _TOKEN]
    question = bytes((_VERSION << 6 | _TOKEN, 1)) + number + token + _PATH

    def fits(data: bytes) -> bool:
        kind = _kind(data)
        if kind is None:
            return False
        if not data[1]:
            return data[2:4] == number
        return data[0] & 0x0F == _TOKEN and data[4 : 4 + _TOKEN] == token

    answer = yield from datagram(question, fits)
    if answer is not None and not answer[1] and _kind(answer) == _ACKNOWLEDGEMENT:
        # The answer itself comes later, in a message of its own (section 5.2.2).
        answer = (yield from datagram(b"", fits)) or answer
    if answer is None:
        return None
    if _kind(answer) == _CONFIRMABLE:
        yield Say(bytes((_VERSION << 6 | _ACKNOWLEDGEMENT << 4, 0)) + answer[2:4], farewell=True)
    return Finding("coap", banner=_banner(answer))


PROTOCOL = Protocol("coap", (5683,), ("udp",), converse=converse)
