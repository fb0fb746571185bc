"""SOCKS: which methods are accepted, and a command that there is not, so that nothing is connected (RFC 1928).

SOCKS 4 has no methods, and is asked by such a command alone (SOCKS: A protocol for TCP proxy across firewalls, 1992).
"""

from __future__ import annotations

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_METHODS = b"\x05\x01\0"
_NO_COMMAND_5 = bytes.fromhex("05 7f 00 01 00000000 0000")
_NO_COMMAND_4 = bytes.fromhex("04 7f 0000 00000000 00")
_TOR = b"Tor is not an HTTP Proxy"
_BANNER = "SOCKS 5"


def _open() -> Finding:
    return Finding("socks", banner=_BANNER, note=N_("a proxy that asks for no log-in"))


def _closed() -> Finding:
    return Finding("socks", banner=_BANNER, note=N_("a proxy that asks for a log-in"))


def _replied(data: bytes) -> bool:
    """Return whether this is a reply that refuses a command (section 6)."""
    return len(data) >= 4 and data[0] == 5 and 1 <= data[1] <= 8 and not data[2] and data[3] in (1, 3, 4)


def recognise(data: bytes) -> Finding | None:
    """Return what the choice of a method and the reply behind it prove; what Tor says to HTTP does as well."""
    if data.startswith(b"HTTP/1.") and _TOR in data[:512]:
        return Finding("socks", "Tor", banner="Tor is not an HTTP Proxy")
    if data == b"\x05\xff":
        return _closed()
    return _open() if data[:2] == b"\x05\0" and _replied(data[2:]) else None


def converse(asked: Asked) -> Conversation:
    """Offer to go without a log-in, and then ask for nothing that could be done."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    if not (yield from server.more(_METHODS)):
        return None
    choice = yield from server.exactly(2)
    if choice == b"\x05\xff" and not server.data:
        return _closed()
    if choice != b"\x05\0" or server.data:
        return recognise((choice or b"") + bytes(server.data))
    while (yield from server.more(b"" if server.data else _NO_COMMAND_5)):
        if len(server.data) >= 4:
            break
    yield Say(farewell=True)
    # Many close without a word: what they accepted was no accident.
    return _open() if not server.data or _replied(bytes(server.data)) else None


def converse_4(asked: Asked) -> Conversation:
    """Ask SOCKS 4 for nothing that could be done."""
    if asked.heard:
        return None
    server = Reader()
    if not (yield from server.more(_NO_COMMAND_4)):
        return None
    reply = yield from server.exactly(8)
    if reply is None or reply[0] or not 0x5B <= reply[1] <= 0x5D or server.data:
        return None
    return Finding("socks", banner="SOCKS 4")


PROTOCOLS = (
    Protocol("socks", (1080, 9050, 9150), recognise=recognise, converse=converse),
    Protocol("socks", (1080,), converse=converse_4),
)
