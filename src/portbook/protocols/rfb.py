"""VNC (RFB): the version, the security types that are offered, and what they tell of the make (RFC 6143)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from portbook.protocols.conversation import Heard, StartTls

    Text: TypeAlias = Generator[Say | StartTls, Heard, str]

_VERSION = re.compile(rb"RFB (\d{3})\.(\d{3})\n")
_TYPES = {
    1: "None",
    2: "VNC",
    5: "RA2",
    6: "RA2ne",
    13: "RA2 AES-256",
    16: "Tight",
    17: "Ultra",
    18: "TLS",
    19: "VeNCrypt",
    20: "SASL",
    22: "xvp",
    30: "Apple",
    35: "Apple Kerberos",
    113: "MS-Logon II",
    129: "RA2-256",
    130: "RA2ne-256",
    133: "RA2 AES-256",
}
_BLOCKED = re.compile(r"[Tt]oo many (?:security|authentication) (?:failures|attempts)|blacklisted")


def recognise(data: bytes) -> Finding | None:
    """Return what the server's version proves (section 7.1.1), and the security types behind it."""
    version = _VERSION.match(data[:12])
    if version is None:
        return None
    major, minor = int(version[1]), int(version[2])
    banner = f"RFB {major}.{minor}"
    if (major, minor) == (3, 889):
        product: str | None = "Apple Remote Desktop"
    elif (major, minor) == (0, 0):
        product = "UltraVNC Repeater"
    else:
        product = "RealVNC" if major in (4, 5, 6) else None
    return Finding("rfb", product, banner=banner)


def _make(found: Finding, types: bytes) -> Finding:
    """Return a finding with the security types, and the make that alone has such."""
    kinds = set(types)
    named = [_TYPES.get(kind, str(kind)) for kind in types]
    product = found.product
    if product is None:
        if kinds & {17, 113, 114, 116, 117}:
            product = "UltraVNC"
        elif kinds & {30, 33, 35, 36}:
            product = "Apple Remote Desktop"
        elif 16 in kinds and not kinds & {5, 6, 18, 19}:
            product = "TightVNC"
        elif 19 in kinds and kinds & {5, 6, 129, 130}:
            product = "TigerVNC"
    note = N_("it asks for no password") if 1 in kinds else None
    return found._replace(product=product, banner=f"{found.banner}; security: {', '.join(named)}", note=note)


def converse(asked: Asked) -> Conversation:
    """Answer with the version and read which security types there are; none is chosen."""
    server = Reader(asked.heard)
    line = yield from server.exactly(12)
    found = recognise(line or b"")
    if line is None or found is None or found.product == "UltraVNC Repeater":
        return found
    old = _VERSION.match(line)
    modern = old is not None and (old[1], old[2]) >= (b"003", b"007")
    answer = b"RFB 003.007\n" if old is not None and (old[1], old[2]) == (b"003", b"007") else b"RFB 003.008\n"
    if not (yield from server.more(answer if modern else b"RFB 003.003\n")):
        return found
    if modern:
        number = yield from server.exactly(1)
        kinds = (yield from server.exactly(number[0])) if number and number[0] else None
    else:
        word = yield from server.exactly(4)
        number = None if word is None or word[:3] != bytes(3) else word[3:]
        kinds = number if number and number[0] else None
    if number == b"\0":
        reason = yield from _reason(server)
        blocked = N_("this host is blocked there for a while after too many connections")
        refusal = f"{found.banner}; {reason}" if reason else found.banner
        return found._replace(banner=refusal, note=blocked if _BLOCKED.search(reason) else None)
    yield Say(farewell=True)
    return found if kinds is None else _make(found, kinds)


def _reason(server: Reader) -> Text:
    """Return why there is no security type (section 7.1.2)."""
    length = yield from server.exactly(4)
    if length is None or int.from_bytes(length, "big") > 1024:
        return ""
    reason = yield from server.exactly(int.from_bytes(length, "big"))
    return text(reason or b"")


PROTOCOL = Protocol("rfb", (5900, 5901, 5902, 5903), greets=True, recognise=recognise, converse=converse)
