from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from portbook.endpoint import TCP
from portbook.errors import BadQuestion, Unavailable
from portbook.host.reading import Selection, read, spanned
from portbook.host.sockets import sockets
from portbook.linux import namespaces, sock_diag
from portbook.linux.namespaces import NetworkNamespaces, network_namespaces

from ..hosts import hosts
from ..linux.children import in_child, needs_root, running

if TYPE_CHECKING:
    from portbook.columns import Note

OF_TCP = Selection((TCP,))


def noted(netns: str) -> tuple[bool, list[Note], list[str | None]]:
    """Return whether a reading is complete, its notes, and the names of the namespaces that have sockets in it."""
    reading = read(OF_TCP._replace(netns=netns))
    spaces = [reading.namespaces[number] for number in sorted(set(reading.store.netns))]
    return reading.complete, reading.notes, [space.name if space else None for space in spaces]


@needs_root
def test_every_namespace_is_read_once() -> None:
    with hosts(2) as made:
        listeners = []
        for host in made:
            with host.inside():
                listeners.append(socket.create_server(("127.0.0.1", 7)))
        for netns in ("all", "seen"):
            rows = [row for row in sockets(OF_TCP._replace(netns=netns)) if row.local_port == 7]
            for host in made:
                assert [row.local_ip for row in rows if row.netns == host.name] == ["127.0.0.1"]
        with made[0].inside():
            [row] = sockets(OF_TCP)
            assert (row.local_port, row.netns.startswith("net:[")) == (7, True)
        for listener in listeners:
            listener.close()


@needs_root
def test_without_rights_what_is_hidden_is_told_only_where_all_is_asked_for() -> None:
    with hosts(1) as (host,):
        complete, notes, _ = in_child(lambda: noted("all"), unprivileged=True)
        assert not complete
        assert {"name": host.name} in [dict(values) for _, values in notes]
        complete, notes, _ = in_child(lambda: noted("seen"), unprivileged=True)
        assert (complete, notes) == (True, [])
        # As root both see everything.
        assert read(OF_TCP._replace(netns="seen")).complete


@needs_root
def test_the_namespace_of_a_process_is_read_through_it_where_it_may_not_be_entered() -> None:
    with hosts(1) as (host,):

        def listening() -> tuple[str, object]:
            inside = host.inside()
            inside.__enter__()  # and never out again
            return host.name, (inside, socket.create_server(("127.0.0.1", 7)))

        def refused(*_: object) -> socket.socket:
            raise Unavailable("the network namespace {name} may not be entered; run as root", name="a test")

        with running(listening) as (pid, _), pytest.MonkeyPatch.context() as patch:
            patch.setattr(namespaces, "socket_in", refused)
            rows = list(sockets(OF_TCP._replace(netns=str(pid))))
    assert [(row.local_port, row.state, row.cookie) for row in rows] == [(7, "LISTEN", None)]


@needs_root
def test_a_namespace_that_ends_while_all_are_read_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    with hosts(1) as (host,):
        stale = next(space for space in network_namespaces().found if space.name == host.name)
        own = next(space for space in network_namespaces().found if space.current)
    monkeypatch.setattr(namespaces, "network_namespaces", lambda: NetworkNamespaces((own, stale), 0))
    with socket.create_server(("127.0.0.1", 0)):
        for netns in ("all", "seen"):
            reading = read(OF_TCP._replace(netns=netns))
            assert reading.complete
            assert set(reading.store.netns) == {0}
    monkeypatch.setattr(namespaces, "find_namespace", lambda _: stale)
    with pytest.raises(BadQuestion, match="is gone"):
        read(OF_TCP._replace(netns=host.name))


@needs_root
def test_a_device_of_another_namespace_is_told_by_its_index() -> None:
    with hosts(1) as (host,):
        host.ip("link", "add", "pier", "type", "bridge")
        with host.inside(), socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"pier")
            listener.bind(("0.0.0.0", 7))
            listener.listen()
            index = socket.if_nametoindex("pier")
            [inside] = sockets(OF_TCP)
            held = listener.dup()
        with held:
            [outside] = sockets(OF_TCP._replace(netns=host.name))
    assert (inside.interface, outside.interface) == ("pier", str(index))


def test_a_transport_that_fails_midway_is_read_once_from_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sock_diag.Diagnostics._dump
    asked: list[int] = []

    def failing(self: sock_diag.Diagnostics, transport: int, request: bytes, store: object) -> bool:
        asked.append(transport)
        if len(asked) % 2 == 0:
            raise Unavailable("the kernel's socket table is not understood: {reason}", reason="a test")
        return whole(self, transport, request, store)  # type: ignore[arg-type]

    monkeypatch.setattr(sock_diag.Diagnostics, "_dump", failing)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        rows = [row for row in sockets(OF_TCP) if row.local_port == port]
    assert len(rows) == 1


def test_ports_span_a_range() -> None:
    assert spanned(frozenset({9, 3, 5})) == range(3, 10)
    assert spanned(frozenset()) is None
