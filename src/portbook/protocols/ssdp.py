"""SSDP: a search of UPnP that is sent to the host itself, and its SERVER field (UPnP Device Architecture 2.0)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, in_uri
from portbook.protocols.http import fields
from portbook.protocols.software import software

_OK = re.compile(rb"HTTP/1\.[01] 200 [^\r\n]*\r?\n")


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to a search proves: a datagram of HTTP with the fields ST and USN."""
    if _OK.match(data) is None:
        return None
    told = fields(data)
    if not told.get("st") or not told.get("usn"):
        return None
    server = told.get("server")
    if not server:
        return Finding("ssdp", banner=told["usn"][:200])
    product, version = software(server)
    return Finding("ssdp", product, version, f"SERVER: {server[:200]}")


def converse(asked: Asked) -> Conversation:
    """Ask for its root devices (section 1.3.2, unicast)."""
    question = (
        f"M-SEARCH * HTTP/1.1\r\nHOST: {in_uri(asked.ip)}:{asked.port}\r\n"
        'MAN: "ssdp:discover"\r\nMX: 1\r\nST: upnp:rootdevice\r\nUSER-AGENT: portbook\r\n\r\n'
    )
    answer = yield from datagram(question.encode("ascii", "replace"), lambda data: recognise(data) is not None)
    return None if answer is None else recognise(answer)


PROTOCOL = Protocol("ssdp", (1900,), ("udp",), recognise=recognise, converse=converse)
