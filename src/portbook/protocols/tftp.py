"""TFTP: a file that no server has is asked for, and the error is the answer, from another port (RFC 1350)."""

from __future__ import annotations

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Say, datagram, text

_READ, _DATA, _ERROR = b"\0\1", b"\0\3", b"\0\5"
_MOST_CODE = 8
_STOP = _ERROR + b"\0\0no more\0"


def recognise(data: bytes) -> Finding | None:
    """Return what an error proves: a code that there is, and a text that ends in a zero."""
    if data[:2] != _ERROR or len(data) < 5 or data[2] or data[3] > _MOST_CODE or data.find(b"\0", 4) != len(data) - 1:
        return None
    message = data[4:-1]
    if any(byte < 0x20 or byte == 0x7F for byte in message):
        return None
    return Finding("tftp", banner=text(message)[:200] or f"error {data[3]}")


def _answers(data: bytes) -> bool:
    return recognise(data) is not None or (data[:4] == _DATA + b"\0\1" and len(data) <= 516)


def converse(asked: Asked) -> Conversation:
    """Ask for a file of a random name; a server that sends one all the same is told to stop."""
    name = b"portbook-" + asked.numbers[:6].hex().encode()
    answer = yield from datagram(_READ + name + b"\0octet\0", _answers)
    if answer is None:
        return None
    if answer[:2] == _ERROR:
        return recognise(answer)
    yield Say(_STOP, farewell=True)
    return Finding("tftp", note=N_("it has a file for every name"), certain=False)


PROTOCOL = Protocol("tftp", (69,), ("udp",), recognise=recognise, converse=converse, other_port=True)
