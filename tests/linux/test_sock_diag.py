from __future__ import annotations

import encodings.idna  # noqa: F401 - who has lost the rights can no longer import it
import errno
import os
import socket
import struct
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, cast

import pytest

from portbook import tcp
from portbook.endpoint import RAW, SCTP, TCP, UDP, UNIX
from portbook.errors import Unavailable
from portbook.linux.sock_diag import ATTEMPTS, NETLINK_SOCK_DIAG, Diagnostics
from portbook.socket import SocketStore

from ..wire.dumps import inet, message, rows_of
from .children import in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterable

FAMILIES = (int(socket.AF_INET), int(socket.AF_INET6))
V4 = FAMILIES[:1]
DONE = message(3, bytes(4))


class Connection:
    """A netlink socket in memory: what the kernel answers to each request is given, an OSError is raised."""

    def __init__(self, *dumps: Iterable[bytes | OSError]) -> None:
        self._dumps = [list(dump) for dump in dumps]
        self._waiting: list[bytes | OSError] = []
        self._blocking = True
        self.asked: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> int:
        if self._waiting:
            # What the kernel answers while another dump is running.
            self._waiting.append(message(2, struct.pack("=i", -errno.EBUSY) + bytes(16)))
        else:
            self._waiting = self._dumps.pop(0)
        self.asked.append(data)
        return len(data)

    def recv_into(self, buffer: bytearray) -> int:
        if not self._waiting:
            assert not self._blocking, "the kernel has nothing more to say"
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        data = self._waiting.pop(0)
        if isinstance(data, OSError):
            raise data
        buffer[: len(data)] = data
        return len(data)

    def setsockopt(self, level: int, name: int, value: int) -> None:
        assert (level, name) == (socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert value > 0

    def setblocking(self, blocking: bool) -> None:
        self._blocking = blocking

    def close(self) -> None:
        self.closed = True


def opened(*dumps: Iterable[bytes | OSError]) -> tuple[Diagnostics, Connection]:
    connection = Connection(*dumps)
    return Diagnostics(cast("socket.socket", connection)), connection


def row(inode: int, flags: int = 2, family: int = 2) -> bytes:
    return message(20, inet(family, numbers=(0, inode, 0, 0, 0, 0, inode)), flags)


def overrun() -> OSError:
    return OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


@pytest.mark.parametrize("times", [1, 2, ATTEMPTS - 1])
@pytest.mark.parametrize("where", ["first", "last"])
def test_an_interrupted_dump_is_read_again(times: int, where: str) -> None:
    broken = [row(1, 0x12 if where == "first" else 2) + row(2), row(3), message(3, bytes(4), 0x12)]
    if where == "first":
        broken[-1] = DONE
    diagnostics, connection = opened(*[broken] * times, [row(1) + row(2), row(4) + DONE])
    store = SocketStore()
    with diagnostics:
        assert diagnostics.read(TCP, V4, store)
    assert store.inode.tolist() == [1, 2, 4]
    rows_of(store)
    assert connection.closed
    assert len(connection.asked) == times + 1


def test_what_was_read_before_stays() -> None:
    diagnostics, _ = opened([row(1) + DONE], [row(7, 0x12), DONE], [row(2, family=10) + DONE])
    store = SocketStore()
    assert diagnostics.read(UDP, FAMILIES, store)
    assert store.inode.tolist() == [1, 2]


def test_a_kernel_without_the_request_for_both_families_is_asked_for_each() -> None:
    refused = message(2, struct.pack("=i", -errno.EINVAL) + bytes(16))
    diagnostics, connection = opened([row(9), refused], [row(1) + DONE], [row(2, family=10) + DONE])
    store = SocketStore()
    assert diagnostics.read(TCP, FAMILIES, store)
    assert store.inode.tolist() == [1, 2]
    assert [struct.unpack_from("=H", asked, 4)[0] for asked in connection.asked] == [18, 20, 20]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_overrun_dump_is_read_again(place: int) -> None:
    broken: list[bytes | OSError] = [row(1), row(2) + row(3), row(4), DONE]
    broken.insert(place, overrun())
    diagnostics, connection = opened(broken, broken, [row(1), row(2) + DONE])
    store = SocketStore()
    assert diagnostics.read(TCP, V4, store)
    assert store.inode.tolist() == [1, 2]
    assert len(connection.asked) == 3


def test_an_overrun_while_the_rest_is_thrown_away() -> None:
    diagnostics, _ = opened([row(1), overrun(), row(2), overrun(), row(3), DONE], [row(5) + DONE])
    store = SocketStore()
    assert diagnostics.read(TCP, V4, store)
    assert store.inode.tolist() == [5]


def test_a_dump_that_is_always_interrupted_is_taken_as_it_is() -> None:
    diagnostics, connection = opened(*[[row(number), row(9, 0x12), DONE] for number in range(ATTEMPTS)])
    store = SocketStore()
    assert not diagnostics.read(TCP, V4, store)
    assert store.inode.tolist() == [ATTEMPTS - 1, 9]
    assert len(connection.asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOENT, "this kernel has no sock_diag for this transport"),
        (errno.EPERM, "the kernel refuses netlink sock_diag: Operation not permitted"),
        (errno.EACCES, "the kernel refuses netlink sock_diag: Permission denied"),
    ],
)
def test_a_refusal_leaves_the_store_as_it_was(code: int, sentence: str) -> None:
    refused = message(2, struct.pack("=i", -code) + bytes(16))
    diagnostics, _ = opened([row(1) + DONE], [row(2), refused], [OSError(code, os.strerror(code))], [row(3) + DONE])
    store = SocketStore()
    for families in (FAMILIES, V4):
        with pytest.raises(Unavailable) as caught:
            diagnostics.read(UDP, families, store)
        assert str(caught.value) == sentence
        assert len(store) == 0
    assert diagnostics.read(TCP, V4, store)
    assert store.inode.tolist() == [3]


def test_after_what_is_not_understood_the_next_table_is_whole() -> None:
    diagnostics, _ = opened([row(1), message(20, b"short"), row(2), DONE], [row(3), DONE])
    store = SocketStore(detailed=True)
    with pytest.raises(Unavailable, match="not understood"):
        diagnostics.read(TCP, V4, store)
    assert len(store) == 0
    assert diagnostics.read(UDP, V4, store)
    assert store.inode.tolist() == [3]


def test_each_request_has_its_own_number() -> None:
    diagnostics, connection = opened([DONE], [DONE], [DONE])
    diagnostics.read(UDP, FAMILIES, SocketStore())
    diagnostics.read(UNIX, FAMILIES, SocketStore())
    assert [struct.unpack_from("=I", asked, 8)[0] for asked in connection.asked] == [1, 2, 3]


def look(transports: tuple[int, ...] = (TCP, UDP, UNIX)) -> tuple[set[int], set[int], set[int]]:
    """Return the inodes of sockets made here, those of them that the kernel's tables have, and those doubled."""
    with ExitStack() as stack, Diagnostics() as diagnostics:
        made = []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = socket.create_server((address, 0), family=family)
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind((address, 0))
            made += [listener, datagrams, socket.create_connection(listener.getsockname()[:2]), listener.accept()[0]]
        made += socket.socketpair()
        for one in made:
            stack.enter_context(one)
        own = {os.fstat(one.fileno()).st_ino for one in made}
        store = SocketStore(detailed=True)
        for transport in transports:
            assert diagnostics.read(transport, FAMILIES, store)
        seen = [inode for inode in store.inode if inode in own]
    return own, set(seen), {inode for inode in seen if seen.count(inode) > 1}


@pytest.mark.parametrize("unprivileged", [False, pytest.param(True, marks=needs_root)])
def test_the_kernel_tells_every_socket_once(unprivileged: bool) -> None:
    own, seen, doubled = in_child(look, unprivileged)
    assert seen == own
    assert doubled == set()


def test_the_kernel_picks_out_states_and_ports() -> None:
    with ExitStack() as stack, Diagnostics() as diagnostics:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        port = listener.getsockname()[1]
        for mask, expected in ((1 << tcp.LISTEN, {"LISTEN"}), (tcp.ALL, {"LISTEN", "ESTABLISHED"})):
            store = SocketStore()
            diagnostics.read(TCP, V4, store, mask, range(port, port + 1))
            assert set(store.local_port) == {port}
            assert {tcp.STATES[state] for state in store.state} >= expected
            assert mask == tcp.ALL or set(store.state) == {tcp.LISTEN}


@pytest.mark.parametrize("transport", [SCTP, RAW])
def test_a_table_that_this_kernel_lacks_is_unavailable(transport: int) -> None:
    """SCTP is a module, and raw sockets have a table only in some kernels: either there is one, or it is said."""
    store = SocketStore()
    with Diagnostics() as diagnostics:
        with suppress(Unavailable):
            diagnostics.read(transport, FAMILIES, store)
        assert set(store.transport) <= {transport}
        start = len(store)
        with socket.create_server(("127.0.0.1", 0)):
            assert diagnostics.read(TCP, V4, store, 1 << tcp.LISTEN)
    assert set(store.transport[start:]) == {TCP}


def test_a_connection_that_was_opened_elsewhere_is_used() -> None:
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)
    with Diagnostics(connection) as diagnostics:
        diagnostics.read(TCP, V4, SocketStore())
    assert connection.fileno() == -1
