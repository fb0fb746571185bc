"""LDAP: the root DSE, which anybody may read without a bind, STARTTLS where it is offered, and unbind.

RFC 4511, RFC 4512 (section 5.1), RFC 4513, RFC 3045 for who made the server; MS-ADTS (section 3.1.1.3.2).
"""

from __future__ import annotations

import re

from portbook.errors import N_, Malformed
from portbook.porttest import Finding
from portbook.protocols.ber import OCTETS, SEQUENCE, children, element, integer, read
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from portbook.protocols.conversation import Heard, StartTls

    Answer: TypeAlias = Generator[Say | StartTls, Heard, list[tuple[int, bytes]] | None]

_ENTRY, _DONE, _EXTENDED, _REFERENCE = 0x64, 0x65, 0x78, 0x73
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"
_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
_LIGHTWEIGHT = "1.2.840.113556.1.4.1851"
_BUSY, _CONFIDENTIAL = 51, 13
_UNBIND = bytes.fromhex("3005020103 4200")
_ATTRIBUTES = (
    *(b"objectClass", b"vendorName", b"vendorVersion", b"supportedExtension", b"supportedCapabilities"),
    *(b"supportedLDAPVersion", b"dnsHostName", b"isGlobalCatalogReady", b"domainControllerFunctionality"),
)
_VENDORS = (
    ("389 project", "389 Directory Server"),
    ("red hat", "Red Hat Directory Server"),
    ("samba", "Samba"),
    ("apache", "ApacheDS"),
    ("forgerock", "OpenDJ"),
    ("open identity platform", "OpenDJ"),
    ("wren", "Wren:DS"),
    ("unboundid", "PingDirectory"),
    ("ping identity", "PingDirectory"),
    ("novell", "eDirectory"),
    ("netiq", "eDirectory"),
    ("micro focus", "eDirectory"),
    ("opentext", "eDirectory"),
    ("international business machines", "IBM Security Directory Server"),
    ("oracle", "Oracle Directory Server"),
    ("sun microsystems", "Sun Directory Server"),
    ("fedora", "Fedora Directory Server"),
)
_VERSION = re.compile(r"(?:^|[\s/_v-])(\d+(?:\.\w+)+)")
_LEVELS = {"2": "2003", "3": "2008", "4": "2008 R2", "5": "2012", "6": "2012 R2", "7": "2016", "10": "2025"}


def _search(number: int) -> bytes:
    """Return a SearchRequest for the root DSE's telling attributes."""
    asked = element(SEQUENCE, *(element(OCTETS, name) for name in _ATTRIBUTES))
    base, never = b"\x0a\x01\x00", b"\x0a\x01\x00"
    limits = integer(0) + integer(10) + b"\x01\x01\x00"
    return element(
        SEQUENCE,
        integer(number),
        element(b"\x63", element(OCTETS), base, never, limits, element(b"\x87", b"objectClass"), asked),
    )


def _messages(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return the number, the operation and its content of all whole messages. Raises Malformed at what is none."""
    found: list[tuple[int, int, bytes]] = []
    place = 0
    while place < len(data) and len(found) < 16:
        if data[place] != SEQUENCE[0]:
            raise Malformed
        try:
            _, content, place = read(data, place)
        except Malformed:
            break
        parts = children(content, 2)
        if len(parts) < 2 or parts[0][0] != 2 or not 1 <= len(parts[0][1]) <= 4:
            raise Malformed
        found.append((int.from_bytes(parts[0][1], "big"), *parts[1]))
    return found


def _attributes(entry: bytes) -> dict[str, list[str]]:
    """Return the attributes of a SearchResultEntry, their names in lower case. Raises Malformed."""
    found: dict[str, list[str]] = {}
    parts = children(entry, 2)
    if [tag for tag, _ in parts] != [4, 0x30]:
        raise Malformed
    for _, attribute in children(parts[1][1], 200):
        pair = children(attribute, 2)
        if [tag for tag, _ in pair] != [4, 0x31]:
            raise Malformed
        found[text(pair[0][1]).lower()] = [text(value) for _, value in children(pair[1][1], 200)]
    return found


def _result(content: bytes) -> tuple[int, str] | None:
    """Return the code and the message of an LDAPResult (RFC 4511, section 4.1.9), None where it is none."""
    parts = children(content, 3)
    if [tag for tag, _ in parts] != [0x0A, 4, 4] or not 1 <= len(parts[0][1]) <= 2:
        return None
    return int.from_bytes(parts[0][1], "big"), text(parts[2][1]).strip("\0")


def _root(told: dict[str, list[str]]) -> Finding:
    """Return what the root DSE tells of the server."""
    first = {name: values[0] for name, values in told.items() if values}
    name, number = first.get("vendorname", ""), first.get("vendorversion", "")
    host = first.get("dnshostname")
    banner = " ".join(filter(None, (name, number))) or None
    if name or number:
        lowered = f"{name} {number}".lower()
        product = next((product for word, product in _VENDORS if word in lowered), name or None)
        version = _VERSION.search(number)
        return Finding("ldap", product, version[1] if version else number or None, banner, host)
    if "OpenLDAProotDSE" in told.get("objectclass", ()):
        return Finding("ldap", "OpenLDAP", banner="OpenLDAProotDSE")
    capabilities = told.get("supportedcapabilities", ())
    if _ACTIVE_DIRECTORY in capabilities or _LIGHTWEIGHT in capabilities:
        lightweight = _LIGHTWEIGHT in capabilities and _ACTIVE_DIRECTORY not in capabilities
        product = "Active Directory Lightweight Directory Services" if lightweight else "Active Directory"
        level = _LEVELS.get(first.get("domaincontrollerfunctionality", ""))
        return Finding("ldap", product, banner=f"functional level {level}" if level else None, server_name=host)
    versions = told.get("supportedldapversion")
    return Finding("ldap", banner=f"LDAP {', '.join(versions)}" if versions else None, server_name=host)


def recognise(data: bytes) -> Finding | None:
    """Return what an entry, a result, or a notice of disconnection proves."""
    try:
        for number, operation, content in _messages(data[:32768]):
            if operation == _ENTRY:
                return _root(_attributes(content))
            if operation not in (_DONE, _EXTENDED, 0x61) or (result := _result(content)) is None:
                return None
            if operation == _EXTENDED and not number and _DISCONNECTION not in content:
                return None
            code, message = result
            note = N_("it wants TLS") if code == _CONFIDENTIAL else None
            return Finding("ldap", banner=f"{code} {message}".strip(), note=note)
    except Malformed:
        return None
    return None


def _answer(server: Reader, number: int, question: bytes) -> Answer:
    """Ask, and return the operations that answer, up to the one that ends them; None where it is not LDAP."""
    if not (yield from server.more(question)):
        return None
    while True:
        try:
            said = _messages(bytes(server.data))
        except Malformed:
            return None
        if any(told not in (0, number) for told, _, _ in said):
            return None
        if any(operation in (_DONE, _EXTENDED) for _, operation, _ in said) or not (yield from server.more()):
            server.take(len(server.data))
            return [(operation, content) for _, operation, content in said]


def _understood(said: list[tuple[int, bytes]]) -> tuple[Finding | None, bool, int | None]:
    """Return what the answer to a search tells, whether STARTTLS is offered, and the result's code."""
    found: Finding | None = None
    offers, code = False, None
    try:
        for operation, content in said:
            if operation == _ENTRY:
                told = _attributes(content)
                found, offers = _root(told), text(_START_TLS) in told.get("supportedextension", ())
            elif operation in (_DONE, _EXTENDED) and (result := _result(content)) is not None:
                code = result[0]
                note = N_("it wants TLS") if code == _CONFIDENTIAL else None
                found = found or Finding("ldap", banner=f"{code} {result[1]}".strip(), note=note)
    except Malformed:
        return None, False, None
    return found, offers, code


def converse(asked: Asked) -> Conversation:
    """Read the root DSE, and have TLS where it is offered; read again inside what was refused outside."""
    number = 1 + int.from_bytes(asked.numbers[:3], "big") % 0x3FFFFF
    if asked.transport == "udp":
        answer = yield from datagram(_search(number), lambda data: _is(data, number))
        return None if answer is None else recognise(answer)
    if asked.heard:
        return recognise(asked.heard)
    server = Reader()
    said = yield from _answer(server, number, _search(number))
    if not said:
        return None
    found, offers, code = _understood(said)
    if found is None or asked.tls or server.ended in ("end", "reset"):
        return found
    if offers or code == _CONFIDENTIAL:
        name = element(b"\x77", element(b"\x80", _START_TLS))
        said = yield from _answer(server, number + 1, element(SEQUENCE, integer(number + 1), name))
        if said and _understood(said)[2] == 0:
            tls = yield from server.start_tls()
            if tls is None:
                return found
            found = found._replace(tls=tls)
            if code == _CONFIDENTIAL:
                said = yield from _answer(server, number + 2, _search(number + 2))
                found = (_understood(said)[0] or found)._replace(tls=tls) if said else found
    yield Say(_UNBIND, farewell=True)
    return found


def _is(data: bytes, number: int) -> bool:
    """Return whether a datagram answers the request of that number."""
    try:
        return any(told == number for told, _, _ in _messages(data))
    except Malformed:
        return False


PROTOCOL = Protocol("ldap", (389, 3268), ("tcp", "udp"), recognise=recognise, converse=converse)
