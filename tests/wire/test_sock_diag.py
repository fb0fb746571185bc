from __future__ import annotations

import errno
import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX
from portbook.compiled import twin
from portbook.endpoint import RAW, SCTP, TCP, UDP, UNIX
from portbook.errors import Malformed
from portbook.socket import ABSENT_32, ABSENT_64, DETAILS, IPV4, IPV6, SocketStore
from portbook.wire import sock_diag as reference
from portbook.wire.netlink import Progress

from .dumps import (
    INET_PAYLOADS,
    MUTATIONS,
    TRANSPORTS,
    UNIX_PAYLOADS,
    attribute,
    decoded,
    dumps,
    inet,
    message,
    mutated,
    recorded,
    rows_of,
    unix,
)

if TYPE_CHECKING:
    from types import ModuleType

compiled = twin("portbook.wire.sock_diag")
needs_twin = pytest.mark.skipif(compiled is None, reason="the compiled twin is not built")
RECORDED = [("tcp4", TCP), ("tcp6", TCP), ("udp4", UDP), ("udp6", UDP), ("unix", UNIX)]
DONE = message(3, bytes(4))
FOUR = MAPPED_PREFIX + bytes((192, 0, 2, 1))


@pytest.fixture(params=["reference", pytest.param("compiled", marks=needs_twin)])
def sock_diag(request: pytest.FixtureRequest) -> ModuleType:
    return reference if request.param == "reference" or compiled is None else compiled


def one(module: ModuleType, payload: bytes, transport: int = TCP, detailed: bool = False) -> SocketStore:
    """Return the store with the one socket of a payload."""
    store = SocketStore(detailed)
    assert module.decode(memoryview(message(20, payload) + DONE), transport, store) == Progress(done=True)
    assert len(store) == 1
    return store


def both(data: bytes, transport: int, detailed: bool) -> object:
    """Return what the implementations that there are make of the bytes, after they have agreed."""
    expected = decoded(reference, data, transport, detailed)
    if compiled is not None:
        assert decoded(compiled, data, transport, detailed) == expected
    return expected


@pytest.mark.parametrize(("name", "transport"), RECORDED)
def test_recorded_dumps_are_read_to_their_end(sock_diag: ModuleType, name: str, transport: int) -> None:
    store = SocketStore(detailed=True)
    assert sock_diag.decode(memoryview(recorded(f"{name}.bin")), transport, store) == Progress(done=True)
    states = {tcp.STATES[state] for state in store.state}
    if transport == TCP:
        assert set(store.state) >= {*range(1, 7), *range(8, 12)}
        assert store.family.tolist() == [IPV6 if name == "tcp6" else IPV4] * len(store)
        assert store.algorithms
    elif transport == UDP:
        assert states == {"UNCONNECTED", "CONNECTED"}
        assert set(store.uid) >= {1234}
    else:
        assert states == {"LISTEN", "ESTABLISHED", "UNCONNECTED"}
        assert any(path and "\0with zero" in path for path in store.paths)
    assert set(store.transport) == {transport}


def test_the_recorded_conversation_has_its_inside(sock_diag: ModuleType) -> None:
    store = SocketStore(detailed=True)
    sock_diag.decode(memoryview(recorded("tcp4.bin")), TCP, store)
    [sender] = [row for row, sent in enumerate(store.bytes_sent) if sent == 1000]
    [receiver] = [row for row, received in enumerate(store.bytes_received) if received == 1000]
    assert store.local_port[sender] == store.remote_port[receiver]
    assert (store.bytes_received[sender], store.bytes_sent[receiver]) == (0, 0)
    assert 0 < store.rtt[sender] < 10_000_000
    # Who has received a FIN has received no byte by that.
    ended = [row for row, state in enumerate(store.state) if state in tcp.FIN_RECEIVED and state != tcp.TIME_WAIT]
    assert ended
    assert {store.bytes_received[row] for row in ended} == {0}


def test_a_recorded_refusal_is_told(sock_diag: ModuleType) -> None:
    progress = sock_diag.decode(memoryview(recorded("refused.bin")), TCP, SocketStore())
    assert (progress.done, progress.errno) == (True, errno.ENOENT)


@pytest.mark.parametrize("detailed", [False, True])
@pytest.mark.parametrize(("name", "transport"), RECORDED)
def test_recorded_dumps_cut_anywhere(name: str, transport: int, detailed: bool) -> None:
    data = recorded(f"{name}.bin")
    assert both(data, transport, detailed) is not None
    whole = 0
    for end in range(len(data)):
        whole += both(data[:end], transport, detailed) is not None
    assert whole < len(data) // 30  # only where a message ends


@pytest.mark.parametrize(("name", "transport"), RECORDED)
def test_recorded_dumps_with_any_byte_changed(name: str, transport: int) -> None:
    data, chance = recorded(f"{name}.bin"), random.Random(1)
    for place in range(0, len(data), 1 if len(data) < 2000 else 3):
        both(mutated(data, [(place, chance.randrange(256))]), transport, detailed=True)


@given(data=dumps(INET_PAYLOADS), transport=st.sampled_from(TRANSPORTS[:-1]), detailed=st.booleans())
def test_implementations_agree(data: bytes, transport: int, detailed: bool) -> None:
    both(data, transport, detailed)


@given(data=dumps(UNIX_PAYLOADS))
def test_implementations_agree_on_unix_sockets(data: bytes) -> None:
    both(data, UNIX, detailed=False)


@given(
    data=dumps(INET_PAYLOADS) | dumps(UNIX_PAYLOADS),
    changes=MUTATIONS,
    cut=st.integers(0, 400),
    transport=st.sampled_from(TRANSPORTS),
    detailed=st.booleans(),
)
def test_implementations_agree_on_damage(
    data: bytes, changes: list[tuple[int, int]], cut: int, transport: int, detailed: bool
) -> None:
    both(mutated(data, changes)[: len(data) - cut], transport, detailed)


@given(data=st.binary(max_size=200), transport=st.sampled_from(TRANSPORTS))
def test_implementations_agree_on_any_bytes(data: bytes, transport: int) -> None:
    both(data, transport, detailed=True)


@given(payload=INET_PAYLOADS, transport=st.sampled_from(TRANSPORTS[:-1]))
def test_a_row_is_what_the_message_says(payload: bytes, transport: int) -> None:
    found = decoded(reference, message(20, payload), transport, False)
    if found is None:
        assert transport == SCTP  # an association in a state that there is not
        return
    _, rows = found
    ports = struct.unpack_from("!HH", payload, 4)
    numbers = struct.unpack_from("=IQIIIII", payload, 40)
    assert (rows["local_port"], rows["remote_port"]) == ([ports[0]], [ports[1]])
    assert [rows[name][0] for name in ("interface", "cookie", "expires", "recv_queue", "send_queue")] == [
        *numbers[:5]
    ]
    assert rows["inode"] == [numbers[6]]
    assert rows["uid"] == [ABSENT_32 if numbers[5:] == (0, 0) else numbers[5]]
    if payload[0] == 2:
        assert rows["local_ip"] == MAPPED_PREFIX + payload[8:12]
    else:
        assert rows["local_ip"] == payload[8:24]


def test_attributes_come_in_any_order_and_unknown_ones_are_passed_over(sock_diag: ModuleType) -> None:
    parts = [
        attribute(reference.INET_DIAG_SKV6ONLY, b"\1"),
        attribute(reference.INET_DIAG_CGROUP_ID, struct.pack("=Q", 77)),
        attribute(reference.INET_DIAG_CONG, b"bbr\0"),
        attribute(999, b"of a newer kernel"),
        attribute(8, b""),
    ]
    for turn in range(len(parts)):
        payload = inet(10, tcp.ESTABLISHED, attributes=b"".join(parts[turn:] + parts[:turn]))
        store = one(sock_diag, payload, detailed=True)
        assert (store.v6only[0], store.cgroup[0], store.algorithms) == (1, 77, ["bbr"])


@pytest.mark.parametrize(
    ("family", "remote", "expected"),
    [
        (2, FOUR[12:] + bytes(12), FOUR),
        (2, bytes(16), ABSENT_ADDRESS),
        (10, FOUR, FOUR),
        (10, bytes(16), ABSENT_ADDRESS),
        (10, MAPPED_PREFIX + bytes(4), ABSENT_ADDRESS),
        (10, bytes(15) + b"\1", bytes(15) + b"\1"),
        (10, bytes(12) + b"\1\0\0\0", bytes(12) + b"\1\0\0\0"),
        (10, bytes(8) + b"\0\1\xff\xff" + bytes(4), bytes(8) + b"\0\1\xff\xff" + bytes(4)),
    ],
)
def test_addresses(sock_diag: ModuleType, family: int, remote: bytes, expected: bytes) -> None:
    store = one(sock_diag, inet(family, remote=remote, local=remote))
    assert bytes(store.remote_ip) == expected
    assert store.family[0] == (IPV4 if family == 2 else IPV6)


def test_what_no_process_holds_has_no_user(sock_diag: ModuleType) -> None:
    for uid, inode, expected in ((0, 0, ABSENT_32), (0, 5, 0), (7, 0, 7), (7, 5, 7)):
        store = one(sock_diag, inet(numbers=(0, 0, 0, 0, 0, uid, inode)))
        assert (store.uid[0], store.inode[0]) == (expected, inode)


def info(length: int, sent: int = 900, again: int = 100, received: int = 51) -> bytes:
    """Return a tcp_info of this length."""
    whole = bytearray(280)
    for name, (form, offset) in reference.TCP_INFO.items():
        form.pack_into(whole, offset, {"bytes_sent": sent, "bytes_received": received}.get(name, offset))
    struct.pack_into("=Q", whole, reference.BYTES_RETRANSMITTED, again)
    return bytes(whole[:length])


def test_older_kernels_tell_less(sock_diag: ModuleType) -> None:
    for length in range(281):
        store = one(sock_diag, inet(attributes=attribute(2, info(length))), detailed=True)
        for name, (form, offset) in reference.TCP_INFO.items():
            known = {"bytes_sent": 800 if length >= 216 else 900, "bytes_received": 51}.get(name, offset)
            absent = ABSENT_32 if DETAILS[name] == "I" else ABSENT_64
            assert getattr(store, name)[0] == (known if length >= offset + form.size else absent), (name, length)


@pytest.mark.parametrize("state", tcp.KERNEL_STATES)
def test_a_fin_is_no_byte_and_a_listener_tells_other_things(sock_diag: ModuleType, state: int) -> None:
    store = one(sock_diag, inet(state=state, attributes=attribute(2, info(280))), detailed=True)
    if state == tcp.LISTEN:
        assert (store.bytes_received[0], store.rtt[0]) == (ABSENT_64, ABSENT_32)
    else:
        assert store.bytes_received[0] == (50 if state in (6, 8, 9, 11) else 51)
    assert one(sock_diag, inet(attributes=attribute(2, info(280, 5, 9))), detailed=True).bytes_sent[0] == 0


def test_the_inside_of_sctp_is_not_read_as_that_of_tcp(sock_diag: ModuleType) -> None:
    store = one(sock_diag, inet(attributes=attribute(2, info(280))), SCTP, detailed=True)
    assert (store.bytes_sent[0], store.rtt[0]) == (ABSENT_64, ABSENT_32)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((0, "CLOSED"), (1, "SYN-SENT"), (2, "SYN-SENT"), (3, "ESTABLISHED")),
        *((4, "FIN-WAIT-1"), (5, "FIN-WAIT-2"), (6, "CLOSE-WAIT"), (7, "LAST-ACK")),
    ],
)
def test_the_states_of_sctp_associations(sock_diag: ModuleType, number: int, expected: str) -> None:
    store = one(sock_diag, inet(state=number, attributes=attribute(reference.INET_DIAG_PEERS, bytes(128))), SCTP)
    assert tcp.STATES[store.state[0]] == expected
    with pytest.raises(Malformed):
        one(sock_diag, inet(state=8, attributes=attribute(reference.INET_DIAG_PEERS, b"")), SCTP)
    assert tcp.STATES[one(sock_diag, inet(state=tcp.LISTEN), SCTP).state[0]] == "LISTEN"


@pytest.mark.parametrize("transport", [UDP, RAW])
def test_states_of_sockets_without_connections(sock_diag: ModuleType, transport: int) -> None:
    assert one(sock_diag, inet(state=7), transport).state[0] == tcp.UNCONNECTED
    assert one(sock_diag, inet(state=1), transport).state[0] == tcp.CONNECTED


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"/run/a socket\0", "/run/a socket"),
        (b"/run/a\0rest", "/run/a"),
        (b"relative", "relative"),
        (b"\0abstract", "@abstract"),
        (b"\0with\0zero\0", "@with\0zero\0"),
        (b"\0", "@"),
        (b"/\xff\xfe\x1b[31m\n", "/\\xff\\xfe\x1b[31m\n"),
        ("/порт".encode(), "/порт"),
    ],
)
def test_the_names_of_unix_sockets(sock_diag: ModuleType, name: bytes, path: str) -> None:
    store = one(sock_diag, unix(attributes=attribute(0, name)), UNIX)
    assert store.paths[store.path[0]] == path


def test_the_numbers_of_unix_sockets(sock_diag: ModuleType) -> None:
    parts = [
        attribute(reference.UNIX_DIAG_UID, struct.pack("=I", 1000)),
        attribute(reference.UNIX_DIAG_RQLEN, struct.pack("=II", 3, 128)),
        attribute(reference.UNIX_DIAG_PEER, struct.pack("=I", 99)),
        attribute(99, b"?"),
    ]
    store = one(sock_diag, unix(tcp.LISTEN, 5, 6, attributes=b"".join(parts)), UNIX)
    assert (store.inode[0], store.cookie[0], store.peer_inode[0]) == (5, 6, 99)
    assert (store.recv_queue[0], store.send_queue[0], store.uid[0]) == (3, 128, 1000)
    store = one(sock_diag, unix(tcp.CLOSED), UNIX)
    assert (store.state[0], store.uid[0], store.path[0]) == (tcp.UNCONNECTED, ABSENT_32, 0)


def test_how_a_dump_ends(sock_diag: ModuleType) -> None:
    row = message(20, inet())
    refused = struct.pack("=i", -errno.EPERM)
    for data, expected in (
        (b"", Progress()),
        (row, Progress()),
        (row + DONE, Progress(done=True)),
        (row + message(3, b""), Progress(done=True)),
        (row + message(3, refused), Progress(done=True, errno=errno.EPERM)),
        (row + message(2, refused + bytes(16)), Progress(done=True, errno=errno.EPERM)),
        (message(20, inet(), flags=0x12) + row, Progress(interrupted=True)),
        (row + message(3, bytes(4), flags=0x10), Progress(done=True, interrupted=True)),
        (message(4, b"") + row, Progress(interrupted=True)),
        (message(1, b"") + row + DONE, Progress(done=True)),
        (row + DONE + b"what comes after the end", Progress(done=True)),
    ):
        store = SocketStore()
        assert sock_diag.decode(memoryview(data), TCP, store) == expected
        assert len(store) == data.count(row) + (b"\x12\0" in data[6:8])


@pytest.mark.parametrize(
    "data",
    [
        message(20, inet())[:-1],
        message(20, inet()[:71]),
        message(20, inet(family=3)),
        message(20, inet(state=0)),
        message(20, inet(state=14)),
        message(20, inet() + b"\3\0\1\0"),
        message(2, b"abc", length=19),
        message(3, struct.pack("=i", 5)),
        message(19, inet()),
    ],
)
def test_what_is_malformed(sock_diag: ModuleType, data: bytes) -> None:
    with pytest.raises(Malformed):
        sock_diag.decode(memoryview(data), TCP, SocketStore())


def test_rows_are_appended_to_those_there_are(sock_diag: ModuleType) -> None:
    store = SocketStore(detailed=True)
    for inode in (5, 6):
        sock_diag.decode(memoryview(message(20, inet(numbers=(0, 0, 0, 0, 0, 0, inode)))), TCP, store)
    assert store.inode.tolist() == [5, 6]
    store.truncate(1)
    assert rows_of(store)["inode"] == [5]


def test_the_answers_to_the_request_for_both_families(sock_diag: ModuleType) -> None:
    store = SocketStore()
    data = message(18, inet(2)) + message(18, inet(10)) + DONE
    assert sock_diag.decode(memoryview(data), TCP, store) == Progress(done=True)
    assert store.family.tolist() == [IPV4, IPV6]
    asked = reference.tcp_request(1 << tcp.LISTEN, True, 7, range(80, 91))
    assert (asked[4:6], asked[19], asked[68:72]) == (struct.pack("=H", 18), 0b1010, struct.pack("=I", 1 << 10))
    assert asked[76:] == reference.inet_request(2, 6, 1, False, 7, range(80, 91))[72:]


def test_requests_have_the_layout_of_the_kernel() -> None:
    plain = reference.inet_request(10, 6, 1 << tcp.LISTEN, False, 7)
    assert plain[16:24] == struct.pack("=BBBBI", 10, 6, 0, 0, 1 << 10)
    assert (len(plain), plain[-8:]) == (72, b"\xff" * 8)
    assert reference.inet_request(10, 6, 1, True, 7)[18] == 0b1010
    picked = reference.inet_request(2, 6, 1, False, 7, range(80, 91))
    assert picked[72:] == struct.pack("=HH BBHBBH BBHBBH", 20, 1, 2, 8, 20, 0, 0, 80, 3, 8, 12, 0, 0, 90)
    assert reference.unix_request(1 << 7, 9)[16:24] == struct.pack("=BBHI", 1, 0, 0, 1 << 7)
