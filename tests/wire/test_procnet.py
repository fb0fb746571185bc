from __future__ import annotations

import socket
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX, address_text
from portbook.endpoint import RAW, SCTP, TCP, UDP, UNIX
from portbook.errors import Malformed
from portbook.socket import ABSENT_32, IPV4, IPV6, SocketStore
from portbook.wire import procnet, sock_diag

from .dumps import MUTATIONS, mutated, recorded, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

LINE = b"   0: 0100007F:1F90 0200007F:C350 01 00000010:00000020 02:000003E8 00000000  1000        0 4242 1 0"
EPS = b"ffff8800 ffff8801 2   10  29   11168 1000 15471 127.0.0.1 *10.0.0.1 ::1"
ASSOC = (
    b"ffff8802 ffff8803 2   1   3  6    12        0        5  1000 15472 40000 2905"
    b"  *10.0.0.1 127.0.0.1 <-> *10.0.0.2 10.0.0.3 \t    30000    10    10   10    0    0        0        1        0"
)


def inet(line: bytes, transport: int = TCP) -> SocketStore:
    store = SocketStore()
    procnet.decode_inet(transport, line, store)
    rows_of(store)
    assert len(store) == 1
    return store


def test_a_line_of_tcp() -> None:
    store = inet(LINE)
    assert (address_text(bytes(store.local_ip)), store.local_port[0]) == ("127.0.0.1", 8080)
    assert (address_text(bytes(store.remote_ip)), store.remote_port[0]) == ("127.0.0.2", 50000)
    assert (store.state[0], store.family[0], store.timer[0], store.expires[0]) == (tcp.ESTABLISHED, IPV4, 2, 10_000)
    assert (store.send_queue[0], store.recv_queue[0], store.uid[0], store.inode[0]) == (16, 32, 1000, 4242)


def test_a_line_of_tcp6() -> None:
    local = b"".join(b"%08X" % int.from_bytes(word, sys.byteorder) for word in words("2001:db8::7"))
    store = inet(LINE.replace(b"0100007F", local).replace(b"0200007F", b"0" * 32).replace(b"C350", b"0000"))
    assert address_text(bytes(store.local_ip)) == "2001:db8::7"
    assert (bytes(store.remote_ip), store.family[0]) == (ABSENT_ADDRESS, IPV6)


def words(address: str) -> list[bytes]:
    packed = socket.inet_pton(socket.AF_INET6, address)
    return [packed[at : at + 4] for at in range(0, 16, 4)]


def test_a_listener_has_no_limit_of_its_backlog() -> None:
    store = inet(LINE.replace(b" 01 ", b" 0A "))
    assert (store.state[0], store.recv_queue[0], store.send_queue[0]) == (tcp.LISTEN, 32, ABSENT_32)


def test_what_no_process_holds_has_no_user() -> None:
    assert inet(LINE.replace(b"4242", b"0").replace(b"1000 ", b"0 ")).uid[0] == ABSENT_32
    assert inet(LINE.replace(b"1000 ", b"0 ")).uid[0] == 0


@pytest.mark.parametrize("transport", [UDP, RAW])
def test_sockets_without_connections(transport: int) -> None:
    assert inet(LINE, transport).state[0] == tcp.CONNECTED
    assert inet(LINE.replace(b" 01 ", b" 07 "), transport).state[0] == tcp.UNCONNECTED


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"   0:", b"   0: 0100007F:1F90", LINE.partition(b" 4242")[0], LINE.replace(b" 01 ", b" 00 ")),
        *(LINE.replace(b" 01 ", b" 0E "), LINE.replace(b"1F90", b"-1F9"), LINE.replace(b"1F90", b"+1F9")),
        *(LINE.replace(b"0100007F", b"-100007F"), LINE.replace(b"0100007F", b"0_00007F")),
        *(LINE.replace(b"0100007F", b"01007F"), LINE.replace(b"4242", b"4294967296"), LINE.replace(b"4242", b"-1")),
        *(LINE.replace(b" 1000 ", b" 99999999999 "), LINE.replace(b"00000010:", b"100000000:")),
        *(LINE.replace(b"02:000003E8", b"100:0"), LINE.replace(b"4242", b"9" * 5000)),
    ],
)
def test_lines_that_are_malformed(line: bytes) -> None:
    store = SocketStore()
    with pytest.raises(Malformed):
        procnet.decode_inet(TCP, line, store)


def test_a_timer_far_away_or_gone() -> None:
    assert inet(LINE.replace(b"000003E8", b"F" * 16)).expires[0] == ABSENT_32
    assert inet(LINE.replace(b"02:000003E8", b"00:000003E8")).expires[0] == 0


def unix(line: bytes) -> SocketStore:
    store = SocketStore()
    procnet.decode_unix(line, store)
    rows_of(store)
    return store


UNIX_LINE = b"0000000000000000: 00000002 00000000 %s 0001 %s %s"


@pytest.mark.parametrize(
    ("flags", "condition", "state"),
    [
        (b"00010000", b"01", tcp.LISTEN),
        (b"00000000", b"03", tcp.ESTABLISHED),
        (b"00000000", b"01", tcp.UNCONNECTED),
    ],
)
def test_lines_of_unix(flags: bytes, condition: bytes, state: int) -> None:
    store = unix(UNIX_LINE % (flags, condition, b"15 /run/a path  with spaces "))
    assert (store.state[0], store.inode[0], store.uid[0]) == (state, 15, ABSENT_32)
    assert store.paths[store.path[0]] == "/run/a path  with spaces "
    assert unix(UNIX_LINE % (flags, condition, b"15")).path[0] == 0


def test_hostile_names_of_unix_sockets() -> None:
    store = unix(UNIX_LINE % (b"00000000", b"01", b"15 @\xff\xfe\x1b[31m"))
    assert store.paths[store.path[0]] == "@\\xff\\xfe\x1b[31m"


def test_a_connection_that_nobody_has_accepted_is_passed_over() -> None:
    assert len(unix(UNIX_LINE % (b"00000000", b"02", b"0 /run/server"))) == 0


def test_an_sctp_endpoint_and_an_association() -> None:
    store = SocketStore()
    procnet.decode_sctp_endpoint(EPS, store)
    procnet.decode_sctp_association(ASSOC, store)
    rows_of(store)
    assert store.transport.tolist() == [SCTP, SCTP]
    assert [tcp.STATES[state] for state in store.state] == ["LISTEN", "ESTABLISHED"]
    assert (store.local_port.tolist(), store.remote_port.tolist()) == ([11168, 40000], [0, 2905])
    texts = [address_text(bytes(store.local_ip[:16])), address_text(bytes(store.local_ip[16:]))]
    assert (texts, address_text(bytes(store.remote_ip[16:]))) == (["10.0.0.1", "10.0.0.1"], "10.0.0.2")
    assert (store.uid.tolist(), store.inode.tolist()) == ([1000, 1000], [15471, 15472])


@given(data=st.sampled_from([LINE, EPS, ASSOC, UNIX_LINE % (b"00010000", b"01", b"15 /x")]), changes=MUTATIONS)
def test_damaged_lines_are_read_or_malformed(data: bytes, changes: list[tuple[int, int]]) -> None:
    read_or_malformed(mutated(data, changes))


@given(st.binary(max_size=300) | st.text(" -+_0123456789ABCDEFabcdef:<>*.\t", max_size=200).map(str.encode))
def test_any_line_is_read_or_malformed(line: bytes) -> None:
    read_or_malformed(line)


def read_or_malformed(line: bytes) -> None:
    decoders: list[Callable[[bytes, SocketStore], None]] = [
        *(partial(procnet.decode_inet, transport) for transport in (TCP, UDP)),
        *(procnet.decode_unix, procnet.decode_sctp_endpoint, procnet.decode_sctp_association),
    ]
    for decode in decoders:
        store = SocketStore(detailed=True)
        try:
            decode(line, store)
        except Malformed:
            assert len(store) == 0
        rows_of(store)


SAME = ("family", "state", "local_port", "remote_port", "recv_queue", "inode", "uid")


@pytest.mark.parametrize(
    ("text", "dump", "transport"),
    [("tcp", "tcp4", TCP), ("tcp6", "tcp6", TCP), ("udp", "udp4", UDP), ("udp6", "udp6", UDP)],
)
def test_the_recorded_text_tells_the_same_as_the_recorded_dump(text: str, dump: str, transport: int) -> None:
    told, expected = SocketStore(), SocketStore()
    for line in recorded(f"{text}.txt").splitlines()[1:]:
        procnet.decode_inet(transport, line, told)
    sock_diag.decode(memoryview(recorded(f"{dump}.bin")), transport, expected)
    assert rows(told, SAME) == rows(expected, SAME)


def test_the_recorded_text_of_unix_sockets_tells_the_same_as_the_recorded_dump() -> None:
    told, expected = SocketStore(), SocketStore()
    for line in recorded("unix.txt").splitlines()[1:]:
        procnet.decode_unix(line, told)
    sock_diag.decode(memoryview(recorded("unix.bin")), UNIX, expected)
    assert rows(told, ("state", "inode")) == rows(expected, ("state", "inode"))
    named = [
        {(store.inode[row], (store.paths[place] or "").replace("\0", "@")) for row, place in enumerate(store.path)}
        for store in (told, expected)
    ]
    assert named[0] == named[1]


def rows(store: SocketStore, names: tuple[str, ...]) -> list[tuple[object, ...]]:
    ends = [bytes(side[at : at + 16]) for side in (store.local_ip, store.remote_ip) for at in range(0, len(side), 16)]
    pairs = zip(ends[: len(store)], ends[len(store) :], strict=True)
    return sorted(zip(pairs, *(getattr(store, name) for name in names), strict=True))


def test_the_recorded_raw_sockets() -> None:
    store = SocketStore()
    for name in ("raw.txt", "raw6.txt"):
        for line in recorded(name).splitlines()[1:]:
            procnet.decode_inet(RAW, line, store)
    assert sorted(store.local_port) == [socket.IPPROTO_ICMP] * 2 + [socket.IPPROTO_UDP] * 2
    assert {tcp.STATES[state] for state in store.state} == {"UNCONNECTED"}
    assert set(store.family) == {IPV4, IPV6}
    assert bytes(store.local_ip[:12]) == MAPPED_PREFIX
