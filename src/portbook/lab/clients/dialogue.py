"""One conversation of a client: what it says and hears, over TCP, TLS or UDP, and what it keeps open.

What is said is left to the other modules here, each function of which takes a Dialogue that is connected, holds a
real conversation with it, and returns what the server calls itself, None where it does not say.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Exchange = Callable[["Dialogue"], str | None]

MOST = 65536
"""What is read of one answer at most."""


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
    def server(self) -> tuple[str, int]:
        """The server's address and port."""
        address, port = self.connection.getpeername()[:2]
        return address, port

    @property
    def authority(self) -> str:
        """The server's address and port as a URI has them (RFC 3986, section 3.2)."""
        address, port = self.server
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def say(self, data: bytes) -> None:
        """Send it all."""
        self.connection.sendall(data)

    def hear(self) -> bytes:
        """Return what comes next: of TCP what there is, of UDP a datagram."""
        if self.came:
            data, self.came = self.came, b""
            return data
        data = self.connection.recv(MOST)
        if not data and self.connection.type == socket.SOCK_STREAM:
            raise NotSpoken("the server ended in the middle")
        return data

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
        while line[:3] != code or line[3:4] == b"-":
            line = self.line()
            lines.append(line)
        return code, [one.removeprefix(code)[one.startswith(code) :].decode("utf-8", "replace") for one in lines]

    def block(self) -> list[bytes]:
        """Return the lines up to one that is a dot alone (RFC 3977, section 3.1.1; RFC 1939, section 3)."""
        lines: list[bytes] = []
        length = 0
        while (line := self.line()) != b".":
            lines.append(line.removeprefix(b"."))
            length += len(line) + 1
            if length > MOST:
                raise NotSpoken("the server says too much")
        return lines

    def start_tls(self) -> None:
        """Put TLS on the connection (RFC 8446); the certificate is the server's own, so it is not verified."""
        import ssl

        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            self.connection = context.wrap_socket(self.connection, server_hostname=self.server[0])
        except ssl.SSLError as error:
            raise NotSpoken(f"no TLS: {error.reason}") from error

    def sockets(self) -> list[socket.socket]:
        """Return every socket of the conversation."""
        return [self.connection, *self.others]

    def _until(self, end: Callable[[bytes], int | None]) -> bytes:
        while (length := end(self.came)) is None:
            data = self.connection.recv(4096)
            if not data or len(self.came) > MOST:
                raise NotSpoken("the server ended in the middle")
            self.came += data
        data, self.came = self.came[:length], self.came[length:]
        return data
