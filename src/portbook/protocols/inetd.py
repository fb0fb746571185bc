"""The small services of inetd: echo, discard, daytime, quote of the day, characters and the time of day in 32 bits.

RFC 862 to 865, 867 and 868. What discards can prove nothing, so it is not asked, and a quote has no form.
"""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Heard, Protocol, Reader, Say, StartTls, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_DAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?: ?[AP]M)?"
_DAYTIME = re.compile(
    rf"(?:{_DAY},? {_MONTH} +\d{{1,2}},? {_CLOCK}(?: \w{{2,5}})? \d{{4}}"
    rf"|(?:{_DAY},? )?\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}},? {_CLOCK}(?:[ -][\w+-]{{1,6}})?"
    rf"|{_DAY},? {_MONTH} \d{{1,2}}, \d{{4}},? {_CLOCK}(?:[ -][\w+-]{{1,6}})?"
    rf"|{_CLOCK} \d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}"
    rf"|\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}[ T]{_CLOCK}(?:[.,]\d+)?(?: ?[\w+:-]{{1,6}})?"
    rf"|\d{{5}} \d\d-\d\d-\d\d \d\d:\d\d:\d\d \d\d \d \d +[\d.-]+ UTC\([\w-]+\) \*)",
    re.IGNORECASE,
)
_PRINTABLE = bytes(range(32, 127))
_RINGS = (_PRINTABLE * 3, _PRINTABLE[1:] * 3)
_SHORTEST = 40
"""How many characters in the order of the ring are taken for a generator's."""

_EARLIEST, _LATEST = 3_913_056_000, 4_244_572_800
"""The first seconds of 2024 and of July 2034, since 1900: beyond is what begins Telnet."""

_ANYTHING = b"\r\n"
"""What a datagram holds that only asks to be answered."""


def recognise_echo(data: bytes) -> Finding | None:
    """Return what a question proves that comes back from a server: this program's own, of one protocol or another."""
    asked = data[:1024]
    ours = re.match(rb"portbook [0-9a-f]{16}\r\n", asked) or (
        re.match(rb"GET /[^\r\n ]{0,200} HTTP/1\.[01]\r\n", asked) and b"\r\nUser-Agent: portbook\r\n" in asked
    )
    return Finding("echo") if ours else None


def recognise_daytime(data: bytes) -> Finding | None:
    """Return what one line proves that is a date and a time of day, as inetd, xinetd, Windows and NIST write them."""
    if len(data) > 200 or not data.endswith((b"\n", b"\r", b"\0")):
        return None
    line = text(data).strip("\r\n\0 ")
    return Finding("daytime", banner=line) if _DAYTIME.fullmatch(line) else None


def recognise_time(data: bytes) -> Finding | None:
    """Return what four bytes tell that are a time of these years; they may be anything else."""
    if len(data) != 4 or not _EARLIEST <= int.from_bytes(data, "big") < _LATEST:
        return None
    return Finding("time", certain=False)


def recognise_chargen(data: bytes) -> Finding | None:
    """Return what a line proves whose every character follows upon the one before (RFC 864)."""
    line = data[:200].partition(b"\n")[0].rstrip(b"\r")
    if len(line) < _SHORTEST or not any(line[:90] in ring for ring in _RINGS):
        return None
    return Finding("chargen", banner=text(line[:76]))


def _told(server: Reader, asked: Asked, most: int) -> Generator[Say | StartTls, Heard, bytes]:
    """Return what comes unasked over TCP up to its end, or to a datagram over UDP."""
    if not server.data:
        yield from server.more(_ANYTHING if asked.transport == "udp" else b"")
    while asked.transport == "tcp" and len(server.data) < most and (yield from server.more()):
        pass
    yield Say(farewell=True)
    return bytes(server.data)


def converse_daytime(asked: Asked) -> Conversation:
    """Read the date."""
    return recognise_daytime((yield from _told(Reader(asked.heard), asked, 201)))


def converse_time(asked: Asked) -> Conversation:
    """Read the time: four bytes and, over TCP, the end."""
    server = Reader(asked.heard)
    found = recognise_time((yield from _told(server, asked, 5)))
    whole = asked.transport == "udp" or server.ended == "end"
    return found._replace(certain=True) if found is not None and whole else found


def converse_chargen(asked: Asked) -> Conversation:
    """Read a line or two."""
    return recognise_chargen((yield from _told(Reader(asked.heard), asked, 150)))


def converse_qotd(asked: Asked) -> Conversation:
    """Read a quote, which is only taken for one at the port of quotes."""
    server = Reader(asked.heard)
    said = yield from _told(server, asked, 2049)
    words = text(said).split()
    ended = asked.transport == "udp" or server.ended == "end"
    if asked.port != 17 or not words or len(said) > 2048 or not ended:
        return None
    return Finding("qotd", banner=" ".join(words)[:200], certain=False)


def converse_echo(asked: Asked) -> Conversation:
    """Say something that nobody can guess, and hear whether it comes back."""
    server = Reader(asked.heard)
    if server.data:
        return None
    words = f"portbook {asked.numbers[:8].hex()}\r\n".encode()
    yield from server.more(words)
    while (
        len(server.data) < len(words) and words.startswith(server.data) and server.data and asked.transport == "tcp"
    ):
        if not (yield from server.more()):
            break
    yield Say(farewell=True)
    return Finding("echo") if server.data == words else None


_BOTH = ("tcp", "udp")
PROTOCOLS = (
    Protocol("echo", (7,), _BOTH, recognise=recognise_echo, converse=converse_echo),
    Protocol("discard", (9,), _BOTH, note=N_("a discard service answers nothing, so it cannot be proven")),
    Protocol("daytime", (13,), _BOTH, greets=True, recognise=recognise_daytime, converse=converse_daytime),
    Protocol("qotd", (17,), _BOTH, greets=True, converse=converse_qotd),
    Protocol("chargen", (19,), _BOTH, greets=True, recognise=recognise_chargen, converse=converse_chargen),
    Protocol("time", (37,), _BOTH, greets=True, recognise=recognise_time, converse=converse_time),
)
