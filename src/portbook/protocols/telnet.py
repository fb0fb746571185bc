"""Telnet: proven by option negotiation, named by what stands before the prompt for a log-in (RFC 854, 855)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.banner import product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PRODUCTS = (
    ("microsoft telnet service", "Microsoft Telnet Service"),
    ("microsoft telnet server", "Microsoft Telnet Service"),
    ("routeros", "MikroTik RouterOS"),
    ("mikrotik", "MikroTik RouterOS"),
    ("hp jetdirect", "HP JetDirect"),
    ("busybox", "BusyBox telnetd"),
    ("openwrt", "OpenWrt"),
    ("dd-wrt", "DD-WRT"),
    ("freebsd", "FreeBSD telnetd"),
    ("sunos", "SunOS telnetd"),
    ("vxworks", "VxWorks"),
    ("quagga", "Quagga"),
    ("frrouting", "FRRouting"),
    ("zebra", "Zebra"),
    ("netbsd", "NetBSD telnetd"),
    ("openbsd", "OpenBSD telnetd"),
    ("fritz!box", "FRITZ!Box"),
)
_IAC, _SB, _SE = 0xFF, 0xFA, 0xF0
_WILL, _WONT, _DO, _DONT = 0xFB, 0xFC, 0xFD, 0xFE
_OPTIONS = frozenset((*range(50), 138, 139, 140, 255))
"""The options that IANA has assigned."""

QUESTION = bytes((_IAC, _DO, 3, _IAC, 0xF1))
"""DO SUPPRESS-GO-AHEAD, which every server knows, and a NOP that no server says: so an echo is known for one."""

_ENOUGH = 2048
_PROMPT = re.compile(r"(?i)(?:log[io]n|user ?name|user|account|password)(?: name)?[:>] ?$")
_SCREEN = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|\x1b[78=>()].?|[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _apart(data: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """Return the verbs with their options, and the text between them."""
    asked: list[tuple[int, int]] = []
    words = bytearray()
    place = 0
    while place < len(data):
        if data[place] != _IAC:
            words.append(data[place])
            place += 1
        elif place + 1 >= len(data):
            break
        elif data[place + 1] in (_WILL, _WONT, _DO, _DONT):
            if place + 2 < len(data):
                asked.append((data[place + 1], data[place + 2]))
            place += 3
        elif data[place + 1] == _SB:
            end = data.find(bytes((_IAC, _SE)), place)
            place = len(data) if end < 0 else end + 2
        else:
            if data[place + 1] == _IAC:
                words.append(_IAC)
            place += 2
    return asked, bytes(words)


def recognise(data: bytes) -> Finding | None:
    """Return what negotiation proves, which may stand behind a banner; a bare prompt for a log-in is weak."""
    head = data[:8192]
    if head.startswith(QUESTION):
        return None
    verbs, words = _apart(head)
    said, _, prompt = _SCREEN.sub("", text(words)).replace("\r", "\n").rpartition("\n")
    shown = [line.strip() for line in said.split("\n") if line.strip()]
    if verbs and all(option in _OPTIONS for _, option in verbs) and _opens(head):
        return _finding(shown)
    if verbs or not re.fullmatch(r"(?i)(?:[\w.-]+ )?login: ?|username: ?", prompt):
        return None
    return _finding(shown)._replace(certain=False)


def _opens(head: bytes) -> bool:
    """Whether negotiation opens the talk, or stands behind text alone."""
    before = head.partition(b"\xff")[0]
    return all(byte in b"\r\n\t\x1b\x00" or 32 <= byte < 255 for byte in before)


def _finding(shown: list[str]) -> Finding:
    for line in shown:
        name, version = product(line, _PRODUCTS)
        if name is not None:
            return Finding("telnet", name, version, line[:200])
    return Finding("telnet", banner=shown[0][:200] if shown else None)


def converse(asked: Asked) -> Conversation:
    """Negotiate nothing: every offer is declined, so that the server goes on to say who it is."""
    server = Reader(asked.heard)
    heard = bytes(server.data)
    if heard and not recognise(heard) and b"\xff" not in heard and not heard.isascii():
        return None
    if not heard:
        yield from server.more(QUESTION)
    declined: set[tuple[int, int]] = set()
    while True:
        verbs, words = _apart(bytes(server.data[:8192]))
        if server.data.startswith(QUESTION) or len(server.data) > _ENOUGH or _PROMPT.search(text(words[-60:])):
            break
        reply = bytearray()
        for verb, option in verbs:
            if verb in (_WILL, _DO) and (verb, option) not in declined and len(declined) < 60:
                declined.add((verb, option))
                # SUPPRESS-GO-AHEAD was asked for.
                decline = _DO if verb == _WILL and option == 3 else _DONT if verb == _WILL else _WONT
                if not (decline == _DO and not heard):
                    reply += bytes((_IAC, decline, option))
        if not verbs and not server.data:
            break
        if not (yield from server.more(bytes(reply))):
            break
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol("telnet", (23, 2323, 992), recognise=recognise, converse=converse)
