"""RDP: a connection request without a cookie, and TLS where the server selects it (MS-RDPBCGR, X.224, RFC 1006).

Which Windows it is would be told only within a log-in, so that it is not asked.
"""

from __future__ import annotations

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_REQUEST = bytes.fromhex("03000013 0e e0 0000 0000 00  01 00 0800 0b000000")
"""An X.224 CR with RDP_NEG_REQ for TLS, CredSSP, and CredSSP with early authorisation (section 2.2.1.1)."""

_PROTOCOLS = {0: "RDP's own", 1: "TLS", 2: "CredSSP", 4: "RDSTLS", 8: "CredSSP, early", 16: "RDSAAD"}
_FAILURES = {
    1: "TLS required",
    2: "TLS not allowed",
    3: "TLS without a certificate",
    4: "inconsistent flags",
    5: "CredSSP required",
    6: "TLS with a user's certificate required",
}
_ULTIMATUM = bytes.fromhex("03000009 02f080 21 80")
"""The MCS Disconnect Provider Ultimatum (T.125, section 7), xrdp's farewell to what it does not understand."""


def recognise(data: bytes) -> Finding | None:
    """Return what a connection confirm with a negotiation, or a disconnection, proves (section 2.2.1.2)."""
    if data.startswith(_ULTIMATUM):
        return Finding("ms-wbt-server", "xrdp", banner="MCS Disconnect Provider Ultimatum", certain=False)
    if len(data) < 11 or data[:2] != b"\x03\0" or data[5] != 0xD0:
        return None
    if data[:5] == b"\x03\0\0\x13\x0e" and data[11:12] in (b"\x02", b"\x03") and data[13:15] == b"\x08\0":
        if len(data) < 19:
            return None
        number = int.from_bytes(data[15:19], "little")
        told = (_PROTOCOLS if data[11] == 2 else _FAILURES).get(number)
        if told is None:
            return None
        return Finding("ms-wbt-server", banner=f"security: {told}")
    if data[:5] == b"\x03\0\0\x0b\x06":
        # Windows Server 2003 and before have no negotiation; other users of X.224 count their references from one.
        return Finding("ms-wbt-server", banner="security: RDP's own", certain=data[8:10] == b"\x12\x34")
    return None


def _secure(data: bytes) -> bool:
    """Return whether the server selected a protocol that goes within TLS."""
    return len(data) >= 19 and data[11] == 2 and data[15:19] != bytes(4)


def converse(asked: Asked) -> Conversation:
    """Ask for a connection, and see the certificate."""
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    if not (yield from server.more(_REQUEST)):
        return None
    head = yield from server.exactly(4)
    if head is None or head[:2] != b"\x03\0":
        return None
    rest = yield from server.exactly(min(max(int.from_bytes(head[2:4], "big") - 4, 0), 64))
    if rest is None:
        return None
    found = recognise(head + rest)
    if found is None or asked.tls or not _secure(head + rest):
        yield Say(farewell=True)
        return found
    tls = yield from server.start_tls()
    yield Say(farewell=True)
    if tls is None:
        return found._replace(note=N_("it offered TLS, which then failed"))
    return found._replace(tls=tls)


PROTOCOL = Protocol("ms-wbt-server", (3389, 3390), recognise=recognise, converse=converse)
