"""memcached: its version by the text protocol, over UDP behind a frame header, or the meta no-op (protocol.txt)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_VERSION = re.compile(rb"VERSION ([\x20-\x7e]{1,100})\r\n")
_FRAME = re.compile(rb"(?s)..\0\0\0[\x01-\x04]\0\0")
_PLAIN = re.compile(r"\d+\.\d+\.\d+(?:[_-](?:beta|rc)\w*|_[\d.]+\w*|-\d+)?(?:-\d+-g[0-9a-f]+)?")
_OTHERS = (("mcrouter", "mcrouter"), ("df", "Dragonfly"), ("dragonfly", "Dragonfly"), ("final", "Infinispan"))


def recognise(data: bytes) -> Finding | None:
    """Return what a version proves, a meta no-op, or a refusal to talk before a log-in."""
    said = data[8:] if _FRAME.match(data) else data
    told = _VERSION.match(said[:256])
    if told is None:
        if said == b"MN\r\n":
            return Finding("memcache", "memcached", banner="MN")
        if said.startswith(b"CLIENT_ERROR unauthenticated\r\n"):
            return Finding("memcache", "memcached", banner="CLIENT_ERROR unauthenticated")
        return None
    shown = text(told[1]).strip()
    version = re.match(r"v?(\d[\w.]*)", shown)
    name = "memcached" if _PLAIN.fullmatch(shown) else None
    name = name or next((other for word, other in _OTHERS if re.search(rf"\b{word}\b", shown.lower())), None)
    return Finding("memcache", name, version and version[1], f"VERSION {shown}")


def converse(asked: Asked) -> Conversation:
    """Ask for the version, or where that is not known for nothing, in the meta protocol."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    if asked.transport == "udp":
        header = asked.numbers[:2] + b"\0\0\0\x01\0\0"
        for _ in range(3):
            yield from server.more(b"" if server.data else header + b"version\r\n")
            answer = server.take(len(server.data))
            if answer[:2] == header[:2] and _FRAME.match(answer):
                return recognise(answer)
            if not answer:
                break
        return None
    line = yield from server.until(b"\n", b"version\r\n")
    if line is not None and line.rstrip() == b"ERROR":
        line = yield from server.until(b"\n", b"mn\r\n")
    yield Say(b"quit\r\n", farewell=True)
    return None if line is None else recognise(line)


PROTOCOL = Protocol("memcache", (11211,), ("tcp", "udp"), recognise=recognise, converse=converse)
