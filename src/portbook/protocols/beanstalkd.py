"""beanstalkd: its statistics, in which it tells its version (its protocol documentation)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_VERSION = re.compile(rb'\nversion: "?(\d[\w.]*)')
_BEGIN = re.compile(rb"OK (\d{1,5})\r\n")


def recognise(data: bytes) -> Finding | None:
    """Return what the statistics prove, or the answer to a command that is none."""
    if data.startswith(b"UNKNOWN_COMMAND\r\n"):
        return Finding("beanstalkd", "beanstalkd", banner="UNKNOWN_COMMAND")
    begin = _BEGIN.match(data)
    if begin is None or not data.startswith(b"---\n", begin.end()) or b"\ncurrent-jobs-" not in data[:200]:
        return None
    version = _VERSION.search(data[:8192])
    shown = text(version[1]) if version is not None and version.end() < len(data) else None
    return Finding("beanstalkd", "beanstalkd", shown, f"version: {shown}" if shown else None)


def converse(asked: Asked) -> Conversation:
    """Ask for the statistics."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    begin = yield from server.until(b"\n", b"stats\r\n")
    if begin is None:
        return None
    length = _BEGIN.fullmatch(begin)
    body = b""
    if length is not None:
        body = (yield from server.exactly(int(length[1]) + 2)) or bytes(server.data)
    yield Say(b"quit\r\n", farewell=True)
    return recognise(begin + body)


PROTOCOL = Protocol("beanstalkd", (11300,), recognise=recognise, converse=converse)
