"""Finger: a question for another host, which lists no users and names none (RFC 1288, section 2.5.1)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.banner import product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PRODUCTS = (
    ("cfingerd", "cfingerd"),
    ("cfinger", "cfingerd"),
    ("efingerd", "efingerd"),
    ("ffingerd", "ffingerd"),
    ("gnu finger", "GNU finger"),
)
_WORDS = re.compile(
    r"(?i)\bfingerd?: |\b[ec]?fingerd\b|no one (?:is )?logged (?:on|in)|^login[ \t]+name\b|login: \S+[ \t]+name: "
    r"|\bin real life: |finger (?:forwarding|online|query|service|server|daemon)"
    r"|finger[^.\n]{0,60} (?:denied|refused|disabled|not allowed)"
    r"|forwarding[^.\n]{0,40} (?:denied|refused|disabled|not (?:allowed|permitted|supported))|^\[portbook\.invalid\]"
    r"|site has been rejected [^\n]*\s+This may be caused by a missing RFC ?1413",
    re.MULTILINE,
)


def recognise(data: bytes) -> Finding | None:
    """Return what a server's own words prove; the lines about users are left out."""
    said = text(data[:4096])
    if not said.lstrip()[:1] or said.startswith(("HTTP/", "<")) or re.match(r"\d{3}[ -]", said):
        return None
    words = _WORDS.search(said)
    if words is None:
        return None
    start = said.rfind("\n", 0, words.start() + 1) + 1
    line = said[start:].lstrip().partition("\n")[0].strip()
    personal = re.match(r"(?i)login: |\S+.*in real life", line)
    return Finding("finger", *product(said, _PRODUCTS), None if personal else line[:200])


def converse(asked: Asked) -> Conversation:
    """Ask for nobody at a host that cannot be: what forwards no questions says so."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    yield from server.more(b"@portbook.invalid\r\n")
    while len(server.data) < 4096 and (yield from server.more()):
        pass
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol("finger", (79,), recognise=recognise, converse=converse)
