"""A machine made busy: sockets in every state of TCP, and UDP, raw and UNIX ones, on a host and at its far end."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..hosts import Cable

ADDRESSES = {socket.AF_INET: ("10.66.0.1", "10.66.0.{}"), socket.AF_INET6: ("fd66::1", "fd66::{}")}
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
OTHER_USER = 1234
HALF_OPEN, LAST_ACK, FIN_WAIT_1, CLOSING, WHOLE = 6, 3, 4, 5, 2
"""Which address of the far end serves to bring connections into which state at the near end."""


def pair(listener: socket.socket, client: socket.socket, bound: str) -> tuple[socket.socket, socket.socket]:
    """Connect a client to a listener; return the client and the server's socket."""
    client.bind((bound, 0))
    client.connect(listener.getsockname()[:2])
    return client, listener.accept()[0]


def in_every_state(cable: Cable, family: socket.AddressFamily, each: int) -> list[socket.socket]:
    """Make `each` connections of the near end that are in each state, and listen.

    What the near end sends to a cut address is lost. So a connection stays where the lost segment would have
    taken it on: SYN-RECEIVED without the SYN-ACK, FIN-WAIT-1 and LAST-ACK without the FIN, CLOSING without both.
    """
    here, there = ADDRESSES[family]
    with cable.near.inside():
        listener = socket.create_server((here, 7000), family=family, backlog=4096)
    with cable.far.inside():
        clients = [socket.socket(family) for _ in range(8 * each)]
    held: list[socket.socket] = [listener]

    def connected(number: int) -> list[tuple[socket.socket, socket.socket]]:
        made = [pair(listener, clients.pop(), there.format(number)) for _ in range(each)]
        held.extend(end for ends in made for end in ends)
        return made

    connected(WHOLE)  # ESTABLISHED
    for _, server in connected(WHOLE):
        server.shutdown(socket.SHUT_WR)  # FIN-WAIT-2, and CLOSE-WAIT at the far end
    for client, _ in connected(WHOLE):
        client.shutdown(socket.SHUT_WR)  # CLOSE-WAIT
    for client, server in connected(WHOLE):
        server.close()  # TIME-WAIT
        assert client.recv(1) == b""
        client.close()
    last, first, both = connected(LAST_ACK), connected(FIN_WAIT_1), connected(CLOSING)
    for client, server in last:
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
    for number in (LAST_ACK, FIN_WAIT_1, CLOSING, HALF_OPEN):
        cable.cut(there.format(number))
    for _, server in last + first + both:
        server.shutdown(socket.SHUT_WR)
    for client, _ in both:
        client.shutdown(socket.SHUT_WR)
    for client in clients:  # SYN-SENT, and SYN-RECEIVED at the near end
        client.setblocking(False)
        client.bind((there.format(HALF_OPEN), 0))
        client.connect_ex((here, 7000))
    with cable.near.inside():
        unanswered = [socket.socket(family) for _ in range(each)]
    for client in unanswered:  # SYN-SENT
        client.setblocking(False)
        client.connect_ex((there.format(HALF_OPEN), 7))
    return held + clients + unanswered


def without_states(family: socket.AddressFamily, each: int) -> list[socket.socket]:
    """Make UDP sockets, connected and not, of several users, and raw ones, where the calling thread is."""
    held = []
    for number in range(each):
        server, client = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        server.bind((LOOPBACK[family], 0))
        client.connect(server.getsockname()[:2])
        os.fchown(server.fileno(), OTHER_USER + number % 3, -1)
        held += [server, client]
    client.send(b"waiting to be read")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    for protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_UDP):
        held.append(socket.socket(family, socket.SOCK_RAW, protocol))
    return held


def dual_stack(each: int) -> list[socket.socket]:
    """Make listeners on IPv6 with and without IPv4, and connections over IPv4 to the former."""
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=each)
    only = socket.create_server(("::", 0), family=socket.AF_INET6, backlog=7)
    clients = [socket.create_connection(("127.0.0.1", both.getsockname()[1])) for _ in range(each)]
    # Half of them stay in the queue, where no process holds them.
    return [both, only, *clients, *(both.accept()[0] for _ in range(each // 2))]


def unix_sockets(folder: Path, each: int) -> list[socket.socket]:
    """Make UNIX sockets of every kind, with paths and abstract names, connected, waiting and alone."""
    held = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        for name in (str(folder / f"a path {kind}"), f"\0portbook-{os.getpid()}-{kind}\0with zero", "\0" + "x" * 107):
            if len(name) == 108 and kind == socket.SOCK_SEQPACKET:
                name = "\0" + "y" * 107
            listener = socket.socket(socket.AF_UNIX, kind)
            listener.bind(name)
            listener.listen(each)
            held.append(listener)
            for number in range(each):
                client = socket.socket(socket.AF_UNIX, kind)
                client.connect(name)
                held.append(client)
                if number % 2:
                    held.append(listener.accept()[0])
                    client.send(b"queued")
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(folder / "datagrams"))
    for _ in range(each):
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.connect(str(folder / "datagrams"))
        held.append(sender)
        held += socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return [receiver, *held, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)]
