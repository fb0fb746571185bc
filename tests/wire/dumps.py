"""Dumps for the tests of portbook.wire: recorded from Linux 6.18, and random ones built from a model."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from portbook.endpoint import RAW, SCTP, TCP, UDP, UDPLITE, UNIX
from portbook.errors import Malformed
from portbook.socket import DETAILS, FIELDS, SocketStore
from portbook.wire.netlink import Progress

if TYPE_CHECKING:
    from types import ModuleType

RECORDED = Path(__file__).parent / "recorded"
"""Every table of one namespace at one moment: *.bin from sock_diag, *.txt from /proc/net."""

TRANSPORTS = (TCP, UDP, UDPLITE, SCTP, RAW, UNIX)
Rows = dict[str, Any]


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def rows_of(store: SocketStore) -> Rows:
    """Return all that a store holds."""
    names = [*FIELDS, *(DETAILS if store.detailed else ())]
    rows: Rows = {name: getattr(store, name).tolist() for name in names}
    assert {len(values) for values in rows.values()} == {len(store)}
    assert len(store.local_ip) == len(store.remote_ip) == 16 * len(store)
    rows |= {"local_ip": bytes(store.local_ip), "remote_ip": bytes(store.remote_ip)}
    return rows | {"paths": list(store.paths), "algorithms": list(store.algorithms)}


def decoded(module: ModuleType, data: bytes, transport: int, detailed: bool) -> tuple[Progress, Rows] | None:
    """Return the progress and the rows of a buffer, None for Malformed; whatever else is raised is a defect."""
    store = SocketStore(detailed)
    try:
        progress = module.decode(memoryview(data), transport, store)
    except Malformed:
        store.truncate(0)
        assert rows_of(store)["state"] == []
        return None
    return progress, rows_of(store)


def message(kind: int, payload: bytes, flags: int = 0, length: int | None = None) -> bytes:
    size = 16 + len(payload) if length is None else length
    return struct.pack("=IHHII", size, kind, flags, 1, 0) + payload + bytes(-len(payload) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def inet(
    family: int = 2,
    state: int = 1,
    local: bytes = bytes(16),
    remote: bytes = bytes(16),
    ports: tuple[int, int] = (0, 0),
    numbers: tuple[int, int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0, 0),
    timer: int = 0,
    attributes: bytes = b"",
) -> bytes:
    """Return the payload of an inet_diag message; `numbers` go from the interface to the inode."""
    head = struct.pack("!BBBBHH16s16s", family, state, timer, 0, *ports, local, remote)
    return head + struct.pack("=IQIIIII", *numbers) + attributes


def unix(state: int = 1, inode: int = 1, cookie: int = 1, family: int = 1, attributes: bytes = b"") -> bytes:
    return struct.pack("=BBBBIQ", family, 1, state, 0, inode, cookie) + attributes


_U32 = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 0xFFFFFFFF])
_U64 = st.integers(0, 0xFFFFFFFFFFFFFFFF) | st.sampled_from([0, 0xFFFFFFFFFFFFFFFF])
_PORT = st.integers(0, 65535)
_ADDRESS = (
    st.binary(min_size=16, max_size=16)
    | st.binary(min_size=4, max_size=4).map(lambda octets: bytes(10) + b"\xff\xff" + octets)
    | st.sampled_from([bytes(16), bytes(10) + b"\xff\xff" + bytes(4), bytes(15) + b"\x01", bytes(8) + b"\x01" * 8])
)
_ATTRIBUTES = st.lists(
    st.builds(
        attribute,
        st.sampled_from([1, 2, 4, 8, 11, 12, 13, 15, 21]) | st.integers(0, 0xFFFF),
        st.binary(max_size=10) | st.sampled_from([b"cubic\0", b"bbr\0", b"\xff\xfe\0rest", b"reno"]),
    )
    | st.builds(attribute, st.just(2), st.binary(max_size=280)),
    max_size=5,
).map(b"".join)

INET_PAYLOADS = st.builds(
    inet,
    family=st.sampled_from([2, 10]),
    state=st.integers(1, 13),
    local=_ADDRESS,
    remote=_ADDRESS,
    ports=st.tuples(_PORT, _PORT),
    numbers=st.tuples(_U32, _U64, _U32, _U32, _U32, _U32, _U32),
    timer=st.integers(0, 255),
    attributes=_ATTRIBUTES,
)
UNIX_PAYLOADS = st.builds(
    unix,
    state=st.integers(1, 13),
    inode=_U32,
    cookie=_U64,
    attributes=st.lists(st.builds(attribute, st.integers(0, 9), st.binary(max_size=110)), max_size=5).map(b"".join),
)
_FLAGS = st.sampled_from([0, 0, 0, 2, 0x10, 0x12])
_ENDS = st.sampled_from(
    [b"", message(3, bytes(4)), message(3, b""), message(4, b""), message(1, b"x"), message(2, bytes(20))]
)


def dumps(payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for buffers of messages with these payloads, with an end or without."""
    rows = st.lists(
        st.builds(message, st.sampled_from([20, 18]), payloads, _FLAGS) | st.just(message(1, b"")), max_size=6
    )
    return st.builds(lambda start, parts, end: start + b"".join(parts) + end, _ENDS, rows, _ENDS)


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Return the bytes with each change, a place (taken modulo the length) and its new value, made."""
    changed = bytearray(data)
    for place, value in changes if changed else ():
        changed[place % len(changed)] = value
    return bytes(changed)


MUTATIONS = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6)
