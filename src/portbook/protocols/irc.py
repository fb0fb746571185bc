"""IRC: what a server says before anybody registers, to CAP LS and QUIT (RFC 2812; IRCv3 capability negotiation)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_PRODUCTS = (
    ("ngircd", "ngIRCd"),
    ("inspircd", "InspIRCd"),
    ("unrealircd", "UnrealIRCd"),
    ("bitlbee", "BitlBee"),
    ("irc.znc.in", "ZNC"),
    ("znc", "ZNC"),
    ("hybrid", "ircd-hybrid"),
    ("miniircd", "miniircd"),
    ("charybdis", "Charybdis"),
    ("solanum", "Solanum"),
)
_VENDORS = (
    ("unrealircd.org/", "UnrealIRCd"),
    ("inspircd.org/", "InspIRCd"),
    ("solanum.chat/", "Solanum"),
    ("soju.im/", "soju"),
    ("ergo.chat/", "Ergo"),
    ("oragono.io/", "Ergo"),
)
"""Who names capabilities of its own by which domain (IRCv3, capability names)."""

_OWN = ('ERROR :"Oops, HTTP request received? This is IRC!"', "ERROR :Closing connection")
"""Words that only ngIRCd has."""

_NUMERIC = r"020|42[01]|43[139]|44\d|45\d|46\d"
_MESSAGE = re.compile(
    rf"(?::([^\s:!@]{{1,128}}) )?(?:CAP \S+ (?:LS|NAK|ACK)\b|(?:{_NUMERIC}) \S+ |NOTICE \S+ :|ERROR :)"
)
_DONE = re.compile(rb"(?:\A|\n)(?::\S+ )?(?:ERROR :|(?:421|451) )[^\n]*\n")
_OWN_WORDS = re.compile(r"NOTICE (?:\*|AUTH|Auth|[\w.-]+) :\s*(?:\*\*\*|\S)|ERROR :")


def recognise(data: bytes) -> Finding | None:
    """Return what the first message proves: a notice, an error, a reply to CAP or that one has not registered."""
    came = [line for line in lines(data) if line]
    if not came:
        return None
    first = _MESSAGE.match(came[0])
    if first is None or (first[1] is None and not _OWN_WORDS.match(came[0]) and not came[0].startswith("CAP ")):
        return None
    name = version = None
    for line in came:
        message = _MESSAGE.match(line)
        if message is None or name is not None:
            continue
        if message[1] == "irc.znc.in":
            name = "ZNC"
        elif " LS " in message[0] + " ":
            name = next((vendor for mark, vendor in _VENDORS if f" {mark}" in line.replace(":", " ")), None)
        else:
            name, version = product(line[message.end() :], _PRODUCTS)
    if name is None and any(line in _OWN for line in came):
        name = "ngIRCd"
    told = next((line for line in came if "NOTICE " in line), came[0])
    return Finding("irc", name, version, told[:300], first[1] if first[1] and "." in first[1] else None)


def converse(asked: Asked) -> Conversation:
    """Ask for the capabilities and leave, in one breath: a server that knows no CAP says farewell all the same."""
    server = Reader(asked.heard)
    if server.data and recognise(bytes(server.data)) is None:
        return None
    yield from server.more(b"CAP LS 302\r\nQUIT\r\n")
    while len(server.data) < 8192 and not _DONE.search(server.data):
        if not (yield from server.more()):
            break
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol(
    "irc", (6667, 194, 6697, 6660, 6665, 6666, 6668, 6669, 7000, 994), recognise=recognise, converse=converse
)
