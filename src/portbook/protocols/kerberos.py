"""Kerberos: a request for a ticket that names no user, and the error in answer (RFC 4120, sections 5.4.1 and 5.9.1).

Over TCP each message has its length before it (section 7.2.2).
"""

from __future__ import annotations

from portbook.errors import Malformed
from portbook.porttest import Finding
from portbook.protocols.ber import SEQUENCE, children, element, integer, read
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram, text

_AS_REQUEST, _ERROR = b"\x6a", 0x7E
_STRING, _TIME, _BITS = b"\x1b", b"\x18", b"\x03"
_REALM = b"PORTBOOK.INVALID"
_TILL = b"19700101000000Z"
_ENCRYPTIONS = (18, 17, 23)
_CODES = {
    6: "KDC_ERR_C_PRINCIPAL_UNKNOWN",
    7: "KDC_ERR_S_PRINCIPAL_UNKNOWN",
    12: "KDC_ERR_POLICY",
    14: "KDC_ERR_ETYPE_NOSUPP",
    25: "KDC_ERR_PREAUTH_REQUIRED",
    52: "KRB_ERR_RESPONSE_TOO_BIG",
    60: "KRB_ERR_GENERIC",
    61: "KRB_ERR_FIELD_TOOLONG",
    68: "KDC_ERR_WRONG_REALM",
}


def _field(number: int, content: bytes) -> bytes:
    return element(bytes((0xA0 + number,)), content)


def _request(nonce: int) -> bytes:
    """Return an AS-REQ for the ticket-granting service of a realm that is nobody's, without a client's name."""
    names = element(SEQUENCE, element(_STRING, b"krbtgt"), element(_STRING, _REALM))
    body = element(
        SEQUENCE,
        _field(0, element(_BITS, bytes(5))),
        _field(2, element(_STRING, _REALM)),
        _field(3, element(SEQUENCE, _field(0, integer(2)), _field(1, names))),
        _field(5, element(_TIME, _TILL)),
        _field(7, integer(nonce)),
        _field(8, element(SEQUENCE, *map(integer, _ENCRYPTIONS))),
    )
    return element(_AS_REQUEST, element(SEQUENCE, _field(1, integer(5)), _field(2, integer(10)), _field(4, body)))


def _error(data: bytes) -> Finding:
    """Return what a KRB-ERROR tells. Raises Malformed where it is none."""
    tag, content, _ = read(data)
    outer, inner, _ = read(content) if tag == _ERROR else (0, b"", 0)
    if outer != SEQUENCE[0]:
        raise Malformed
    told = {number: read(value)[1] for number, value in children(inner)}
    if (told.get(0xA0), told.get(0xA1)) != (b"\5", b"\x1e") or 0xA4 not in told:
        raise Malformed
    code = int.from_bytes(told.get(0xA6, b"")[:4], "big")
    banner = _CODES.get(code, f"error {code}")
    realm = told.get(0xA9, b"")
    said = text(told.get(0xAB, b"")).rstrip("\0")
    name = text(realm) if realm not in (b"", _REALM) else None
    return Finding("kerberos", banner=f"{banner}: {said}"[:200] if said else banner, server_name=name)


def recognise(data: bytes) -> Finding | None:
    """Return what an error proves, with its length before it or without."""
    try:
        if len(data) > 4 and data[4] == _ERROR and int.from_bytes(data[:4], "big") <= len(data) - 4:
            return _error(data[4:])
        return _error(data)
    except Malformed:
        return None


def converse(asked: Asked) -> Conversation:
    """Ask for a ticket that nobody can have."""
    question = _request(int.from_bytes(asked.numbers[:4], "big") & 0x7FFFFFFF)
    if asked.transport == "udp":
        answer = yield from datagram(question, lambda data: recognise(data) is not None)
        return None if answer is None else recognise(answer)
    server = Reader(asked.heard)
    size = yield from server.exactly(4, len(question).to_bytes(4, "big") + question)
    if size is None:
        return None
    message = yield from server.exactly(int.from_bytes(size, "big"))
    yield Say(farewell=True)
    return None if message is None else recognise(message)


PROTOCOL = Protocol("kerberos", (88,), ("udp", "tcp"), recognise=recognise, converse=converse)
