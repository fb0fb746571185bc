"""RTSP: OPTIONS, and the Server of the answer (RFC 2326, section 10.1; RFC 7826)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, in_uri, text
from portbook.protocols.http import fields
from portbook.protocols.software import software

_STATUS = re.compile(rb"RTSP/([12]\.0) ([1-5]\d\d)(?: ([^\r\n]{0,200}))?\r?\n")


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to any request proves by its status line."""
    status = _STATUS.match(data[:512])
    if status is None:
        return None
    told = fields(data.partition(b"\r\n\r\n")[0])
    banner = f"RTSP/{text(status[1])} {text(status[2])} {text(status[3] or b'')}".rstrip()
    server = told.get("server")
    if not server:
        return Finding("rtsp", banner=banner)
    product, version = software(server)
    return Finding("rtsp", product, version, f"{banner}; Server: {server[:200]}")


def converse(asked: Asked) -> Conversation:
    """Ask what the server can do."""
    server = Reader(asked.heard)
    host = in_uri(asked.host)
    question = f"OPTIONS rtsp://{host}:{asked.port}/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: portbook\r\n\r\n"
    head = yield from server.until(b"\r\n\r\n", question.encode("ascii", "replace"))
    yield Say(farewell=True)
    return recognise(bytes(server.data) if head is None else head)


PROTOCOL = Protocol("rtsp", (554, 8554, 7070, 5554), recognise=recognise, converse=converse)
