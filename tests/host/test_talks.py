from __future__ import annotations

import os
import socket
import threading
import time
from array import array
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, pack_address
from portbook.endpoint import SCTP, TCP, UDP
from portbook.host.reading import PORTED, Reading, Selection, read
from portbook.host.sockets import View
from portbook.host.talks import DEFAULT_COLUMNS, Talks, grouped
from portbook.registry.lookup import open_registry
from portbook.socket import ABSENT_32, IPV4, SocketStore

from ..hosts import Cable, Host, hosts
from ..linux.children import in_child, needs_root, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS, PROCESSES = 200, 5
Sent = dict[tuple[str, int], tuple[int, int]]
"""By the client's address and port: the bytes that client and server have sent."""


class Exchange(NamedTuple):
    port: int
    sent: Sent
    silent: set[tuple[str, int]]
    half_closed: set[tuple[str, int]]


def named(name: str) -> None:
    Path("/proc/self/comm").write_text(name)


def serving(host: Host | None, address: str) -> Callable[[], tuple[int, object]]:
    """Return the body of a server that answers each client with as many bytes as it asks for."""

    def body() -> tuple[int, object]:
        named("harbour")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with host.inside() if host else nullcontext():
            # Where the server's host is not seen, the lower port has to tell that it serves.
            listener = socket.create_server((address, 7001 if host else 0), family=family, backlog=CLIENTS)

        def accept() -> None:
            while True:
                threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1], listener

    return body


held: list[socket.socket] = []


def answer(server: socket.socket) -> None:
    held.append(server)
    with server.makefile("rb") as lines:
        for line in lines:
            server.sendall(b"." * (int(line) - 1) + b"\n")


def asking(host: Host | None, server: tuple[str, int], first: int) -> Callable[[], tuple[Exchange, object]]:
    """Return the body of a process of clients: some say nothing, some close their half when all is said."""

    def body() -> tuple[Exchange, object]:
        named(f"ship {first}")
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        exchange = Exchange(server[1], {}, set(), set())
        with host.inside() if host else nullcontext():
            clients = [socket.socket(family) for _ in range(CLIENTS // PROCESSES)]
        for number, client in enumerate(clients, start=first):
            client.connect(server)
            own = client.getsockname()[:2]
            question, wanted = b"%0*d\n" % (number * 7, number * 131), number * 131
            if number % 10 == 0:
                exchange.silent.add(own)
                exchange.sent[own] = (0, 0)
                continue
            client.sendall(question)
            with client.makefile("rb") as lines:
                assert len(lines.readline()) == wanted
            exchange.sent[own] = (len(question), wanted)
            if number % 10 == 1:
                client.shutdown(socket.SHUT_WR)
                exchange.half_closed.add(own)
        return exchange, clients

    return body


@contextmanager
def talking(server: Host | None, client: Host | None, address: str) -> Iterator[Exchange]:
    """Start a server and its clients in several processes, and give what they have said to each other."""
    with ExitStack() as stack:
        _, port = stack.enter_context(running(serving(server, address)))
        every = Exchange(port, {}, set(), set())
        for number in range(PROCESSES):
            first = 1 + number * (CLIENTS // PROCESSES)
            _, one = stack.enter_context(running(asking(client, (address, port), first)))
            every.sent.update(one.sent)
            every.silent.update(one.silent)
            every.half_closed.update(one.half_closed)
        assert len(every.sent) == CLIENTS
        yield every


def conversations(port: int, netns: str | None = "seen", owners: bool = True) -> Talks:
    """Return the conversations with a port when all that was sent has arrived."""
    return Talks(View(read(Selection(PORTED, owners=owners, detailed=True, netns=netns))), frozenset({port}))


def rows_of(talks: Talks) -> list[Any]:
    return list(talks.table())


def settled(port: int, netns: str | None = "seen") -> list[Any]:
    """Return the conversations once nothing changes any more."""
    before: list[Any] = []
    for _ in range(100):
        rows = rows_of(conversations(port, netns))
        told = [(*row[:6], row.state, row.client_payload, row.server_payload) for row in rows]
        passing = any(row.state in ("FIN-WAIT-1", "LAST-ACK", "CLOSING") for row in rows)
        if told == before and not passing:
            return rows
        before = told
        time.sleep(0.02)
    pytest.fail("the conversations never stood still")


def check(rows: list[Any], said: Exchange, server: str) -> None:
    """Check that each conversation is there once, its sides right, and its bytes those that were sent."""
    assert len(rows) == len({(row.client_ip, row.client_port) for row in rows}) == CLIENTS
    assert {(row.server_ip, row.server_port) for row in rows} == {(server, said.port)}
    told = {(row.client_ip, row.client_port): (row.client_payload, row.server_payload) for row in rows}
    assert told == said.sent
    states = {(row.client_ip, row.client_port): row.state for row in rows}
    for end, state in states.items():
        assert state == ("FIN-WAIT-2" if end in said.half_closed else "ESTABLISHED")


LOOPBACK = ["127.0.0.1", "::1"]


@pytest.mark.parametrize("address", LOOPBACK)
def test_on_loopback_each_conversation_is_told_once_with_both_owners(address: str) -> None:
    with talking(None, None, address) as said:
        rows = settled(said.port, netns=None)
        check(rows, said, address)
        assert Counter(row.process for row in rows) == {
            f"ship {1 + number * 40} -> harbour": CLIENTS // PROCESSES for number in range(PROCESSES)
        }
        assert {len(row.pids) for row in rows} == {2}


@needs_root
@pytest.mark.parametrize("address", ["10.66.0.1", "fd66::1"])
def test_between_two_hosts_each_conversation_is_told_once_with_both_owners(address: str) -> None:
    with hosts(2) as (near, far):
        Cable(near, far)
        with talking(near, far, address) as said:
            rows = settled(said.port)
            check(rows, said, address)
            assert len(Counter(row.process for row in rows)) == PROCESSES
            assert all(row.process.startswith("ship ") and row.process.endswith(" -> harbour") for row in rows)
            for one, owner in ((near, "harbour"), (far, "ship")):
                own = settled(said.port, one.name)
                check_side(own, said, owner)
            # What the server tells of clients that are elsewhere.
            peers = grouped(conversations(said.port, near.name), ("process",))
            assert [(row.process, row.conversations) for row in peers] == [("harbour", CLIENTS)]


def check_side(rows: list[Any], said: Exchange, owner: str) -> None:
    """Check what one host alone tells: the same conversations, with its own owner only."""
    assert {(row.client_ip, row.client_port): (row.client_payload, row.server_payload) for row in rows} == said.sent
    assert len(rows) == CLIENTS
    assert all(row.process.startswith(owner) and "->" not in row.process for row in rows)


@needs_root
def test_without_rights_the_conversations_are_the_same_and_the_owners_hidden() -> None:
    with talking(None, None, "127.0.0.1") as said:
        settled(said.port, None)
        rows, names = in_child(lambda: plain(conversations(said.port, None)), unprivileged=True)
        assert {(ip, port): payload for ip, port, *payload in rows} == {
            end: list(sent) for end, sent in said.sent.items()
        }
        assert len(rows) == CLIENTS
        assert names == {"? -> ?"}


def plain(talks: Talks) -> tuple[list[tuple[Any, ...]], set[str]]:
    rows = rows_of(talks)
    told = [(row.client_ip, row.client_port, row.client_payload, row.server_payload) for row in rows]
    return told, {row.process for row in rows}


def test_who_said_nothing_has_an_exact_start() -> None:
    before = time.time()
    with talking(None, None, "127.0.0.1") as said:
        between = time.time()
        settled(said.port, None)
        asked = time.time()
        rows = rows_of(conversations(said.port, None))
        after = time.time()
        # The kernel counts in ticks of its clock, as coarse as 10 ms; and reading takes a while.
        near = 0.02 + after - asked
        for row in rows:
            assert 0 <= row.duration <= after - before + 0.02
            if (row.client_ip, row.client_port) in said.silent:
                assert before - 0.02 <= row.start <= between + near
            else:
                assert row.start is None
        assert said.silent


def test_a_connection_that_is_being_made_has_no_age() -> None:
    store = SocketStore(detailed=True)
    append(store, ("10.0.0.1", 40000), ("10.0.0.2", 443), tcp.SYN_SENT)
    for name in ("last_sent", "last_received", "last_ack"):
        getattr(store, name)[0] = 3_815_720  # since the machine was started
    store.bytes_sent[0] = store.bytes_received[0] = 0
    [row] = Talks(View(Reading(store))).table()
    assert (row.start, row.duration, row.state) == (None, None, "SYN-SENT")


def append(
    store: SocketStore,
    local: tuple[str, int],
    remote: tuple[str, int] | None,
    state: int = tcp.ESTABLISHED,
    transport: int = TCP,
    netns: int = 0,
) -> None:
    store.local_ip += pack_address(local[0])
    store.remote_ip += pack_address(remote[0]) if remote else ABSENT_ADDRESS
    store.append_fields(
        transport=transport,
        family=IPV4,
        state=state,
        local_port=local[1],
        remote_port=remote[1] if remote else 0,
        netns=netns,
        uid=ABSENT_32,
    )


def reading_of(store: SocketStore) -> Reading:
    """Return a reading of as many namespaces as the store's rows are in."""
    reading = Reading(store)
    reading.namespaces = [None] * (max(store.netns, default=0) + 1)
    return reading


def told(store: SocketStore) -> list[tuple[object, ...]]:
    """Return client and server of each conversation of a made-up store, by a registry's names."""
    view = View(reading_of(store), open_registry())
    table = Talks(view).table(("client_ip", "client_port", "server_ip", "server_port"))
    return [tuple(row) for row in table]


def test_the_listener_serves_whatever_its_port_is() -> None:
    store = SocketStore(detailed=True)
    append(store, ("0.0.0.0", 50000), None, tcp.LISTEN)
    append(store, ("10.0.0.1", 50000), ("10.0.0.2", 443))
    assert told(store) == [("10.0.0.2", 443, "10.0.0.1", 50000)]


def test_without_a_listener_a_known_service_serves_else_the_lower_port() -> None:
    store = SocketStore(detailed=True)
    append(store, ("10.0.0.1", 5432), ("10.0.0.2", 61000))
    append(store, ("10.0.0.1", 61001), ("10.0.0.2", 5432))
    append(store, ("10.0.0.1", 61002), ("10.0.0.2", 61003))
    append(store, ("10.0.0.1", 61004), ("10.0.0.2", 5004), tcp.SYN_SENT)
    append(store, ("10.0.0.1", 22), ("10.0.0.2", 61009), tcp.SYN_SENT)
    assert [row[1] for row in told(store)] == [61000, 61001, 61003, 61004, 22]


def test_what_is_no_conversation_is_left_out() -> None:
    store = SocketStore(detailed=True)
    for state in (tcp.LISTEN, tcp.SYN_RECEIVED, tcp.TIME_WAIT, tcp.CLOSED):
        append(store, ("10.0.0.1", 50000), ("10.0.0.2", 443), state)
    append(store, ("10.0.0.1", 53), None, tcp.UNCONNECTED, UDP)
    append(store, ("10.0.0.1", 50001), ("10.0.0.2", 53), tcp.CONNECTED, UDP)
    append(store, ("10.0.0.1", 50002), ("10.0.0.2", 2905), tcp.ESTABLISHED, SCTP)
    assert [row[1:4:2] for row in told(store)] == [(50001, 53), (50002, 2905)]


def test_a_socket_connected_to_itself_is_one_conversation() -> None:
    store = SocketStore(detailed=True)
    append(store, ("127.0.0.1", 50000), ("127.0.0.1", 50000))
    assert told(store) == [("127.0.0.1", 50000, "127.0.0.1", 50000)]


def test_networks_with_the_same_addresses_are_told_apart_by_their_bytes() -> None:
    store = SocketStore(detailed=True)
    for netns, (local, remote) in enumerate(((1, 2), (1, 2), (2, 1), (2, 1))):
        ends = ((f"10.0.0.{local}", 22 if local == 2 else 50000), (f"10.0.0.{remote}", 22 if remote == 2 else 50000))
        append(store, *ends, netns=netns)
    store.bytes_sent[:] = array("Q", [100, 7, 8, 300])
    store.bytes_received[:] = array("Q", [300, 8, 7, 100])
    talks = Talks(View(reading_of(store)))
    assert list(zip(talks.clients, talks.servers, strict=True)) == [(0, 3), (1, 2)]
    assert [(row.client_payload, row.server_payload) for row in talks.table()] == [(100, 300), (7, 8)]


def test_loopback_never_leaves_its_own_namespace() -> None:
    store = SocketStore(detailed=True)
    append(store, ("127.0.0.1", 50000), ("127.0.0.1", 22), netns=0)
    append(store, ("127.0.0.1", 22), ("127.0.0.1", 50000), netns=1)
    assert len(told(store)) == 2


def test_what_a_closed_end_no_longer_tells_the_other_does() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener, socket.create_connection(("127.0.0.1", port)) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"from the client")
            assert server.recv(100) == b"from the client"
            server.sendall(b"from the server")
            assert client.recv(100) == b"from the server"
            client.close()  # the kernel keeps only a remnant in FIN-WAIT-2
            [row] = settled(port, None)
    assert (row.client_payload, row.server_payload) == (15, 15)
    assert row.state == "FIN-WAIT-2"
    name = Path("/proc/self/comm").read_text().strip()
    assert row.process == f"? -> {name}"
    assert row.rtt_ms is not None


def test_groups_add_up() -> None:
    with talking(None, None, "127.0.0.1") as said:
        settled(said.port, None)
        talks = conversations(said.port, None)
        rows = rows_of(talks)
        [both] = grouped(talks, ("service", "peer"))
        assert (both.service, both.peer, both.conversations) == (str(said.port), "127.0.0.1", CLIENTS)
        assert both.client_payload == sum(sent for sent, _ in said.sent.values())
        assert both.server_payload == sum(sent for _, sent in said.sent.values())
        by_process = list(grouped(talks, ("process",)))
        assert Counter(row.process for row in rows) == {row.process: row.conversations for row in by_process}
        assert sum(row.client_payload for row in by_process) == both.client_payload
        assert [row.conversations for row in by_process] == sorted(
            (row.conversations for row in by_process), reverse=True
        )


def test_no_conversation_makes_an_empty_table() -> None:
    talks = Talks(View(Reading(SocketStore(detailed=True))))
    assert len(talks.table()) == len(grouped(talks, ("service", "peer", "process"))) == 0
    assert tuple(column.name for column in talks.table().columns) == DEFAULT_COLUMNS


def test_the_table_tells_the_same_community_id_from_either_end() -> None:
    store = SocketStore(detailed=True)
    append(store, ("128.232.110.120", 34855), ("66.35.250.204", 80))
    append(store, ("66.35.250.204", 80), ("128.232.110.120", 34855), netns=1)
    [row] = Talks(View(reading_of(store))).table()
    assert row.community_id == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


def test_this_process_is_the_owner_of_both_its_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            [row] = rows_of(conversations(port, None))
    assert row.pids == (os.getpid(),)
    name = Path("/proc/self/comm").read_text().strip()
    assert row.process == f"{name} -> {name}"
