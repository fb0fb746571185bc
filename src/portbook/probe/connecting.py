"""One TCP connection being made, without rights: how it begins, and what the kernel says has become of it.

Errno is translated here and nowhere else. Which ports are tried, and when, is left to reach.py.
"""

from __future__ import annotations

import errno
import socket
import sys
from time import monotonic
from typing import NamedTuple

from portbook.wire.error_queue import IPV6_RECVERR, SOL_IPV6, icmp_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.porttest import State
    from portbook.wire.error_queue import IcmpError

TCP_INFO = 11
_RTT, _AFTER_RTT = 68, 72
"""Where struct tcp_info (linux/tcp.h) has tcpi_rtt, in microseconds."""

_PENDING = (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN)
_NO_ROUTE = (
    *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENODEV),
)
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class NoSocket(OSError):
    """The process may have no more sockets now."""


class NoFamily(OSError):
    """The kernel was started without the family."""

    @property
    def name(self) -> str:
        """The name of the errno."""
        return errno.errorcode.get(self.errno or 0, str(self.errno))


class Result(NamedTuple):
    """What became of a try: the state, the evidence in a word, and the ICMP error where there was one."""

    state: State
    reason: str
    icmp: IcmpError | None = None


RESET = Result("closed", "reset")
"""The host's own refusal. The socket that met it can connect again."""


def new_socket(family: int) -> socket.socket:
    """Return a socket that connects without waiting. Raises NoSocket, NoFamily."""
    try:
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise (NoSocket if error.errno in _NO_ROOM else NoFamily)(error.errno, error.strerror) from error
    if family == socket.AF_INET6:
        # Without it the error comes a second late, and without its sender.
        made.setsockopt(SOL_IPV6, IPV6_RECVERR, 1)
    return made


def with_zone(address: tuple[str, int]) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return an address as a socket takes it: the zone of one that has one (RFC 4007) is a number of its own.

    Raises OSError where it is none of this host's.
    """
    ip, _, zone = address[0].partition("%")
    if not zone:
        return address
    return ip, address[1], 0, int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)


def begin(made: socket.socket, address: tuple[str, int]) -> Result | None:
    """Begin a connection; return what became of it where that is known at once, None while it is being made.

    After RESET the socket is as new.
    """
    code = _connect(made, address)
    if code not in _PENDING:
        return result(made, address, code, at_once=True)
    # A neighbour's answer has come before connect(2) returned.
    return _asked_again(made, address)


def begin_all(
    made: socket.socket, addresses: Sequence[tuple[str, int]], start: int
) -> tuple[list[float], Result | None]:
    """Begin connections with one socket, one after the other from `start` on, as long as each meets RESET at once.

    Return the milliseconds that each of those took, and what `begin` says of the one after them, which is the
    socket's then; RESET where there is none. It has a compiled twin.
    """
    waited: list[float] = []
    for place in range(start, len(addresses)):
        begun = monotonic()
        came = begin(made, addresses[place])
        if came is not RESET:
            return waited, came
        waited.append((monotonic() - begun) * 1000)
    return waited, RESET


def again(made: socket.socket, address: tuple[str, int]) -> Result | None:
    """Return what became of a connection on whose socket something happened, None while it is still being made."""
    came = _asked_again(made, address)
    if came is None:
        # An ICMP error that came while connect(2) held the socket waits in the queue, and the SYN is sent again.
        icmp = queued_error(made)
        return None if icmp is None else _told_by(icmp, address)
    return came


def _connect(made: socket.socket, address: tuple[str, int]) -> int:
    """Return the errno of connect(2), 0 for none; ENODEV where the address has a zone that is none of this host's."""
    try:
        return made.connect_ex(with_zone(address))
    except OSError as error:
        return error.errno or errno.ENODEV


def _asked_again(made: socket.socket, address: tuple[str, int]) -> Result | None:
    code = _connect(made, address)
    return None if code in _PENDING else result(made, address, 0 if code == errno.EISCONN else code)


def result(made: socket.socket, address: tuple[str, int], code: int, at_once: bool = False) -> Result:
    """Return what an errno of connect(2), 0 for none, says of a port.

    `at_once` is that the kernel refused to begin: then no packet was sent, and nothing is known of the port.
    """
    if code == 0:
        if made.getsockname()[:2] == made.getpeername()[:2]:
            # Its own source port was the target: nobody listens there (RFC 9293, section 3.5, simultaneous open).
            return Result("closed", "self-connect")
        return Result("open", "accepted")
    icmp = queued_error(made)
    if icmp is not None:
        return _told_by(icmp, address)
    if code in (errno.ECONNREFUSED, errno.ECONNRESET):
        return RESET
    name = errno.errorcode.get(code, str(code))
    if code == errno.ETIMEDOUT:
        return Result("filtered", "silence")
    if code in _NO_ROUTE:
        return Result("unreachable", name)
    return Result("rejected" if code in (errno.EACCES, errno.EPERM) and not at_once else "error", name)


def _told_by(icmp: IcmpError, address: tuple[str, int]) -> Result:
    """Return what an ICMP error says: that of this host's own kernel is, that no neighbour has the address."""
    if icmp.errno in _NO_ROUTE and icmp.sender not in (None, address[0]) and is_own(str(icmp.sender)):
        return Result("unreachable", errno.errorcode[icmp.errno])
    return Result("rejected", "icmp", icmp)


def is_own(ip: str) -> bool:
    """Whether an address is one of this host's."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.bind((ip, 0))
    except OSError:
        return False
    return True


def queued_error(made: socket.socket, sent_to: str | None = None) -> IcmpError | None:
    """Return the ICMP error that waits in a socket's error queue, if one does; of what was `sent_to` that address."""
    try:
        _, control, _, address = made.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    if sent_to is not None and address and address[0].partition("%")[0] != sent_to.partition("%")[0]:
        return None
    for level, kind, data in control:
        found = icmp_error(level, kind, data)
        if found is not None:
            return found
    return None


def round_trip_ms(made: socket.socket) -> float | None:
    """Return the kernel's own measure of the handshake of an open connection, in milliseconds.

    None where it has none: of a SYN that was sent again it is not known which was answered (RFC 6298, section 3).
    """
    try:
        told = made.getsockopt(socket.IPPROTO_TCP, TCP_INFO, _AFTER_RTT)
    except OSError:
        return None
    microseconds = int.from_bytes(told[_RTT:_AFTER_RTT], sys.byteorder)
    return microseconds / 1000 if microseconds else None
