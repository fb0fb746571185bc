"""ManageSieve: the capabilities that greet, and STARTTLS (RFC 5804)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.banner import product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PRODUCTS = (
    ("dovecot", "Dovecot Pigeonhole"),
    ("pigeonhole", "Dovecot Pigeonhole"),
    ("timsieved", "Cyrus IMAP"),
    ("cyrus", "Cyrus IMAP"),
    ("stalwart", "Stalwart"),
    ("james", "Apache James"),
    ("citadel", "Citadel"),
    ("axigen", "Axigen"),
    ("archiveopteryx", "Archiveopteryx"),
    ("kerio connect", "Kerio Connect"),
)
_IMPLEMENTATION = re.compile(
    rb'(?i)(?:\A|\n)"IMPLEMENTATION" +(?:"((?:[^"\\\r\n]|\\.){0,300})"|\{(\d{1,3})\+?\}\r?\n)'
)
_OTHERS = re.compile(rb'(?i)(?:\A|\n)"(?:SIEVE|SASL|NOTIFY|VERSION|STARTTLS|MAXREDIRECTS)"')
_END = re.compile(rb"(?i)(?:\A|\n)(OK|NO|BYE)(?:[ \r(][^\n]*)?\n")


def recognise(data: bytes) -> Finding | None:
    """Return what the capabilities prove, of which the implementation's name is one that every server tells."""
    head = data[:8192]
    told = _IMPLEMENTATION.search(head)
    if told is None or not head.startswith(b'"') or (_OTHERS.search(head) is None and _END.search(head) is None):
        return None
    name = told[1] if told[1] is not None else head[told.end() : told.end() + int(told[2])]
    known, version = product(text(name), _PRODUCTS)
    return Finding("sieve", known or text(name).strip() or None, version, text(name))


def converse(asked: Asked) -> Conversation:
    """Read the capabilities to their end, and go over to TLS."""
    server = Reader(asked.heard)
    while not _END.search(server.data) and (not server.data or server.data.startswith(b'"')):
        if not (yield from server.more()):
            break
    said = bytes(server.data)
    found = recognise(said)
    if found is None:
        return None
    server.take(len(said))
    if not asked.tls and re.search(rb'(?i)\n"STARTTLS"', said):
        ready = yield from server.line(b"STARTTLS\r\n")
        if ready is not None and ready[:2].upper() == b"OK":
            found = found._replace(tls=(yield from server.start_tls()))
    yield Say(b"LOGOUT\r\n", farewell=True)
    return found


PROTOCOL = Protocol("sieve", (4190, 2000), greets=True, recognise=recognise, converse=converse)
