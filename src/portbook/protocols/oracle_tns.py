"""Oracle's listener (TNS): a CONNECT that asks for its version and for no database."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_DATA = b"(CONNECT_DATA=(COMMAND=VERSION))"
_CONNECT = (
    (58 + len(_DATA)).to_bytes(2, "big")
    + bytes.fromhex("0000 01 00 0000  0136 012c 0000 0800 7fff 7f08 0000 0001")
    + len(_DATA).to_bytes(2, "big")
    + bytes.fromhex("003a 00000000 00 00")
    + bytes(24)
    + _DATA
)
_ACCEPT, _REFUSE, _REDIRECT, _TNS_DATA, _RESEND, _MARKER = 2, 4, 5, 6, 11, 12
_WORDS = re.compile(rb"\(VSNNUM=|\(DESCRIPTION=\(|TNSLSNR for ")
_NAMED = re.compile(r"TNSLSNR for [^:]{1,60}: Version (\d[\d.]+) [^\r\n]{0,40}")
_NUMBER = re.compile(r"\(VSNNUM=(\d{1,10})\)")


def _version(number: int) -> str | None:
    """Return a version number as Oracle writes it; its parts have other widths since 18."""
    if number < 1 << 24:
        return None
    if number >> 24 >= 18:
        parts = (number >> 24, number >> 16 & 0xFF, number >> 12 & 0xF, number >> 4 & 0xFF, number & 0xF)
    else:
        parts = (number >> 24, number >> 20 & 0xF, number >> 12 & 0xFF, number >> 8 & 0xF, number & 0xFF)
    return ".".join(map(str, parts))


def recognise(data: bytes) -> Finding | None:
    """Return what a TNS packet in the listener's words proves; it refuses what it does not understand in them too."""
    if len(data) < 12 or data[4] not in (_ACCEPT, _REFUSE, _REDIRECT, _TNS_DATA) or data[2:4] != b"\0\0":
        return None
    words = _WORDS.search(data[:1024])
    if words is None:
        return None
    told = text(data[words.start() : 2048])
    named = _NAMED.search(told)
    number = _NUMBER.search(told)
    version = named[1] if named is not None else _version(int(number[1])) if number is not None else None
    banner = named[0] if named is not None else told.split("\0")[0][:120]
    return Finding("oracle-tns", "Oracle Database", version, banner)


def converse(asked: Asked) -> Conversation:
    """Ask for the version."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    if not (yield from server.more(_CONNECT)):
        return None
    if bytes(server.data) == b"\0\x08\0\0\x0b\0\0\0":
        server.take(8)
        yield from server.more(_CONNECT)
    while b"\0\0".startswith(server.data[2:4]) and len(server.data) < min(_length(server.data), 4096):
        if not (yield from server.more()):
            break
    yield Say(farewell=True)
    return recognise(bytes(server.data))


def _length(data: bytes | bytearray) -> int:
    """Return how long the packet is that begins so."""
    return max(8, int.from_bytes(data[:2], "big"))


PROTOCOL = Protocol("oracle-tns", (1521, 1526), recognise=recognise, converse=converse)
