"""Git's own protocol: what a server says to a question for a repository that it has not (gitprotocol-pack)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PATH = "/portbook.invalid"
_LENGTH = re.compile(rb"[0-9a-f]{4}")
_REFERENCE = re.compile(rb"(?:version [12]\n|[0-9a-f]{40,64} [\x21-\x7e]+[\0\n])")


def recognise(data: bytes) -> Finding | None:
    """Return what the first packet line proves: an error, a version, or a reference with its capabilities."""
    if _LENGTH.match(data) is None:
        return None
    length = int(data[:4], 16)
    line = data[4:length]
    if not 4 < length <= 1000 or len(data) < length:
        return None
    if line.startswith(b"ERR "):
        told = text(line).strip()
        name = (
            "Git"
            if told.startswith(("ERR access denied or repository not exported", "ERR no such repository"))
            else None
        )
        return Finding("git", name, banner=told)
    if _REFERENCE.match(line) is None:
        return None
    agent = re.search(rb"\bagent=git/(\d[\w.]*)", line)
    return Finding("git", "Git" if agent else None, agent and text(agent[1]))


def converse(asked: Asked) -> Conversation:
    """Ask for a repository that cannot be."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    words = f"git-upload-pack {_PATH}\0host={asked.authority}\0".encode("ascii", "replace")
    length = yield from server.exactly(4, f"{len(words) + 4:04x}".encode() + words)
    if length is None or _LENGTH.fullmatch(length) is None or not 4 < int(length, 16) <= 1000:
        return None
    line = yield from server.exactly(int(length, 16) - 4)
    yield Say(farewell=True)
    return None if line is None else recognise(length + line)


PROTOCOL = Protocol("git", (9418,), recognise=recognise, converse=converse)
