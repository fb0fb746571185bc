"""The lab's own clients: they hold real conversations. `python -m portbook.lab.talk KIND ...` begins some.

Each conversation says something and needs an answer before it counts. It tells what became of each, as a connect(2)
without rights sees it: answered, refused, rejected, silent, or no source port left. The servers are in serve.py.
"""

from __future__ import annotations

import errno
import json
import resource
import signal
import socket
import struct
import sys
from argparse import ArgumentParser
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from portbook.lab.scenario import Outcome, Transport

    Exchange = Callable[[socket.socket], str | None]

PATIENCE = 2.5
"""Seconds after which a server is silent: TCP sends its SYN again after one second (RFC 6298, section 2).

The kernel needs that for a rejection at times: an ICMP error that comes while connect(2) still runs is not heeded.
"""

_OUTCOMES: dict[int, Outcome] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.EHOSTUNREACH: "rejected",
    errno.ENETUNREACH: "rejected",
    errno.EACCES: "rejected",
    errno.EPERM: "rejected",
    errno.ENOPROTOOPT: "rejected",
    errno.EADDRNOTAVAIL: "no-source-port",
    errno.EADDRINUSE: "no-source-port",
    errno.ETIMEDOUT: "silent",
}


class NotSpoken(OSError):
    """The server does not speak what it should."""


@dataclass
class Talks:
    """Conversations that were begun: how each came out, which servers answered, and what is still open."""

    outcomes: Counter[str] = field(default_factory=Counter)
    servers: Counter[str] = field(default_factory=Counter)
    sockets: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        """End those that are still open."""
        for connection in self.sockets:
            connection.close()

    def reset(self) -> None:
        """End those that are still open at once: neither side keeps them in TIME-WAIT (RFC 9293, section 3.10.5)."""
        for connection in self.sockets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def begin(
    kind: str,
    server: tuple[str, int],
    transport: Transport = "tcp",
    source_port: int | None = None,
    count: int = 1,
    patience: float = PATIENCE,
) -> Talks:
    """Begin conversations with a server, one after the other, and leave them open.

    With a source port they come from it and those that follow. Never raises for what a server or a network does.
    """
    talks = Talks()
    exchange = _EXCHANGES[kind]
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    for number in range(count):
        connection = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        connection.settimeout(patience)
        talks.sockets.append(connection)
        try:
            if source_port is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                connection.bind(("", source_port + number))
            connection.connect(server)
            name = exchange(connection)
        except NotSpoken:
            talks.outcomes["not-spoken"] += 1
        except TimeoutError:
            talks.outcomes["silent"] += 1
        except OSError as error:
            talks.outcomes[_OUTCOMES.get(error.errno or 0, "refused")] += 1
        else:
            talks.outcomes["answered"] += 1
            if name is not None:
                talks.servers[name] += 1
            continue
        connection.close()
        talks.sockets.pop()
    return talks


def answers(kind: str, server: tuple[str, int], transport: Transport = "tcp", patience: float = PATIENCE) -> bool:
    """Return whether a server answers, and leave no trace in either kernel's tables."""
    talks = begin(kind, server, transport, patience=patience)
    talks.reset()
    return talks.outcomes["answered"] == 1


def _lines(connection: socket.socket, last: bytes) -> bytes:
    """Return what comes until it ends with `last`. Raises OSError, NotSpoken after 64 KiB or at the end."""
    got = b""
    while not got.endswith(last):
        data = connection.recv(4096)
        got += data
        if not data or len(got) > 65536:
            raise NotSpoken(errno.EPROTO, "the server ended in the middle")
    return got


def _http(connection: socket.socket) -> str | None:
    """GET / (RFC 9112); keeps the connection where the server does. Returns the Server field."""
    host, port = connection.getpeername()[:2]
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: portbook-lab\r\n\r\n".encode())
    got = connection.recv(65536)
    while b"\r\n\r\n" not in got and len(got) < 65536 and (data := connection.recv(65536)):
        got += data
    head, divider, body = got.partition(b"\r\n\r\n")
    if not divider or not head.startswith(b"HTTP/1."):
        raise NotSpoken(errno.EPROTO, "this is not HTTP")
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = fields.get(b"content-length", b"0")
    missing = (int(length) if length.isdigit() else 0) - len(body)
    closing = fields.get(b"connection", b"").lower() == b"close"
    # The server ends first where it says so.
    while (missing > 0 or closing) and (data := connection.recv(65536)):
        missing -= len(data)
    return fields.get(b"server", b"").decode("ascii", "replace") or None


def _ftp(connection: socket.socket) -> str | None:
    """Log in and ask for the folder (RFC 959). Returns the greeting."""
    greeting = _reply(connection, b"", b"220")
    _reply(connection, b"USER anonymous\r\n", b"331")
    _reply(connection, b"PASS portbook@\r\n", b"230")
    _reply(connection, b"PWD\r\n", b"257")
    return greeting


def _reply(connection: socket.socket, command: bytes, wanted: bytes) -> str:
    connection.sendall(command)
    got = _lines(connection, b"\r\n")
    while got.splitlines()[-1][3:4] == b"-":
        got += _lines(connection, b"\r\n")
    if not got.startswith(wanted):
        raise NotSpoken(errno.EPROTO, "this is not FTP as it should be")
    return got.splitlines()[-1][4:].decode("utf-8", "replace")


def _ssh(connection: socket.socket) -> str | None:
    """Exchange the identification strings (RFC 4253, section 4.2). Returns the server's."""
    connection.sendall(b"SSH-2.0-portbook_lab\r\n")
    got = b""
    while b"\n" not in got and len(got) < 65536:
        data = connection.recv(4096)
        if not data:
            break
        got += data
    name = got.partition(b"\n")[0].strip()
    if not name.startswith(b"SSH-2.0-"):
        raise NotSpoken(errno.EPROTO, "this is not SSH")
    return name.removeprefix(b"SSH-2.0-").decode("ascii", "replace")


def _echo(connection: socket.socket) -> str | None:
    """Send a word and get it back (RFC 862)."""
    connection.sendall(b"portbook\r\n")
    got = b""
    while len(got) < 10:
        data = connection.recv(4096)
        if not data:
            break
        got += data
    if got != b"portbook\r\n":
        raise NotSpoken(errno.EPROTO, "this is no echo")
    return None


def _sink(connection: socket.socket) -> str | None:
    """Send a word; nobody answers (RFC 863), but a closed UDP port would."""
    connection.sendall(b"portbook\r\n")
    if connection.type == socket.SOCK_DGRAM:
        connection.settimeout(0.2)
        with suppress(TimeoutError):
            connection.recv(1)
    return None


_EXCHANGES: dict[str, Exchange] = {"http": _http, "ftp": _ftp, "ssh": _ssh, "echo": _echo, "sink": _sink}
KINDS = tuple(_EXCHANGES)


def options_from(arguments: Sequence[str]) -> Namespace:
    """Return the options of a command line."""
    parser = ArgumentParser(prog="portbook.lab.talk", description=__doc__)
    add = parser.add_argument
    add("kind", choices=KINDS)
    add("address")
    add("port", type=int)
    add("--transport", choices=("tcp", "udp"), default="tcp")
    add("--source-port", type=int)
    add("--count", type=int, default=1)
    add("--patience", type=float, default=PATIENCE)
    add("--hold", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Begin conversations and write one line of JSON: {"outcomes": {NAME: COUNT}, "servers": {NAME: COUNT}}.

    With `--hold` they stay open until a signal ends the process. 0 when all were answered, 1 otherwise.
    """
    options = options_from(sys.argv[1:] if arguments is None else arguments)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = (options.address, options.port)
    talks = begin(options.kind, server, options.transport, options.source_port, options.count, options.patience)
    sys.stdout.write(json.dumps({"outcomes": talks.outcomes, "servers": talks.servers}) + "\n")
    sys.stdout.flush()
    if options.hold and talks.sockets:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pause()
    talks.close()
    return 0 if talks.outcomes["answered"] == options.count else 1


if __name__ == "__main__":
    sys.exit(main())
