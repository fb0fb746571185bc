"""The text of /proc/net/tcp and its like (proc(5)), and of /proc/net/unix, as columns.

It reads lines that were already fetched; where netlink answers, wire/sock_diag.py has more to say of a socket.
"""

from __future__ import annotations

import sys
from array import array
from binascii import unhexlify

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX, pack_address
from portbook.endpoint import DATAGRAM_TRANSPORTS, SCTP
from portbook.errors import Malformed
from portbook.socket import ABSENT_32, IPV4, IPV6, SCTP_AS_TCP, SocketStore

TIMER_TICKS = 100
"""Ticks a second of the timers in /proc/net/tcp (USER_HZ)."""

_LISTENING = 1 << 16  # __SO_ACCEPTCON in the flags of /proc/net/unix
_SS_CONNECTED = 3


def decode_inet(transport: int, line: bytes, store: SocketStore) -> None:
    """Append the socket in one line of /proc/net/{tcp,udp,udplite,raw} or its IPv6 sister. Raises Malformed."""
    words = line.split()
    try:
        local, local_port = _endpoint(words[1])
        remote, remote_port = _endpoint(words[2])
        state = int(words[3], 16)
        send_queue, recv_queue = (int(number, 16) for number in words[4].split(b":"))
        timer, ticks = (int(number, 16) for number in words[5].split(b":"))
        uid, inode = int(words[7]), int(words[9])
    except (IndexError, ValueError) as error:
        raise Malformed("a line of /proc/net is not understood") from error
    numbers = (send_queue, recv_queue, uid, inode)
    if state not in tcp.KERNEL_STATES or not 0 <= timer < 256 or not all(0 <= n <= ABSENT_32 for n in numbers):
        raise Malformed("a line of /proc/net has a number out of range")
    if transport in DATAGRAM_TRANSPORTS:
        state = tcp.DATAGRAM_STATES.get(state, state)
    store.local_ip += local
    unset = remote in (bytes(16), MAPPED_PREFIX + bytes(4))
    store.remote_ip += ABSENT_ADDRESS if unset else remote
    store.append_fields(
        transport=transport,
        family=IPV4 if len(words[1]) == 13 else IPV6,
        state=state,
        timer=timer,
        local_port=local_port,
        remote_port=remote_port,
        recv_queue=recv_queue,
        send_queue=ABSENT_32 if state == tcp.LISTEN else send_queue,  # the limit of the backlog is not told
        uid=uid if uid or inode else ABSENT_32,
        inode=inode,
        expires=min(max(ticks, 0) * 1000 // TIMER_TICKS, ABSENT_32) if timer else 0,
    )


def decode_unix(line: bytes, store: SocketStore) -> None:
    """Append the socket in one line of /proc/net/unix. Raises Malformed.

    The peer, the queues and the user stand nowhere in it. A connection that nobody has accepted yet (inode 0) is
    passed over, as sock_diag passes it over.
    """
    words = line.rstrip(b"\n").split(maxsplit=7)
    try:
        flags, condition, inode = int(words[3], 16), int(words[5], 16), int(words[6])
    except (IndexError, ValueError) as error:
        raise Malformed("a line of /proc/net/unix is not understood") from error
    if not 0 <= inode <= ABSENT_32:
        raise Malformed("a line of /proc/net/unix has a number out of range")
    if inode == 0:
        return
    state = tcp.LISTEN if flags & _LISTENING else tcp.ESTABLISHED if condition == _SS_CONNECTED else tcp.UNCONNECTED
    path = store.path_number(words[7].decode("utf-8", "backslashreplace")) if len(words) == 8 else 0
    store.append_unix(state, inode, path, 0, 0, ABSENT_32, (ABSENT_32, ABSENT_32))


def _endpoint(text: bytes) -> tuple[bytes, int]:
    """Return the 16 bytes of the address and the port of `0100007F:0016`: 32-bit words of the host, then the port."""
    address, _, port = text.partition(b":")
    if len(port) != 4 or len(address) not in (8, 32):
        raise ValueError(text)
    words = array("I", unhexlify(address))
    if sys.byteorder == "little":
        words.byteswap()
    packed = words.tobytes()
    return (MAPPED_PREFIX + packed if len(packed) == 4 else packed), int.from_bytes(unhexlify(port), "big")


def decode_sctp_endpoint(line: bytes, store: SocketStore) -> None:
    """Append the endpoint in one line of /proc/net/sctp/eps, by its first address. Raises Malformed."""
    words = line.split()
    try:
        state, port, uid, inode = int(words[3]), int(words[5]), int(words[6]), int(words[7])
        local = _sctp_address(words[8:])
    except (IndexError, ValueError) as error:
        raise Malformed("a line of /proc/net/sctp/eps is not understood") from error
    _append_sctp(store, (state, local, port, ABSENT_ADDRESS, 0, uid, inode))


def decode_sctp_association(line: bytes, store: SocketStore) -> None:
    """Append the association in one line of /proc/net/sctp/assocs, by its primary addresses. Raises Malformed."""
    words = line.split()
    try:
        state = SCTP_AS_TCP[int(words[4])]
        uid, inode, local_port, remote_port = (int(word) for word in words[9:13])
        divide = words.index(b"<->")
        local, remote = _sctp_address(words[13:divide]), _sctp_address(words[divide + 1 :])
    except (IndexError, ValueError) as error:
        raise Malformed("a line of /proc/net/sctp/assocs is not understood") from error
    _append_sctp(store, (state, local, local_port, remote, remote_port, uid, inode))


def _append_sctp(store: SocketStore, row: tuple[int, bytes, int, bytes, int, int, int]) -> None:
    state, local, local_port, remote, remote_port, uid, inode = row
    ports_fit = 0 <= local_port < 65536 and 0 <= remote_port < 65536
    if state not in tcp.KERNEL_STATES or not ports_fit or not (0 <= uid <= ABSENT_32 and 0 <= inode <= ABSENT_32):
        raise Malformed("a line of /proc/net/sctp has a number out of range")
    store.local_ip += local
    store.remote_ip += remote
    store.append_fields(
        transport=SCTP,
        family=IPV4 if local.startswith(MAPPED_PREFIX) else IPV6,
        state=state,
        local_port=local_port,
        remote_port=remote_port,
        recv_queue=ABSENT_32,
        send_queue=ABSENT_32,
        uid=uid,
        inode=inode,
    )


def _sctp_address(words: list[bytes]) -> bytes:
    """Return the address that is marked as the primary one with `*`, else the first."""
    texts = [word.decode("ascii") for word in words]
    primary = next((text for text in texts if text.startswith("*")), texts[0])
    return pack_address(primary.lstrip("*"))
