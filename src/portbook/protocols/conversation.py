"""The frame of a conversation without I/O: what it yields, what it is told, and how it reads.

A conversation is a generator. It yields what is to be sent (Say) or that TLS is to begin (StartTls), is told what
came (Heard), and returns a Finding, or None when the server does not speak its protocol. Whoever drives it keeps
time and bounds what may come; probe/ does so with a network, tests with recorded bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple

from portbook.porttest import Finding, Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Ended: TypeAlias = Literal["silence", "end", "reset"]

MOST = 65536
"""How many bytes a conversation takes before it gives up."""

_MOST_DATAGRAMS = 8
"""How many that do not fit are passed over."""


class Say(NamedTuple):
    """Bytes to send, all of them, before anything more is heard; none: only listen.

    With `farewell` nothing is awaited: it is sent if that can be done at once.
    """

    data: bytes = b""
    farewell: bool = False


class StartTls(NamedTuple):
    """Put TLS on the connection now; what is told next has `tls`, or `ended` where it failed."""

    alpn: tuple[str, ...] = ()


class Heard(NamedTuple):
    """What came since: of a stream some bytes, of UDP one datagram; and how it ended, None where more may come.

    `silence` is that nothing came in time: one may still say something. After an `end` (the server closed) or a
    `reset` nothing more can be said.
    """

    data: bytes = b""
    ended: Ended | None = None
    tls: Tls | None = None


def in_uri(host: str) -> str:
    """Return a name or an address as the host of a URI (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


class Asked(NamedTuple):
    """Whom a conversation is with: the name that the user asked for (else the address), address, port, transport.

    `numbers` are 32 random bytes for identifiers, and `heard` is what the server said before it was asked. `tls` is
    true where all of it goes through TLS. `own_ip` is the address that it is asked from; empty where nobody knows.
    """

    host: str
    ip: str
    port: int
    transport: str
    numbers: bytes
    heard: bytes = b""
    tls: bool = False
    own_ip: str = ""

    @property
    def authority(self) -> str:
        """The host and the port as a URI has them (RFC 3986, section 3.2); the port only where it is not usual."""
        host = in_uri(self.host)
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


Conversation = Generator[Say | StartTls, Heard, Finding | None]
"""What a protocol's `converse` makes."""


class Protocol(NamedTuple):
    """A protocol: its name in the registry, and what is known without asking.

    `ports` are those where it is at home, `greets` that its server speaks first. `recognise` returns what the first
    bytes of a server prove, which may be cut short anywhere: None where they are not of this protocol or do not tell
    yet. `converse` begins a conversation, for which `Asked.heard` may hold the greeting; None where a server need
    not be asked anything, or never answers; `note` is then a message id that says so.

    For UDP: `source_port` returns the port to ask from at a server of that port, where answers go there whatever port
    asked, and `other_port` is that an answer comes from another port than was asked, which the rest is said to.
    """

    name: str
    ports: tuple[int, ...]
    transports: tuple[str, ...] = ("tcp",)
    greets: bool = False
    recognise: Callable[[bytes], Finding | None] = lambda _: None
    converse: Callable[[Asked], Conversation] | None = None
    note: str | None = None
    source_port: Callable[[int], int] | None = None
    other_port: bool = False


class Reader:
    """Takes what a conversation hears apart: lines, lengths, all that comes. One for each conversation.

    Its generators are delegated to (`yield from`). What they return is shorter than was asked for, or None, where the
    server ended, fell silent, or said more than MOST bytes: see `ended`.
    """

    def __init__(self, heard: bytes = b"") -> None:
        self.data = bytearray(heard)
        self.taken = 0
        self.ended: Ended | None = None

    def more(self, say: bytes = b"") -> Generator[Say | StartTls, Heard, bool]:
        """Say something, and hear until something comes; return whether it did."""
        if self.taken + len(self.data) > MOST or self.ended in ("end", "reset"):
            return False
        heard = yield Say(say)
        self.data += heard.data
        self.ended = heard.ended
        return bool(heard.data)

    def exactly(self, length: int, say: bytes = b"") -> Generator[Say | StartTls, Heard, bytes | None]:
        """Say something, and return the next so many bytes."""
        if say and not (yield from self.more(say)):
            return None
        while len(self.data) < length:
            if not (yield from self.more()):
                return None
        return self.take(length)

    def until(self, mark: bytes, say: bytes = b"") -> Generator[Say | StartTls, Heard, bytes | None]:
        """Say something, and return what comes up to a mark, and with it."""
        if say and not (yield from self.more(say)):
            return None
        searched = 0
        while (place := self.data.find(mark, searched)) < 0:
            searched = max(0, len(self.data) - len(mark) + 1)
            if not (yield from self.more()):
                return None
        return self.take(place + len(mark))

    def line(self, say: bytes = b"") -> Generator[Say | StartTls, Heard, bytes | None]:
        """Say something, and return the next line without its end."""
        found = yield from self.until(b"\n", say)
        return None if found is None else found.rstrip(b"\r\n")

    def reply(self, say: bytes = b"") -> Generator[Say | StartTls, Heard, tuple[int, list[str]] | None]:
        """Say something, and return the code and the lines of a reply (RFC 959, section 4.2; RFC 5321, 4.2).

        None where it is not one.
        """
        lines: list[str] = []
        code = None
        while True:
            line = yield from self.line(say)
            say = b""
            if line is None or len(lines) > 200:
                return None
            if code is None:
                if not line[:3].isdigit() or line[3:4] not in (b"", b" ", b"-"):
                    return None
                code = line[:3]
            own = line[:3] == code and line[3:4] in (b"", b" ", b"-")
            lines.append(text(line[4:] if own else line))
            if own and line[3:4] != b"-":
                return int(code), lines

    def start_tls(self, alpn: tuple[str, ...] = ()) -> Generator[Say | StartTls, Heard, Tls | None]:
        """Put TLS on the connection; what came before it is forgotten (RFC 3207, section 6). None where it failed."""
        self.take(len(self.data))
        heard = yield StartTls(alpn)
        self.data += heard.data
        self.ended = heard.ended
        return heard.tls

    def take(self, length: int) -> bytes:
        """Return and forget so many of the bytes that came."""
        found = bytes(self.data[:length])
        del self.data[:length]
        self.taken += len(found)
        return found


def datagram(question: bytes, fits: Callable[[bytes], bool]) -> Generator[Say | StartTls, Heard, bytes | None]:
    """Send a datagram, and return the first that comes and fits; None where none of the first eight does."""
    say = Say(question)
    for _ in range(_MOST_DATAGRAMS):
        heard = yield say
        if heard.data and fits(heard.data):
            return heard.data
        if heard.ended is not None:
            return None
        say = Say()
    return None


def text(data: bytes) -> str:
    """Return foreign bytes as text: UTF-8, else each byte as the character of its number (ISO 8859-1)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
