"""NNTP: the greeting, the capabilities with the implementation's name, and STARTTLS (RFC 3977, 4642)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PRODUCTS = (
    ("inn", "INN"),
    ("leafnode", "Leafnode"),
    ("sn version", "sn"),
    ("cyrus", "Cyrus IMAP"),
    ("dnews", "DNEWS"),
    ("diablo", "Diablo"),
    ("typhoon", "Typhoon"),
    ("cyclone", "Cyclone"),
    ("nntpcache", "NNTPCache"),
    ("noffle", "NOFFLE"),
    ("cnews", "C News"),
    ("papercut", "Papercut"),
    ("wendzelnntpd", "WendzelNNTPd"),
    ("microsoft internet services", "Microsoft NNTP Service"),
    ("nntp service", "Microsoft NNTP Service"),
    ("sonews", "SoNews"),
    ("netwinsite", "DNEWS"),
    ("james", "Apache James"),
    ("rocksolid light", "Rocksolid Light"),
    ("citadel", "Citadel"),
    ("twisted", "Twisted"),
)
_WORD = re.compile(r"\bNNT?PD?\b|\bNNTP|InterNetNews|(?i:\busenet\b|\bnntp|\bnews ?(?:server|reader)|netnews)")
_POSTING = re.compile(r"(?i)\b(?:no )?posting|you (?:can(?:not|'t)?|may) (?:not )?post\b")
_REFUSES = N_("it turns this host away now")


def recognise(data: bytes) -> Finding | None:
    """Return what a greeting proves that speaks of news or posting (RFC 3977, section 5.1)."""
    came = lines(data)
    return _told(came[0]) if came else None


def _told(greeting: str) -> Finding | None:
    code = greeting[:4].strip()
    if code in ("200", "201"):
        if _WORD.search(greeting) or _POSTING.search(greeting):
            return _finding(greeting)
    elif code in ("400", "502") and (
        _WORD.search(greeting) or _POSTING.search(greeting) or "You have no permission to talk" in greeting
    ):
        return _finding(greeting)._replace(note=_REFUSES)
    return None


def _finding(greeting: str) -> Finding:
    host = re.match(r"\d{3} ([\w-]+(?:\.[\w-]+)+) ", greeting)
    return Finding("nntp", *product(greeting[4:], _PRODUCTS), greeting.strip(), host and host[1])


def converse(asked: Asked) -> Conversation:
    """Read the greeting, ask for the capabilities or, of an older server, for help, and go over to TLS."""
    server = Reader(asked.heard)
    line = yield from server.line()
    if line is None or not re.match(rb"(?:20[01]|400|502)(?: |$)", line):
        return None
    greeting = text(line)
    found = _told(greeting)
    if not line.startswith(b"20"):
        return found
    capabilities: list[str] = []
    answer = yield from server.line(b"CAPABILITIES\r\n")
    if answer is not None and answer.startswith(b"101"):
        found = found or _finding(greeting)
        while (more := (yield from server.line())) is not None and more != b"." and len(capabilities) < 200:
            capabilities.append(text(more).strip())
    elif found is None and answer is not None and re.match(rb"[45]\d\d(?: |$)", answer):
        # RFC 977 has no CAPABILITIES: what 100 begins is the help text, which ends with a dot.
        help_text = yield from server.line(b"HELP\r\n")
        if help_text is not None and help_text.startswith(b"100"):
            found = _finding(greeting)
            yield from server.until(b".\r\n")
    if found is None:
        return None
    told = next((one for one in capabilities if one.upper().startswith("IMPLEMENTATION ")), None)
    if told is not None:
        name, version = product(told[15:], _PRODUCTS)
        if name is not None:
            found = found._replace(product=name, version=version)
        elif found.product is None:
            found = found._replace(product=told[15:])
    if not asked.tls and "STARTTLS" in (one.upper() for one in capabilities):
        ready = yield from server.line(b"STARTTLS\r\n")
        if ready is not None and ready.startswith(b"382"):
            found = found._replace(tls=(yield from server.start_tls()))
    yield Say(b"QUIT\r\n", farewell=True)
    return found


PROTOCOL = Protocol("nntp", (119, 563, 433), greets=True, recognise=recognise, converse=converse)
