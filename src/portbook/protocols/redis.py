"""Redis and its relatives (RESP): a PING, and where no password is asked for who the server is.

Valkey, KeyDB, Dragonfly and others say that they are Redis, of some version, and then who they are.
"""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PING = b"*1\r\n$4\r\nPING\r\n"
_INFO = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
_HELLO = b"*1\r\n$5\r\nHELLO\r\n"
_QUIT = b"*1\r\n$4\r\nQUIT\r\n"

_ERROR = re.compile(
    rb"-(?:(?P<code>NOAUTH|DENIED|NOPERM|LOADING|MASTERDOWN|MISCONF|BUSY|NOPROTO|WRONGPASS|CLUSTERDOWN) "
    rb"|ERR (?:wrong number of arguments for '\w+' command|unknown command ['`]|operation not permitted|"
    rb"max number of clients|Protocol error: |unknown or unsupported command ))[^\r\n]*"
)
_DENIED = re.compile(r"-DENIED (\w+) is running in protected mode")
_INFO_ANSWER = re.compile(rb"(?:\$\d{2,5}|=\d{2,5}\r\ntxt:)?(?:\r\n)?# Server\r\n")
_FIELD = re.compile(r"(?m)^(\w+):([^\r\n]{1,200})\r?\n")
_MAKES = {
    "valkey_version": "Valkey",
    "dragonfly_version": "Dragonfly",
    "keydb_version": "KeyDB",
    "garnet_version": "Garnet",
    "kvrocks_version": "Apache Kvrocks",
    "pika_version": "Pika",
    "redict_version": "Redict",
    "memurai_version": "Memurai",
}
_NAMES = {"redis": "Redis", "valkey": "Valkey", "keydb": "KeyDB", "dragonfly": "Dragonfly"}
_NOTES = {
    b"NOAUTH": N_("it asks for a password"),
    b"DENIED": N_("it answers only its own host"),
    b"LOADING": N_("it is starting or stopping"),
}


def _told(info: str) -> Finding:
    """Return what the section Server of an INFO tells."""
    told = dict(_FIELD.findall(info))
    for key, product in _MAKES.items():
        if key in told:
            return Finding("redis", product, told[key].removeprefix("df-").removeprefix("v"), f"{key}:{told[key]}")
    version = told.get("redis_version")
    product = "KeyDB" if "keydb" in told.get("executable", "").rpartition("/")[2] else "Redis"
    banner = f"redis_version:{version}" if version else None
    if banner and told.get("redis_mode", "standalone") != "standalone":
        banner += f" redis_mode:{told['redis_mode']}"
    return Finding("redis", product if version else None, version, banner)


def recognise(data: bytes) -> Finding | None:
    """Return what a PONG, a section of INFO, or an error in the words that are RESP's alone proves."""
    if data.startswith(b"+PONG\r\n"):
        return recognise(data[7:]) or Finding("redis", banner="+PONG")
    if _INFO_ANSWER.match(data[:64]):
        return _told(text(data[:8192]))
    error = _ERROR.match(data[:1024])
    if error is None:
        return None
    line = text(error[0])
    named = _DENIED.match(line)
    note = _NOTES.get(error["code"]) if error["code"] else None
    if "operation not permitted" in line:
        note = _NOTES[b"NOAUTH"]
    return Finding("redis", named[1] if named else None, banner=line[1:121], note=note)


def converse(asked: Asked) -> Conversation:
    """Say PING, and ask who the server is where it answers without a password."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    if not (yield from server.more(_PING)):
        return None
    line = yield from server.until(b"\r\n")
    found = recognise(line or bytes(server.data))
    if line != b"+PONG\r\n":
        yield Say(_QUIT, farewell=True)
        return found
    size = yield from server.until(b"\r\n", _INFO)
    if size is not None and size[:1] in b"$=" and size[1:-2].isdigit():
        info = yield from server.exactly(min(int(size[1:-2]) + 2, 16384))
        info = info or bytes(server.data)
        if b"_version:" in info:
            found = _told(text(info))
    elif size is not None and size[:1] == b"-":
        found = yield from _greeted(server, found)
    yield Say(_QUIT, farewell=True)
    return found


def _greeted(server: Reader, found: Finding | None) -> Conversation:
    """Ask by HELLO, which some answer who refuse INFO."""
    words: list[bytes] = []
    line = yield from server.until(b"\r\n", _HELLO)
    while line is not None and line[:1] in b"*%$+:,#" and len(words) < 12:
        if line[:1] == b"$":
            word = yield from server.until(b"\r\n")
            words.append((word or b"").strip())
        elif line[:1] == b":":
            words.append(b"")
        if words[2:3] == [b"version"] and len(words) > 3:
            name, version = text(words[1]), text(words[3])
            return Finding("redis", _NAMES.get(name, name), version, f"{name} {version}")
        line = yield from server.until(b"\r\n")
    return found


PROTOCOL = Protocol("redis", (6379, 6380, 26379), recognise=recognise, converse=converse)
