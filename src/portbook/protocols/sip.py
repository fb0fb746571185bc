"""SIP: OPTIONS over UDP, TCP or TLS, and the Server or User-Agent of the answer (RFC 3261, section 11; RFC 3581)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram, in_uri, text
from portbook.protocols.http import fields
from portbook.protocols.software import software

_STATUS = re.compile(rb"\s{0,8}SIP/2\.0 ([1-6]\d\d)(?: ([^\r\n]{0,200}))?\r?\n")


def _request(asked: Asked) -> bytes:
    """Return an OPTIONS that names nobody; with rport the answer comes to where it came from."""
    host = in_uri(asked.host)
    own = in_uri(asked.own_ip) or "portbook.invalid"
    mark = asked.numbers[:12].hex()
    transport = "TLS" if asked.tls else asked.transport.upper()
    return (
        f"OPTIONS sip:{host}:{asked.port} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} {own};branch=z9hG4bK{mark};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:{own}>;tag={mark[:8]}\r\nTo: <sip:{host}:{asked.port}>\r\n"
        f"Call-ID: {mark}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:{own}>\r\nAccept: application/sdp\r\nUser-Agent: portbook\r\nContent-Length: 0\r\n\r\n"
    ).encode("ascii", "replace")


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to any request proves by its status line."""
    status = _STATUS.match(data[:512])
    if status is None:
        return None
    told = fields(data[status.start(1) :].partition(b"\r\n\r\n")[0])
    banner = f"SIP/2.0 {text(status[1])} {text(status[2] or b'')}".rstrip()
    for name in ("server", "user-agent"):
        if told.get(name):
            product, version = software(told[name])
            return Finding("sip", product, version, f"{banner}; {name.title()}: {told[name][:200]}")
    return Finding("sip", banner=banner)


def _final(data: bytes) -> bool:
    status = _STATUS.match(data[:512])
    return status is not None and not status[1].startswith(b"1")


def converse(asked: Asked) -> Conversation:
    """Ask what the server can do; what it says while it is still trying is passed over."""
    question = _request(asked)
    if asked.transport == "udp":
        answer = yield from datagram(question, _final)
        return None if answer is None else recognise(answer)
    server = Reader(asked.heard)
    found = None
    for _ in range(4):
        head = yield from server.until(b"\r\n\r\n", question)
        found = recognise(bytes(server.data) if head is None else head) or found
        if head is None or found is None or _final(head):
            break
        question = b""
    yield Say(farewell=True)
    return found


PROTOCOL = Protocol("sip", (5060, 5080, 5062), ("udp", "tcp"), recognise=recognise, converse=converse)
