"""POP3: the greeting, what CAPA tells, and STLS where it is offered (RFC 1939, 2449, 2595)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text
from portbook.protocols.mailboxes import PRODUCTS

_PRODUCTS = (
    ("qpopper", "Qpopper"),
    ("gnu pop3", "GNU Mailutils"),
    ("lotus notes", "HCL Domino"),
    ("inetsim", "INetSim"),
    ("teapop", "Teapop"),
    ("solid pop3", "Solid POP3 server"),
    ("gpop", "Google POP3"),
    ("xmail", "XMail"),
    ("mailpit", "Mailpit"),
    *PRODUCTS,
)
_WORD = re.compile(r"\bPOP-?3?\b|(?i:\bpop3)|<[^<>\s]{1,200}@[^<>\s]{0,200}>\s*$")
_CODE = re.compile(r"-ERR \[(SYS/TEMP|SYS/PERM|IN-USE|LOGIN-DELAY|AUTH)\]")
_REFUSES = N_("it turns this host away now")


def recognise(data: bytes) -> Finding | None:
    """Return what a greeting proves: by the name of the protocol or of a server, or by a time stamp for APOP."""
    came = lines(data)
    if not came:
        return None
    greeting = came[0]
    if _CODE.match(greeting):
        return _finding(greeting)._replace(note=_REFUSES)
    if greeting.startswith("+OK") and (
        _WORD.search(greeting)
        or product(greeting, _PRODUCTS)[0]
        or any(line.startswith("-ERR") for line in came[1:2])
    ):
        return _finding(greeting)
    if greeting.startswith("-ERR") and _WORD.search(greeting):
        return _finding(greeting)._replace(note=_REFUSES)
    return None


def _finding(greeting: str) -> Finding:
    return Finding("pop3", *product(greeting, _PRODUCTS), greeting.strip())


def converse(asked: Asked) -> Conversation:
    """Read the greeting, ask for the capabilities, and go over to TLS."""
    server = Reader(asked.heard)
    line = yield from server.line()
    if line is None or not line.startswith((b"+OK", b"-ERR")):
        return None
    greeting = text(line)
    if line.startswith(b"-ERR"):
        yield Say(b"QUIT\r\n", farewell=True)
        return recognise(line + b"\n")
    answer = yield from server.line(b"CAPA\r\n")
    if answer is None:
        return recognise(line + b"\n")
    if not answer.startswith((b"+OK", b"-ERR")):
        return None
    found = _finding(greeting)
    if answer.startswith(b"+OK"):
        capabilities: list[str] = []
        while (more := (yield from server.line())) is not None and more != b"." and len(capabilities) < 200:
            capabilities.append(text(more))
        told = next((one for one in capabilities if one.upper().startswith("IMPLEMENTATION ")), None)
        if told is not None:
            name, version = product(told[15:].replace("-version-", " "), _PRODUCTS)
            if name is None and found.product is None:
                name = told[15:].strip() or None
            if name is not None:
                same = name == found.product and version is None
                found = found._replace(product=name, version=found.version if same else version)
        if not asked.tls and any(one.strip().upper() == "STLS" for one in capabilities):
            ready = yield from server.line(b"STLS\r\n")
            if ready is not None and ready.startswith(b"+OK"):
                found = found._replace(tls=(yield from server.start_tls()))
    yield Say(b"QUIT\r\n", farewell=True)
    return found


PROTOCOL = Protocol("pop3", (110, 995, 1110), greets=True, recognise=recognise, converse=converse)
