"""IMAP: the greeting, the capabilities, what ID tells of the server, and STARTTLS (RFC 9051, 3501, 2971)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding, Tls
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Heard, Protocol, Reader, Say, StartTls, text
from portbook.protocols.mailboxes import PRODUCTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_PRODUCTS = (
    ("gnu imap4d", "GNU Mailutils"),
    ("gimap", "Google IMAP"),
    ("archiveopteryx", "Archiveopteryx"),
    ("maddy", "maddy"),
    *PRODUCTS,
)
_GREETING = re.compile(r"\* (OK|PREAUTH|BYE)(?: |$)(?:\[[^\]]{0,2000}\] ?)?(.*)")
_ID = re.compile(r'"((?:[^"\\]|\\.){1,64})" +(?:"((?:[^"\\]|\\.){0,200})"|NIL)')
_REFUSES = N_("it turns this host away now")


def recognise(data: bytes) -> Finding | None:
    """Return what an untagged OK, PREAUTH or BYE proves."""
    came = lines(data)
    greeting = _GREETING.match(came[0]) if came else None
    return None if greeting is None else _finding(greeting)


def _finding(greeting: re.Match[str]) -> Finding:
    words = greeting[2].strip()
    note = _REFUSES if greeting[1] == "BYE" else None
    return Finding("imap", *product(words, _PRODUCTS), f"* {greeting[1]} {words}".strip(), note=note)


def converse(asked: Asked) -> Conversation:
    """Read the greeting, ask for the capabilities and for the server's ID, and go over to TLS."""
    server = Reader(asked.heard)
    line = yield from server.line()
    greeting = None if line is None else _GREETING.match(text(line))
    if greeting is None:
        return None
    found = _finding(greeting)
    if greeting[1] == "BYE":
        return found
    offered = yield from _capabilities(server, "a1")
    if "ID" in offered:
        found = yield from _identified(server, found, "a2")
    if not asked.tls and "STARTTLS" in offered:
        ready = yield from _answer(server, "a3", "STARTTLS")
        if ready and ready[-1].upper().startswith("A3 OK"):
            tls: Tls | None = yield from server.start_tls()
            found = found._replace(tls=tls)
            if tls is not None and "ID" not in offered and "ID" in (yield from _capabilities(server, "a4")):
                found = yield from _identified(server, found, "a5")
    yield Say(b"a9 LOGOUT\r\n", farewell=True)
    return found


def _answer(server: Reader, tag: str, command: str) -> Generator[Say | StartTls, Heard, list[str]]:
    """Say a command, and return the lines of its answer, the tagged one last; none where that does not come."""
    answer: list[str] = []
    line = yield from server.line(f"{tag} {command}\r\n".encode())
    while line is not None and len(answer) < 200:
        answer.append(text(line))
        if answer[-1].upper().startswith(f"{tag.upper()} "):
            return answer
        line = yield from server.line()
    return []


def _capabilities(server: Reader, tag: str) -> Generator[Say | StartTls, Heard, list[str]]:
    answer = yield from _answer(server, tag, "CAPABILITY")
    return [word for line in answer if line.upper().startswith("* CAPABILITY ") for word in line.upper().split()[2:]]


def _identified(server: Reader, found: Finding, tag: str) -> Generator[Say | StartTls, Heard, Finding]:
    """Ask for the ID (RFC 2971), which says of the client nothing, and return what it adds to the finding."""
    told: dict[str, str] = {}
    for line in (yield from _answer(server, tag, "ID NIL")):
        if line.upper().startswith("* ID ("):
            told = {name.lower(): re.sub(r"\\(.)", r"\1", value) for name, value in _ID.findall(line[:4096])}
    if not told.get("name"):
        return found
    known = product(told["name"], _PRODUCTS)[0] or told["name"]
    version = told.get("version") or (found.version if known == found.product else None)
    digits = re.search(r"\d[\w.]*", version or "")
    return found._replace(product=known, version=digits[0] if digits else None)


PROTOCOL = Protocol("imap", (143, 993, 1143), greets=True, recognise=recognise, converse=converse)
