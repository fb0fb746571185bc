"""One conversation of a client: what it says and hears, over TCP, TLS or UDP, and what it keeps open.

What is said is left to the other modules here, each function of which takes a Dialogue that is connected, holds a
real conversation with it, and returns what the server calls itself, None where it does not say.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass, field

from portbook.endpoint import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    Exchange = Callable[["Dialogue"], str | None]

MOST = 65536
"""What is read of one answer at most."""

_REFUSAL_SECONDS = 0.2


class NotSpoken(OSError):
    """The server does not speak what it should."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EPROTO, what)


@dataclass
class Dialogue:
    """A connected socket, what has come by it and was not taken yet, and other sockets that belong to it.

    Every method that hears raises NotSpoken when the server ends in the middle or says too much, and OSError;
    TimeoutError among them when it is silent for longer than the socket's time-out.
    """

    connection: socket.socket
    came: bytes = b""
    others: list[socket.socket] = field(default_factory=list)

    @property
    def server(self) -> Endpoint:
        """The server's address and port; as text they are those of a URI (RFC 3986, section 3.2)."""
        return Endpoint(*self.connection.getpeername()[:2])

    def say(self, data: bytes) -> None:
        """Send it all."""
        self.connection.sendall(data)

    def hear(self) -> bytes:
        """Return the next datagram."""
        return self.connection.recv(MOST)

    def heed_refusal(self) -> None:
        """Wait a moment where nobody answers: a closed port of UDP is told by ICMP. Raises OSError for one."""
        self.connection.settimeout(_REFUSAL_SECONDS)
        with suppress(TimeoutError):
            self.connection.recv(1)

    def exactly(self, length: int) -> bytes:
        """Return so many bytes of a stream."""
        return self._until(lambda came: length if len(came) >= length else None)

    def until(self, last: bytes) -> bytes:
        """Return what comes up to a mark of a stream, and with it."""

        def end(came: bytes) -> int | None:
            place = came.find(last)
            return None if place < 0 else place + len(last)

        return self._until(end)

    def line(self) -> bytes:
        """Return the next line of a stream without its end."""
        return self.until(b"\n").rstrip(b"\r\n")

    def reply(self, command: bytes | None, wanted: bytes) -> str:
        """Send a command where there is one, and return the text of the reply's last line.

        Raises NotSpoken where the code does not begin as `wanted`.
        """
        code, lines = self.coded(command)
        if not code.startswith(wanted):
            raise NotSpoken(f"not the reply that was expected: {code!r} {lines[-1][:80]!r}")
        return lines[-1]

    def coded(self, command: bytes | None) -> tuple[bytes, list[str]]:
        """Send a command where there is one, and return the code of the reply and its lines (RFC 959, 5321, 3977).

        A reply is a code of three digits and a text; with `-` behind the code lines follow, up to the one without.
        """
        if command is not None:
            self.say(command + b"\r\n")
        line = self.line()
        code = line[:3]
        if not code.isdigit():
            raise NotSpoken(f"not a reply: {line[:80]!r}")
        lines = [line]
        if line[3:4] == b"-":
            lines += self.lines_until(lambda later: later[:3] == code and later[3:4] != b"-")
        return code, [one.removeprefix(code)[one.startswith(code) :].decode("utf-8", "replace") for one in lines]

    def block(self) -> list[bytes]:
        """Return the lines up to one that is a dot alone (RFC 3977, section 3.1.1; RFC 1939, section 3)."""
        return [line.removeprefix(b".") for line in self.lines_until(lambda line: line == b".")[:-1]]

    def lines_until(self, is_last: Callable[[bytes], bool]) -> list[bytes]:
        """Return the lines up to the last one, and with it."""
        lines = [self.line()]
        length = len(lines[0])
        while not is_last(lines[-1]):
            lines.append(self.line())
            length += len(lines[-1]) + 1
            if length > MOST:
                raise NotSpoken("the server says too much")
        return lines

    def body(self, fields: dict[bytes, bytes]) -> bytes:
        """Return the body of a message of HTTP or SIP, which is as long as its header says, else empty."""
        length = fields.get(b"content-length", b"")
        if len(length) > len(str(MOST)):
            raise NotSpoken("the server says too much")
        return self.exactly(int(length) if length.isdigit() else 0)

    def start_tls(self) -> None:
        """Put TLS on the connection (RFC 8446); the certificate is the server's own, so it is not verified."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            self.connection = context.wrap_socket(self.connection, server_hostname=self.server.ip)
        except ssl.SSLError as error:
            raise NotSpoken(f"no TLS: {error.reason}") from error

    def sockets(self) -> list[socket.socket]:
        """Return every socket of the conversation."""
        return [self.connection, *self.others]

    def _until(self, end: Callable[[bytes], int | None]) -> bytes:
        while (length := end(self.came)) is None:
            data = self.connection.recv(4096)
            if not data:
                raise NotSpoken("the server ended in the middle")
            if len(self.came) > MOST:
                raise NotSpoken("the server says too much")
            self.came += data
        data, self.came = self.came[:length], self.came[length:]
        return data


def inside_tls(exchange: Exchange) -> Exchange:
    """Return the same conversation with TLS from the first byte."""

    def secured(dialogue: Dialogue) -> str | None:
        dialogue.start_tls()
        return exchange(dialogue)

    return secured


def header_fields(lines: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the fields of a header by their names in lower case (RFC 9112, section 5; RFC 3261, section 7.3.1)."""
    pairs = (line.partition(b":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
