"""Whois: what a server says to an empty question (RFC 3912)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.banner import lines
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_WORDS = re.compile(
    r"(?i)^[%#>*;\s]*[^:]{0,80}\bwhois(?:d|2)?\b|^%+ *(?:error:|no (?:match|entries|search|domain))"
    r"|^no match(?:es)? (?:for|found)\b|^>>> last update of|^refer: +\S|^[%#] .*\bRPSL\b|^%rwhois V-"
    r"|^(?:domain name|inetnum|netrange|aut-num|registrar): +\S"
)


def recognise(data: bytes) -> Finding | None:
    """Return what an answer proves that speaks of whois, or keeps the form of a registry's."""
    came = [line.strip() for line in lines(data) if line.strip()][:40]
    if not came or re.match(r"\d{3}[ -]|HTTP/|<|[+-](?:OK|ERR)|\* ", came[0]):
        return None
    told = next((line for line in came if _WORDS.match(line)), None)
    if told is None:
        return None
    version = re.search(r"(?i)\bwhoisd? (?:server |daemon )?(?:version |v)?(\d+(?:\.\d+)+)", told)
    return Finding("nicname", None, version and version[1], told[:200])


def converse(asked: Asked) -> Conversation:
    """Ask an empty question, and read what is said to it up to the end."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    yield from server.more(b"\r\n")
    while len(server.data) < 4096 and (yield from server.more()):
        pass
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol("nicname", (43, 4321), recognise=recognise, converse=converse)
