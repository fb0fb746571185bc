from __future__ import annotations

import encodings.idna  # noqa: F401 - who has lost the rights can no longer import it
import os
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, pack_address
from portbook.endpoint import RAW, TCP, UDP
from portbook.host.listeners import holders, listener_table, listeners
from portbook.host.ports import held_here
from portbook.host.reading import PORTED, Reading, Selection, read
from portbook.host.settings import port_settings
from portbook.host.sockets import View
from portbook.socket import ABSENT_32, IPV4, IPV6, Owner, SocketStore

from ..hosts import Cable, Host, hosts
from ..linux.children import in_child, needs_root, running
from .test_talks import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portbook.socket import Listener


@pytest.fixture
def host() -> Iterator[Host]:
    with hosts(1) as (made,):
        yield made


def waiting(host: Host | None = None) -> list[Listener]:
    """Return the listeners of a host, or of this one."""
    return listeners(View(read(Selection(PORTED, owners=True, netns=host.name if host else None))))


def standing(port: int, host: Host | None = None) -> list[Any]:
    """Return what stands on a port of a host, or of this one."""
    return list(holders(frozenset({port}), Selection(PORTED, netns=host.name if host else None)))


def notes(port: int, selection: Selection | None = None) -> list[str]:
    """Return the messages about a port that nothing holds, filled in, without those on other people's namespaces."""
    table = holders(frozenset({port}), selection or Selection(PORTED))
    assert len(table) == 0
    filled = [message.format(**values) for message, values in table.notes]
    return [note for note in filled if " namespace " not in note or f" portbook-{os.getpid()}-" in note]


@needs_root
def test_a_service_on_both_families_is_one_line(host: Host) -> None:
    with ExitStack() as stack:
        with host.inside():
            for address in ("127.0.0.1", "::1"):
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                stack.enter_context(socket.create_server((address, 8080), family=family, backlog=5))
            stack.enter_context(socket.create_server(("0.0.0.0", 80)))
            stack.enter_context(socket.create_server(("::", 443), family=socket.AF_INET6, dualstack_ipv6=True))
        one, two, three = waiting(host)
    assert [(line.port, line.scope, line.addresses) for line in (one, two, three)] == [
        (80, "container", ("0.0.0.0",)),
        (443, "container", ("::",)),
        (8080, "loopback", ("::1", "127.0.0.1")),
    ]
    assert (three.queue, three.queue_limit, three.conversations) == (0, 5, 0)
    assert {line.owner.pids for line in (one, two, three)} == {(os.getpid(),)}
    assert {line.netns for line in (one, two, three)} == {host.name}


@needs_root
def test_the_scope_of_a_listener_of_this_namespace(host: Host) -> None:
    for address in ("10.1.2.3", "169.254.7.7", "192.0.2.80", "fd00::7"):
        host.ip("address", "add", address, "dev", "lo")
    expected = {
        "127.0.0.9": "loopback",
        "10.1.2.3": "private",
        "169.254.7.7": "link",
        "192.0.2.80": "public",
        "0.0.0.0": "any",
        "fd00::7": "private",
        "::1": "loopback",
    }
    with ExitStack() as stack, host.inside():
        for number, address in enumerate(expected):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            stack.enter_context(socket.create_server((address, 9000 + number), family=family))
        found = {line.addresses: line.scope for line in waiting()}
    assert found == {(address,): scope for address, scope in expected.items()}


@needs_root
def test_workers_that_share_a_port_are_one_line(host: Host) -> None:
    def worker() -> tuple[None, object]:
        named("worker")
        with host.inside():
            return None, socket.create_server(("127.0.0.1", 8080), backlog=7, reuse_port=True)

    with ExitStack() as stack:
        pids = [stack.enter_context(running(worker))[0] for _ in range(3)]
        [line] = waiting(host)
        [held] = standing(8080, host)
    assert line.owner.pids == held.pids == tuple(sorted(pids))
    assert (line.owner.process, line.queue_limit, line.addresses) == ("worker", 7, ("127.0.0.1",))
    assert (held.holds, held.count, held.state) == ("listening", 3, "LISTEN")


@needs_root
def test_a_socket_that_was_passed_by_fork_has_both_owners(host: Host) -> None:
    def heir() -> tuple[None, object]:
        named("heir")
        return None, shared

    with host.inside(), socket.create_server(("127.0.0.1", 8080)) as shared, running(heir) as (pid, _):
        [line] = waiting()
    assert line.owner.pids == tuple(sorted((os.getpid(), pid)))
    assert "heir" in str(line.owner.process).split(", ")


@needs_root
def test_the_queue_against_its_limit_and_the_conversations(host: Host) -> None:
    with ExitStack() as stack, host.inside():
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 8080), backlog=3))
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", 8080)))
        server, _ = listener.accept()
        stack.enter_context(server)
        [line] = waiting(host)
    assert (line.queue, line.queue_limit, line.conversations) == (2, 3, 3)


@needs_root
def test_conversations_count_for_the_listener_that_took_them(host: Host) -> None:
    def other() -> tuple[None, object]:
        named("other")
        with host.inside():
            return None, socket.create_server(("0.0.0.0", 8080), reuse_port=True)

    with ExitStack() as stack, running(other), host.inside():
        stack.enter_context(socket.create_server(("127.0.0.7", 8080), reuse_port=True))
        for address in ("127.0.0.7", "127.0.0.7", "127.0.0.1"):
            stack.enter_context(socket.create_connection((address, 8080)))
        found = {line.addresses: line.conversations for line in waiting()}
    assert found == {("0.0.0.0",): 1, ("127.0.0.7",): 2}


def test_ipv4_conversations_of_an_ipv6_listener() -> None:
    store = SocketStore()
    for address, family, v6only, port in (("::", IPV6, 0, 80), ("::", IPV6, 1, 81), ("::", IPV6, 0, 82)):
        append(store, address, port, tcp.LISTEN, family)
        store.v6only[-1] = v6only
    append(store, "0.0.0.0", 82, tcp.LISTEN)
    store.uid[-1] = 7  # another owner
    for port in (80, 81, 82):
        append(store, "192.0.2.1", port, tcp.ESTABLISHED, IPV4)
        append(store, "2001:db8::1", port, tcp.ESTABLISHED, IPV6)
    append(store, "192.0.2.1", 6, tcp.UNCONNECTED, transport=RAW)
    found = listeners(view_of(store))
    assert {(line.port, line.addresses): line.conversations for line in found} == {
        (80, ("::",)): 2,
        (81, ("::",)): 1,
        (82, ("::",)): 1,
        (82, ("0.0.0.0",)): 1,
    }


def append(store: SocketStore, address: str, port: int, state: int, family: int = IPV4, transport: int = TCP) -> None:
    store.local_ip += pack_address(address)
    store.remote_ip += ABSENT_ADDRESS
    store.append_fields(
        transport=transport, family=family, state=state, local_port=port, uid=ABSENT_32, send_queue=ABSENT_32
    )


def view_of(store: SocketStore) -> View:
    reading = Reading(store)
    reading.owners = [Owner()] * len(store)
    return View(reading)


@needs_root
def test_all_that_stands_on_a_port(host: Host) -> None:
    with ExitStack() as stack, host.inside():
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 8080))
        listener = stack.enter_context(socket.create_server(("127.0.0.2", 8080)))
        datagrams = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        datagrams.bind(("::1", 8080))
        for _ in range(3):
            client = stack.enter_context(socket.create_connection(("127.0.0.2", 8080)))
            server = stack.enter_context(listener.accept()[0])
        server.close()
        assert client.recv(1) == b""
        client.close()
        rows = standing(8080, host)
        stack.enter_context(socket.create_connection(("127.0.0.2", 8080), source_address=("127.0.0.3", 7777)))
        [taken] = standing(7777, host)
    told = [(row.holds, row.transport, row.state, row.count, row.addresses) for row in rows]
    assert told == [
        ("listening", "tcp", "LISTEN", 1, ("127.0.0.2",)),
        ("listening", "udp", "UNCONNECTED", 1, ("::1",)),
        ("bound", "tcp", "CLOSED", 1, ("127.0.0.1",)),
        ("conversation", "tcp", "ESTABLISHED", 2, ("127.0.0.2",)),
        ("time-wait", "tcp", "TIME-WAIT", 1, ("127.0.0.2",)),
    ]
    *held, remains = rows
    assert {row.pids for row in held} == {(os.getpid(),)}
    assert 0 < remains.expires <= 60
    assert (remains.pids, remains.owner_by, remains.user) == (None, None, None)
    assert all(row.expires is None for row in held)
    assert [row.scope for row in rows] == ["loopback", "loopback", None, None, None]
    assert (taken.holds, taken.local_port, taken.addresses) == ("conversation", 7777, ("127.0.0.3",))


@needs_root
def test_a_free_port_is_told_with_what_else_may_take_it(host: Host) -> None:
    with hosts(1) as (other,), host.inside():
        assert notes(30000) == ["nothing here holds port 30000"]
        assert [note.partition(":")[0] for note in notes(80)] == [
            "nothing here holds port 80",
            "port 80 is privileged here",
        ]
        host_sysctl("ip_local_port_range", "20000 20999")
        host_sysctl("ip_unprivileged_port_start", "80")
        host_sysctl("ip_local_reserved_ports", "20005-20007")
        assert notes(80) == ["nothing here holds port 80"]
        assert notes(20004)[1:] == [
            "port 20004 is in this host's source-port range 20000-20999: any connection may take it"
        ]
        assert notes(20006)[1:] == [
            "port 20006 is reserved here (ip_local_reserved_ports): no source port, but free to listen"
        ]
        with other.inside():
            elsewhere = socket.create_server(("127.0.0.1", 30000))
        with elsewhere:
            assert notes(30000)[1:] == [
                f"port 30000 is held in the network namespace {other.name}: portbook who 30000 --netns all"
            ]
            # Of another namespace this one's settings say nothing.
            assert notes(20004, Selection(PORTED, netns=other.name)) == ["nothing here holds port 20004"]
            # What is asked of UDP is not answered with TCP.
            assert notes(30000, Selection((UDP,))) == ["nothing here holds port 30000"]


@needs_root
def test_a_connection_to_a_port_elsewhere_does_not_hold_it(host: Host) -> None:
    with hosts(1) as (far,):
        Cable(host, far)
        with host.inside():
            server = socket.create_server(("10.66.0.1", 30000))
        with server, far.inside(), socket.create_connection(("10.66.0.1", 30000)):
            assert notes(30000)[1:] == [
                f"port 30000 is held in the network namespace {host.name}: portbook who 30000 --netns all"
            ]


def host_sysctl(name: str, value: str) -> None:
    Path("/proc/sys/net/ipv4", name).write_text(value)


def test_settings_that_cannot_be_read_are_those_of_the_rfc(tmp_path: Path) -> None:
    (tmp_path / "ip_local_port_range").write_text("what\n")
    (tmp_path / "ip_local_reserved_ports").write_text("5,7-9,x,-3,11-\n")
    found = port_settings(str(tmp_path))
    assert (found.source, found.unprivileged_from) == (range(49152, 65536), 1024)
    assert found.reserved == {5, 7, 8, 9, 11}
    assert (found.is_source(49152), found.is_source(7)) == (True, False)


def test_the_table_has_the_fields_of_the_listeners() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        view = View(read(Selection(PORTED, owners=True)))
        found = listeners(view)
        [row] = [row for row in listener_table(found, view) if row.local_port == port]
        [line] = [line for line in found if line.port == port]
    assert (row.transport, row.scope, row.addresses, row.pids) == ("tcp", "loopback", ("127.0.0.1",), (os.getpid(),))
    assert (row.send_queue, row.recv_queue, row.process) == (line.queue_limit, line.queue, line.owner.process)


@needs_root
def test_without_rights_the_listeners_are_seen_and_others_owners_are_not(host: Host) -> None:
    def look() -> tuple[list[Any], list[tuple[Any, ...]]]:
        shared.close()  # the child's own
        with socket.create_server(("127.0.0.1", 8081)):
            return waiting(), [row[:6] for row in standing(8080)]

    with host.inside(), socket.create_server(("127.0.0.1", 8080), backlog=9) as shared:
        (hidden, own), held = in_child(look, unprivileged=True)
    assert (hidden.port, hidden.owner.owner_by, hidden.owner.pids) == (8080, "hidden", None)
    assert (hidden.queue_limit, hidden.user) == (9, "root")
    assert (own.port, own.owner.owner_by) == (8081, "exact")
    assert [row[:4] for row in held] == [("listening", 1, "tcp", 8080)]


@needs_root
def test_what_holds_a_port_in_the_words_of_what(host: Host) -> None:
    with ExitStack() as stack, host.inside():
        named_here = Path("/proc/self/comm").read_text().strip()
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", 8080)))
            stack.enter_context(listener.accept()[0])
        stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", 8080))
        found = held_here(frozenset({8080, 9}))
    assert set(found) == {(8080, "tcp"), (8080, "udp")}
    assert sorted(found[8080, "tcp"].removeprefix(f"{named_here}: ").split(", ")) == ["2 ESTABLISHED", "LISTEN"]
    assert found[8080, "udp"] == f"{named_here}: UNCONNECTED"
