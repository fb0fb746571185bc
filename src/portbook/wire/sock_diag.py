"""sock_diag (linux/sock_diag.h, inet_diag.h, unix_diag.h): requests for socket tables, and their answers as columns.

This is the reference of the compiled `_sock_diag`; both append to a `SocketStore` what one buffer of a dump holds.
Opening the netlink socket, and what to do when a dump is interrupted, is left to linux/sock_diag.py.
"""

from __future__ import annotations

import struct

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX
from portbook.endpoint import DATAGRAM_TRANSPORTS, SCTP, TCP, UNIX
from portbook.errors import Malformed
from portbook.socket import ABSENT_32, ABSENT_64, IPV4, IPV6, SCTP_AS_TCP, SocketStore
from portbook.wire.netlink import (
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
    Progress,
    attributes,
    messages,
    refusal,
    request,
)

SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK = 20, 18
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKV6ONLY, INET_DIAG_PEERS = 2, 4, 11, 13
INET_DIAG_CGROUP_ID = 21
UNIX_DIAG_NAME, UNIX_DIAG_PEER, UNIX_DIAG_RQLEN, UNIX_DIAG_UID = 0, 2, 4, 7
_UDIAG_SHOW = 0x01 | 0x04 | 0x10 | 0x40  # name, peer, queue lengths, uid

_TCP_REQUEST = struct.Struct("=BBBB48sII")
_INET_REQUEST = struct.Struct("=BBBBI48s")
_UNIX_REQUEST = struct.Struct("=BBHIIIII")
_INET_MESSAGE = struct.Struct("!BBBxHH16s16s4x8x")  # up to the cookie; big-endian ports and addresses
_INET_NUMBERS = struct.Struct("=IQIIIII")  # from the interface on, in the byte order of the host
_UNIX_MESSAGE = struct.Struct("=BBBxIQ")
_OPERATION, _ATTRIBUTE = struct.Struct("=BBH"), struct.Struct("=HH")
_INET_DIAG_REQ_BYTECODE, _BC_S_GE, _BC_S_LE = 1, 2, 3
_QUEUES = struct.Struct("=II")
_U32, _U64 = struct.Struct("=I"), struct.Struct("=Q")
_UNSPECIFIED = (bytes(16), MAPPED_PREFIX + bytes(4))

INET_MESSAGE_LENGTH = 72
TCP_INFO = {
    "last_sent": (_U32, 44),
    "last_received": (_U32, 52),
    "last_ack": (_U32, 56),
    "rtt": (_U32, 68),
    "received_rtt": (_U32, 92),
    "received_space": (_U32, 96),
    "retransmissions": (_U32, 100),
    "bytes_received": (_U64, 128),
    "segments_out": (_U32, 136),
    "segments_in": (_U32, 140),
    "send_rate": (_U64, 160),
    "bytes_sent": (_U64, 200),
}
"""Where tcp_info (linux/tcp.h) has what DETAILS keeps: format and offset. What an older kernel lacks is absent."""
BYTES_RETRANSMITTED = 208


def inet_request(
    family: int, protocol: int, states: int, detailed: bool, sequence: int, local_ports: range | None = None
) -> bytes:
    """Return the request for the sockets of an address family and IP protocol in the states of the mask.

    With `local_ports` (ascending, step 1) the kernel sends only those whose local port lies in it.
    """
    no_cookie = bytes(40) + b"\xff" * 8
    body = _INET_REQUEST.pack(family, protocol, _extensions(detailed), 0, states & ABSENT_32, no_cookie)
    return request(SOCK_DIAG_BY_FAMILY, body + _filter(local_ports), sequence)


def _between(low: int, high: int) -> bytes:
    """Return the program that accepts a local port from low to high (linux/inet_diag.h, inet_diag_bc_op).

    A test is two operations, the second of which holds the port. Where it holds the program goes on by `yes` bytes,
    else by `no`: to its end to accept, four bytes beyond it to reject.
    """
    size, test = 16, 8
    return b"".join(
        _OPERATION.pack(code, test, size + 4 - at) + _OPERATION.pack(0, 0, port)
        for at, code, port in ((0, _BC_S_GE, low), (test, _BC_S_LE, high))
    )


def tcp_request(states: int, detailed: bool, sequence: int, local_ports: range | None = None) -> bytes:
    """Return the request for the TCP sockets of both address families, which the kernel finds in one walk.

    It is the older of the two forms (TCPDIAG_GETSOCK, inet_diag_req); the newer takes one family at a time, and the
    walk is most of the work where sockets are many. Its answers are those of `inet_request` with another type.
    """
    no_cookie = bytes(40) + b"\xff" * 8
    body = _TCP_REQUEST.pack(0, 0, 0, _extensions(detailed), no_cookie, states & ABSENT_32, 0)
    return request(TCPDIAG_GETSOCK, body + _filter(local_ports), sequence)


def _extensions(detailed: bool) -> int:
    return (1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1)) if detailed else 0


def _filter(local_ports: range | None) -> bytes:
    """Return the attribute that leaves out every local port but these, nothing for None."""
    if local_ports is None:
        return b""
    program = _between(local_ports[0], local_ports[-1])
    return _ATTRIBUTE.pack(4 + len(program), _INET_DIAG_REQ_BYTECODE) + program


def unix_request(states: int, sequence: int) -> bytes:
    """Return the request for the UNIX sockets in the states of the mask."""
    body = _UNIX_REQUEST.pack(AF_UNIX, 0, 0, states & ABSENT_32, 0, _UDIAG_SHOW, ABSENT_32, ABSENT_32)
    return request(SOCK_DIAG_BY_FAMILY, body, sequence)


def decode(buffer: memoryview, transport: int, store: SocketStore) -> Progress:
    """Append the sockets in one buffer of a dump to the store.

    `transport` is the place in endpoint.TRANSPORTS of what was asked for. Raises Malformed, with the store perhaps
    longer by some rows, which the caller forgets.
    """
    interrupted = False
    for kind, flags, payload in messages(buffer):
        interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
        if kind in (SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK):
            if transport == UNIX:
                _append_unix(payload, store)
            else:
                _append_inet(payload, transport, store)
        elif kind == NLMSG_DONE:
            # Older kernels end a dump without a status.
            return Progress(True, interrupted, refusal(payload) if len(payload) >= 4 else 0)
        elif kind == NLMSG_ERROR:
            return Progress(True, interrupted, refusal(payload))
        elif kind == NLMSG_OVERRUN:
            interrupted = True
        elif kind != NLMSG_NOOP:
            raise Malformed("a netlink message of a type that was not asked for")
    return Progress(interrupted=interrupted)


def _append_inet(payload: memoryview, transport: int, store: SocketStore) -> None:
    if len(payload) < INET_MESSAGE_LENGTH:
        raise Malformed("an inet_diag message is cut short")
    family, state, timer, local_port, remote_port, local, remote = _INET_MESSAGE.unpack_from(payload)
    interface, cookie, expires, received, queued, uid, inode = _INET_NUMBERS.unpack_from(payload, 40)
    if family == AF_INET:
        local, remote = MAPPED_PREFIX + local[:4], MAPPED_PREFIX + remote[:4]
    elif family != AF_INET6:
        raise Malformed("an inet_diag message of another address family")
    v6only, cgroup, association = 0, 0, False
    info, algorithm = memoryview(b""), None
    for kind, value in attributes(payload[INET_MESSAGE_LENGTH:]):
        if kind == INET_DIAG_SKV6ONLY and len(value) >= 1:
            v6only = int(value[0] != 0)
        elif kind == INET_DIAG_CGROUP_ID and len(value) >= 8:
            cgroup = _U64.unpack_from(value)[0]
        elif kind == INET_DIAG_INFO and transport == TCP and state != tcp.LISTEN:
            info = value  # of a listener it counts other things, and SCTP has a format of its own
        elif kind == INET_DIAG_CONG:
            algorithm = bytes(value).split(b"\0", 1)[0].decode("ascii", "backslashreplace")
        elif kind == INET_DIAG_PEERS:
            association = True
    if transport == SCTP and association:
        state = SCTP_AS_TCP[state] if state < len(SCTP_AS_TCP) else 0
    if state not in tcp.KERNEL_STATES:
        raise Malformed("an inet_diag message with an unknown state")
    if transport in DATAGRAM_TRANSPORTS:
        state = tcp.DATAGRAM_STATES.get(state, state)
    store.local_ip += local
    store.remote_ip += ABSENT_ADDRESS if remote in _UNSPECIFIED else remote
    store.transport.append(transport)
    store.family.append(IPV4 if family == AF_INET else IPV6)
    store.state.append(state)
    store.timer.append(timer)
    store.v6only.append(v6only)
    store.local_port.append(local_port)
    store.remote_port.append(remote_port)
    store.netns.append(0)
    store.interface.append(interface)
    store.recv_queue.append(received)
    store.send_queue.append(queued)
    # What no process can hold has user 0, whoever made it.
    store.uid.append(uid if uid or inode else ABSENT_32)
    store.inode.append(inode)
    store.peer_inode.append(0)
    store.path.append(0)
    store.expires.append(expires)
    store.cookie.append(cookie)
    store.cgroup.append(cgroup)
    if store.detailed:
        _append_details(info, algorithm, state, store)


def _append_details(info: memoryview, algorithm: str | None, state: int, store: SocketStore) -> None:
    store.congestion.append(ABSENT_32 if algorithm is None else store.algorithm(algorithm))
    for name, (form, offset) in TCP_INFO.items():
        absent = ABSENT_32 if form is _U32 else ABSENT_64
        value = form.unpack_from(info, offset)[0] if len(info) >= offset + form.size else absent
        if value != absent and name == "bytes_sent":
            again = _U64.unpack_from(info, BYTES_RETRANSMITTED)[0] if len(info) >= BYTES_RETRANSMITTED + 8 else 0
            value = max(value - again, 0)
        elif value != absent and name == "bytes_received" and state in tcp.FIN_RECEIVED:
            value = max(value - 1, 0)
        getattr(store, name).append(value)


def _append_unix(payload: memoryview, store: SocketStore) -> None:
    if len(payload) < _UNIX_MESSAGE.size:
        raise Malformed("a unix_diag message is cut short")
    family, _, state, inode, cookie = _UNIX_MESSAGE.unpack_from(payload)
    if family != AF_UNIX:
        raise Malformed("a unix_diag message of another address family")
    if state not in tcp.KERNEL_STATES:
        raise Malformed("a unix_diag message with an unknown state")
    state = tcp.UNCONNECTED if state == tcp.CLOSED else state
    path, peer, uid, received, queued = 0, 0, ABSENT_32, 0, 0
    for kind, value in attributes(payload[_UNIX_MESSAGE.size :]):
        if kind == UNIX_DIAG_NAME and len(value) > 0:
            path = store.path_number(unix_path(bytes(value)))
        elif kind == UNIX_DIAG_PEER and len(value) >= 4:
            peer = _U32.unpack_from(value)[0]
        elif kind == UNIX_DIAG_RQLEN and len(value) >= 8:
            received, queued = _QUEUES.unpack_from(value)
        elif kind == UNIX_DIAG_UID and len(value) >= 4:
            uid = _U32.unpack_from(value)[0]
    store.append_unix(state, inode, path, peer, cookie, uid, (received, queued))


def unix_path(name: bytes) -> str:
    """Return the name of a UNIX socket as text: a path, or `@` and an abstract name as unix(7) has it."""
    text = b"@" + name[1:] if name.startswith(b"\0") else name.split(b"\0", 1)[0]
    return text.decode("utf-8", "backslashreplace")
