"""NATS: the INFO with which a server greets, and TLS where it says so (its client protocol)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_INFO = re.compile(rb"INFO (\{[^\r\n]{2,16384}\}) ?\r\n")


def _told(data: bytes) -> dict[str, object] | None:
    info = _INFO.match(data)
    if info is None:
        return None
    import json

    try:
        told = json.loads(info[1])
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("server_id"), str) else None


def recognise(data: bytes) -> Finding | None:
    """Return what INFO proves: the server's number among its JSON values, its version and its name."""
    told = _told(data)
    return None if told is None else _finding(told)


def _finding(told: dict[str, object]) -> Finding:
    version, name = told.get("version"), told.get("server_name")
    shown = version if isinstance(version, str) and version else None
    named = name if isinstance(name, str) and name and name != told["server_id"] else None
    return Finding("nats", "NATS Server", shown, f"INFO version {shown}" if shown else "INFO", named)


def converse(asked: Asked) -> Conversation:
    """Read INFO, and go over to TLS where it is required or offered."""
    server = Reader(asked.heard)
    if server.data and not b"INFO {".startswith(server.data[:6]):
        return None
    line = yield from server.until(b"\n")
    told = None if line is None else _told(line)
    if told is None:
        return None
    found = _finding(told)
    if not asked.tls and (told.get("tls_required") is True or told.get("tls_available") is True):
        found = found._replace(tls=(yield from server.start_tls()))
    yield Say(farewell=True)
    return found


PROTOCOL = Protocol("nats", (4222, 6222), greets=True, recognise=recognise, converse=converse)
