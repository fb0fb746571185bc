"""What passes a host's interfaces, written as a pcap file: a packet socket inside, the file outside.

The format is that of libpcap's savefiles with times in nanoseconds (pcap-savefile(5)), link type Ethernet, which is
that of all interfaces in a lab. Reading such files is left to others.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import time
from contextlib import suppress

from portbook.errors import N_, Unavailable
from portbook.lab.namespaces import entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from portbook.lab.state import LabState

LONGEST = 262144
"""Bytes of a packet that are kept: all, segments that a virtual cable carries unsplit included."""

_ETHERNET = 1
_ALL_PROTOCOLS = 0x0003
_OUTGOING = 4
_RECEIVE_BUFFER = 8 << 20
_SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
_SO_RCVBUFFORCE = 33


def file_header() -> bytes:
    """Return what a file begins with."""
    return struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, LONGEST, _ETHERNET)


def record(seconds: int, nanoseconds: int, packet: bytes, length: int) -> bytes:
    """Return a packet with its time since the epoch as the file holds it; `length` is that on the wire."""
    return struct.pack("=IIII", seconds & 0xFFFFFFFF, nanoseconds, len(packet), length) + packet


def packet_socket(state: LabState, host: str) -> socket.socket:
    """Return a socket that receives what passes any interface of a host from now on. Raises BadQuestion."""
    found = state.host(host)
    here, there = socket.socketpair()
    try:
        with here, there, entry(found.pid, found.inode, whole=False) as entered:
            # A process of its own makes it: who enters a user namespace does not come back.
            maker = os.fork()
            if not maker:
                try:
                    entered()
                    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
                    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                    with suppress(PermissionError):  # some kernels want root's rights outside as well
                        made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
                    socket.send_fds(there, [b"1"], [made.fileno()])
                finally:
                    os._exit(0)
            there.close()
            descriptors = socket.recv_fds(here, 1, 1)[1]
            os.waitpid(maker, 0)
    except ProcessLookupError:
        descriptors = []
    if not descriptors:
        raise Unavailable(N_("nothing can be captured on {host}: it has ended, or lets nobody listen"), host=host)
    return socket.socket(fileno=descriptors[0])


def capture(packets: socket.socket, file: BinaryIO, is_over: Callable[[], bool]) -> int:
    """Write what a packet socket receives until it `is_over`; return how many packets that were.

    That is asked after every packet, and ten times a second without any. Packets that have come by then are written
    still.
    """
    file.write(file_header())
    file.flush()
    count = 0
    packets.settimeout(0.1)
    while not is_over():
        count += _take(packets, file)
    packets.setblocking(False)
    while taken := _take(packets, file):
        count += taken
    return count


def _take(packets: socket.socket, file: BinaryIO) -> int:
    """Write the next packet; 0 where none comes."""
    try:
        while True:
            packet, ancillary, _, sender = packets.recvmsg(LONGEST, 64)
            # On the loopback device each packet is seen going out and coming in.
            if not (sender[0] == "lo" and sender[2] == _OUTGOING):
                break
    except (TimeoutError, BlockingIOError):
        return 0
    stamp = array.array("l", next((data for _, kind, data in ancillary if kind == _SO_TIMESTAMPNS), b""))
    seconds, nanoseconds = stamp if stamp else divmod(time.time_ns(), 10**9)
    file.write(record(seconds, nanoseconds, packet, len(packet)))
    file.flush()
    return 1
