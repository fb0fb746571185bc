"""PostgreSQL and what speaks as it does: TLS by SSLRequest, then an error that proves it and names nobody.

The error is that about a protocol version that no server has; PostgreSQL gives the place in its source with it.
"""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
_STARTUP = bytes.fromhex("00000008 00ff0000")
"""A StartupMessage of protocol version 255.0, without a user."""

_OLD = re.compile(rb"E((?:FATAL|ERROR): {1,2}[\x20-\x7e]{4,300})\n?\0")
"""The error of protocol version 2, of servers before 7.4, and of later ones to what they cannot read."""

_NOTES = {
    "53300": N_("it has too many connections now"),
    "57P03": N_("it is starting or stopping"),
    "28000": N_("this host is not allowed to connect there"),
}
_BOUNCER = ("bad packet header", "client sent partial pkt in startup phase", "old V2 protocol not supported")


def _fields(data: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse by their types, {} where it is none; it may be cut short."""
    length = int.from_bytes(data[1:5], "big")
    if data[:1] != b"E" or len(data) < 5 or not 8 <= length < 8192:
        return {}
    found: dict[str, str] = {}
    for part in data[5 : 1 + length].split(b"\0")[:-1]:
        if not part:
            break
        if not part[:1].isalpha():
            return {}
        found.setdefault(chr(part[0]), text(part[1:]))
    return found


def _product(told: dict[str, str]) -> str | None:
    """Return who makes such errors, as far as what they tell is someone's own."""
    file, message = told.get("F", ""), told["M"]
    if message.startswith(_BOUNCER):
        return "PgBouncer"
    if message.startswith("odyssey:"):
        return "Odyssey"
    if file.endswith(".go") and "protocol version" in message:
        return "CockroachDB"
    if "pool" in file or "pgpool" in message:
        return "Pgpool-II"
    return "PostgreSQL" if file.endswith((".c", ".cpp")) else None


def recognise(data: bytes) -> Finding | None:
    """Return what an error proves (the protocol's documentation, Message Formats and Error and Notice Fields)."""
    told = _fields(data[:8192])
    if re.fullmatch(r"[0-9A-Z]{5}", told.get("C", "")) and "S" in told and "M" in told:
        where = " ".join(told[field] for field in "FLR" if field in told)
        banner = f"{told['S']}: {told['M']}" + (f" ({where})" if where else "")
        return Finding("postgresql", _product(told), banner=banner, note=_NOTES.get(told["C"]))
    old = _OLD.match(data[:400])
    return None if old is None else Finding("postgresql", "PostgreSQL", banner=text(old[1]).strip())


def converse(asked: Asked) -> Conversation:
    """Ask for TLS, and then, inside where it is offered, for a protocol version that is not."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    tls = None
    if not asked.tls:
        if not (yield from server.more(_SSL_REQUEST)):
            return None
        if bytes(server.data) not in (b"S", b"N"):
            while server.data[:1] == b"E" and _short(server.data) and (yield from server.more()):
                pass
            return recognise(bytes(server.data))
        if server.take(1) == b"S":
            tls = yield from server.start_tls(("postgresql",))
            if tls is None:
                return Finding("postgresql", certain=False)
    heard = yield from server.more(_STARTUP)
    while heard and b"E".startswith(server.data[:1]) and _short(server.data) and (yield from server.more()):
        pass
    found = recognise(bytes(server.data))
    yield Say(farewell=True)
    if found is None and not asked.tls and not server.data:
        found = Finding("postgresql", certain=False)
    return None if found is None else found._replace(tls=tls)


def _short(data: bytes | bytearray) -> bool:
    """Return whether more of an error is to come."""
    return len(data) < 5 or len(data) < 1 + min(int.from_bytes(data[1:5], "big"), 8192)


PROTOCOL = Protocol("postgresql", (5432, 5433, 6432, 26257, 5439), recognise=recognise, converse=converse)
