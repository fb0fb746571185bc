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
from dataclasses import dataclass, field

from portbook.lab.clients import (
    chat,
    clocks,
    databases,
    desktops,
    echo,
    ftp,
    mail,
    management,
    names,
    news,
    shells,
    telephony,
    web,
)
from portbook.lab.clients.dialogue import Dialogue, NotSpoken, inside_tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from portbook.lab.clients.dialogue import Exchange
    from portbook.lab.scenario import Outcome, Transport

PATIENCE = 2.5
"""Seconds after which a server is silent: TCP sends its SYN again after one second (RFC 6298, section 2)."""

_IPV6_RECVERR = 25

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
    exchange = EXCHANGES[kind]
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    for number in range(count):
        connection = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        connection.settimeout(patience)
        dialogue = Dialogue(connection)
        try:
            if source_port is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                connection.bind(("", source_port + number))
            if family == socket.AF_INET6:
                # An ICMPv6 error that comes while connect(2) still runs is else heeded after the second SYN only.
                connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            connection.connect(server)
            if family == socket.AF_INET6:
                connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 0)
            name = exchange(dialogue)
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
            talks.sockets += dialogue.sockets()
            continue
        for opened in dialogue.sockets():
            opened.close()
    return talks


def answers(kind: str, server: tuple[str, int], transport: Transport = "tcp", patience: float = PATIENCE) -> bool:
    """Return whether a server answers, and leave no trace in either kernel's tables."""
    talks = begin(kind, server, transport, patience=patience)
    talks.reset()
    return talks.outcomes["answered"] == 1


EXCHANGES: dict[str, Exchange] = {
    "http": web.http,
    "https": inside_tls(web.http),
    "ftp": ftp.ftp,
    "ftp-active": ftp.ftp_active,
    "ssh": shells.ssh,
    "telnet": shells.telnet,
    "echo": echo.echo,
    "dns": names.dns,
    "ntp": clocks.ntp,
    "snmp": management.snmp,
    "syslog": management.syslog,
    "sink": echo.sink,
    "mysql": databases.mysql,
    "postgresql": databases.postgresql,
    "redis": databases.redis,
    "memcached": databases.memcached,
    "smtp": mail.smtp,
    "smtps": inside_tls(mail.smtp),
    "pop3": mail.pop3,
    "pop3s": inside_tls(mail.pop3),
    "imap": mail.imap,
    "imaps": inside_tls(mail.imap),
    "nntp": news.nntp,
    "irc": chat.irc,
    "sip": telephony.sip,
    "rdp": desktops.rdp,
    "vnc": desktops.vnc,
}
"""What is said to each kind of service. One that is not here is not asked, for it answers to no one client."""


def options_from(arguments: Sequence[str]) -> Namespace:
    """Return the options of a command line."""
    parser = ArgumentParser(prog="portbook.lab.talk", description=__doc__)
    add = parser.add_argument
    add("kind", choices=tuple(EXCHANGES))
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
