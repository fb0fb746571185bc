from __future__ import annotations

import os
import socket
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portbook import tcp
from portbook.endpoint import RAW, SCTP, TCP, UDP, UDPLITE, UNIX
from portbook.linux import procnet
from portbook.linux.sock_diag import Diagnostics
from portbook.socket import SocketStore

from ..hosts import hosts
from ..wire.dumps import recorded
from ..wire.test_procnet import ASSOC, EPS
from .children import in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = (int(socket.AF_INET), int(socket.AF_INET6))
EVERY = (TCP, UDP, UDPLITE, SCTP, RAW, UNIX)
NET = Path("/proc/thread-self/net")


def told(fill: Callable[[SocketStore], object]) -> Counter[tuple[object, ...]]:
    store = SocketStore()
    fill(store)
    rows = [
        (
            *(store.transport[row], store.family[row], store.state[row], store.inode[row]),
            *(bytes(side[row * 16 : row * 16 + 16]) for side in (store.local_ip, store.remote_ip)),
            *(store.local_port[row], store.remote_port[row]),
            (store.paths[store.path[row]] or "").replace("\0", "@"),
        )
        for row in range(len(store))
    ]
    return Counter(rows)


def both() -> tuple[Counter[tuple[object, ...]], Counter[tuple[object, ...]]]:
    """Return what /proc/net and what netlink tell of the sockets of this thread's namespace."""

    def by_netlink(store: SocketStore) -> None:
        with Diagnostics() as diagnostics:
            for transport in (TCP, UDP, UNIX):
                diagnostics.read(transport, FAMILIES, store)

    def by_text(store: SocketStore) -> None:
        for transport in (TCP, UDP, UNIX):
            assert procnet.read(NET, transport, FAMILIES, store, tcp.ALL) == 0

    for _ in range(100):
        before, text = told(by_netlink), told(by_text)
        if before == told(by_netlink):
            return text, before
    pytest.fail("the sockets never stood still")


@needs_root
@pytest.mark.parametrize("unprivileged", [False, True])
def test_the_text_tells_what_netlink_tells(unprivileged: bool) -> None:
    with hosts(1) as (host,), host.inside():
        made = [*socket.socketpair(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)]
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = socket.create_server((address, 0), family=family)
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind((address, 0))
            client = socket.create_connection(listener.getsockname()[:2])
            server, _ = listener.accept()
            server.shutdown(socket.SHUT_WR)
            made += [listener, datagrams, client, server]
            named = socket.socket(socket.AF_UNIX)
            named.bind(f"\0portbook-{os.getpid()}-{address}\0more")
            made.append(named)
        text, netlink = in_child(both, unprivileged)
        assert text == netlink
        assert text.total() == len(made)
        for one in made:
            one.close()


@needs_root
def test_a_name_with_a_line_feed_costs_its_own_line_only() -> None:
    with hosts(1) as (host,), host.inside():
        hostile, plain = (socket.socket(socket.AF_UNIX) for _ in range(2))
        with hostile, plain:
            hostile.bind(f"\0portbook-{os.getpid()}\nnot a line")
            plain.bind(f"\0portbook-{os.getpid()}")
            store = SocketStore()
            assert procnet.read(NET, UNIX, (), store, tcp.ALL) == 1
            assert store.paths == [None, *[f"@portbook-{os.getpid()}"] * 2]


def folder_with(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return folder


def test_puzzling_lines_are_counted_and_the_others_read(tmp_path: Path) -> None:
    whole = recorded("tcp.txt")
    head, first, *rest = whole.splitlines(keepends=True)
    folder = folder_with(tmp_path, tcp=head + first + b"what is this\n\n" + b"".join(rest))
    store, expected = SocketStore(), len(rest) + 1
    assert procnet.read(folder, TCP, FAMILIES, store, tcp.ALL) == 2
    assert len(store) == expected


def test_a_last_line_that_is_cut_short_is_passed_over(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, tcp=recorded("tcp.txt")[:-10], udp=b"", udp6=b"only a head\n", unix=b"x")
    store = SocketStore()
    for transport in EVERY:
        assert procnet.read(folder, transport, FAMILIES, store, tcp.ALL) == 0
    assert len(store) == recorded("tcp.txt").count(b"\n") - 2


def test_files_that_are_not_there_have_no_sockets(tmp_path: Path) -> None:
    store = SocketStore()
    for folder in (tmp_path, tmp_path / "nowhere", folder_with(tmp_path, a=b"") / "a", Path("/proc/0/net")):
        for transport in EVERY:
            assert procnet.read(folder, transport, FAMILIES, store, tcp.ALL) == 0
    assert len(store) == 0


@needs_root
def test_what_may_not_be_read_is_the_callers_to_tell(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, tcp=recorded("tcp.txt"))
    (folder / "tcp").chmod(0)
    os.chmod(tmp_path, 0o755)

    def look() -> str:
        try:
            procnet.read(
                Path("/proc/1/net") if not folder.exists() else folder, TCP, FAMILIES, SocketStore(), tcp.ALL
            )
        except PermissionError:
            return "denied"
        return "read"

    assert in_child(look, unprivileged=True) == "denied"


@pytest.mark.parametrize("state", ["LISTEN", "ESTABLISHED", "TIME-WAIT", "established", "unconn", "connected"])
def test_states_are_picked_out_as_the_kernel_does(tmp_path: Path, state: str) -> None:
    mask = tcp.state_mask(state)
    assert mask is not None
    folder = folder_with(tmp_path, tcp=recorded("tcp.txt"), udp=recorded("udp.txt"), unix=recorded("unix.txt"))
    every, picked = SocketStore(), SocketStore()
    for transport in (TCP, UDP, UNIX):
        procnet.read(folder, transport, FAMILIES, every, tcp.ALL)
        procnet.read(folder, transport, FAMILIES, picked, mask)
    assert picked.state.tolist() == [number for number in every.state if mask >> number & 1]
    assert len(picked)
    # The kernel is asked with its own numbers, which mean connected and unconnected datagram sockets too.
    borrowed = SocketStore()
    procnet.read(folder, UDP, FAMILIES, borrowed, 1 << tcp.ESTABLISHED)
    assert set(borrowed.state) == {tcp.CONNECTED}


def test_families_are_picked_out(tmp_path: Path) -> None:
    files = {"tcp": recorded("tcp.txt"), "tcp6": recorded("tcp6.txt"), "sctp__eps": b"head\n" + EPS + b"\n"}
    folder = folder_with(tmp_path, **files, sctp__assocs=b"head\n" + ASSOC + b"\n")
    for families, expected in ((FAMILIES[:1], {0}), (FAMILIES[1:], {1}), (FAMILIES, {0, 1})):
        store = SocketStore()
        procnet.read(folder, TCP, families, store, tcp.ALL)
        assert set(store.family) == expected
        store = SocketStore()
        assert procnet.read(folder, SCTP, families, store, tcp.ALL) == 0
        assert len(store) == 2 * (0 in expected)
