"""X11: a connection setup without authorisation, and the vendor or the refusal (X11 protocol, chapter 8)."""

from __future__ import annotations

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_SETUP = bytes.fromhex("6c 00 0b00 0000 0000 0000 0000")
"""Little-endian, version 11.0, no authorisation."""

_FAILED, _SUCCESS, _AUTHENTICATE = 0, 1, 2
_VENDORS = {
    "The X.Org Foundation": "X.Org",
    "The XFree86 Project, Inc": "XFree86",
    "The Cygwin/X Project": "Cygwin/X",
}


def _release(number: int) -> str | None:
    """Return the version that X.Org and its relatives pack into the release number."""
    if number < 10_000_000:
        return None
    parts = [number // 10_000_000, number // 100_000 % 100, number // 1000 % 100]
    if number % 1000:
        parts.append(number % 1000)
    if parts[0] == 1 and parts[1] >= 21:
        # X.Org 21.1 calls itself 1.21.1 here.
        del parts[0]
    return ".".join(map(str, parts))


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to a setup proves; that to ours, whose numbers are little-endian."""
    if len(data) < 8 or data[2:6] != b"\x0b\0\0\0":
        return None
    length = 4 * int.from_bytes(data[6:8], "little")
    if data[0] == _FAILED:
        reason = text(data[8 : 8 + data[1]]).strip()
        if not 0 < data[1] <= length < data[1] + 4 or len(data) < 8 + data[1] or not reason.isprintable():
            return None
        return Finding("x11", banner=reason, note=N_("it does not let this host in"))
    if data[0] == _AUTHENTICATE:
        reason = text(data[8 : 8 + length]).strip("\0\r\n ")
        return Finding("x11", banner=reason or None) if reason.isprintable() and 0 < length < 1024 else None
    if data[0] != _SUCCESS or data[1] or len(data) < 40:
        return None
    named = int.from_bytes(data[24:26], "little")
    if len(data) < 40 + named or not 0 < named < length or data[30] > 1 or data[31] > 1 or not data[28]:
        return None
    vendor = text(data[40 : 40 + named])
    release = int.from_bytes(data[8:12], "little")
    note = N_("it lets anybody in")
    return Finding("x11", _VENDORS.get(vendor, vendor), _release(release), f"{vendor} {release}", note=note)


def converse(asked: Asked) -> Conversation:
    """Ask to be let in as nobody, and go."""
    if asked.heard:
        return None
    server = Reader()
    if not (yield from server.more(_SETUP)):
        return None
    while len(server.data) < 8 or (recognise(bytes(server.data)) is None and len(server.data) < 512):
        if not (yield from server.more()):
            break
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol("x11", tuple(range(6000, 6011)), recognise=recognise, converse=converse)
