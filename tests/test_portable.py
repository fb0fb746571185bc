"""The source of other systems, run on this one, against the kernel's own tables."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import psutil
import pytest

from portbook import portable, tcp
from portbook.errors import Unavailable
from portbook.host import reading
from portbook.host.reading import INET_FAMILIES, PORTED, Selection
from portbook.host.sockets import sockets
from portbook.socket import SocketStore

SHOWN = ("transport", "family", "state", "local_ip", "local_port", "remote_ip", "remote_port", "pids")


def test_the_columns_are_those_of_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        stack.enter_context(socket.create_connection(server.getsockname()[:2]))
        stack.enter_context(server.accept()[0])
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", 0))
        connected = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        connected.connect(("127.0.0.1", 9))

        selection = Selection(PORTED, owners=True)
        truth = {row for row in sockets(selection, SHOWN) if row.pids == (os.getpid(),)}
        monkeypatch.setattr("sys.platform", "darwin")
        told = {row for row in sockets(selection, SHOWN) if row.pids == (os.getpid(),)}
    # A socket that is bound and does nothing is shown by psutil only.
    assert {row for row in told if row.state != "CLOSED"} == truth
    assert len(truth) == 5


def test_a_shared_socket_is_one_row_with_all_its_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [seen] = [one for one in psutil.net_connections() if one.laddr == server.getsockname()]
        parent = os.getppid()
        # As macOS tells it: once for each process that holds it.
        monkeypatch.setattr(psutil, "net_connections", lambda kind: [seen, seen._replace(pid=parent)])
        store = SocketStore()
        owners = portable.read(PORTED, INET_FAMILIES, tcp.ALL, store)
    assert list(store.local_port) == [port]
    assert [owner.pids for owner in owners] == [tuple(sorted((os.getpid(), parent)))]


def test_where_only_root_sees_all_the_own_processes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = SocketStore()
        portable.read(PORTED, INET_FAMILIES, tcp.ALL, store)
        assert server.getsockname()[1] in store.local_port
    monkeypatch.setattr(psutil, "process_iter", list)
    with pytest.raises(Unavailable):
        portable.read(PORTED, INET_FAMILIES, tcp.ALL, SocketStore())


def test_only_linux_has_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(Unavailable, match="namespaces"):
        reading.read(Selection(netns="all"))
