"""The kernel's socket tables over netlink sock_diag (sock_diag(7)).

It asks for one transport and address family at a time, reads the dump to its end, and reads it again when the
kernel says that the table changed in between or that the receive buffer overran. What the bytes mean is known in
wire/sock_diag.py.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from portbook import compiled, tcp
from portbook.endpoint import RAW as RAW_TRANSPORT
from portbook.endpoint import SCTP, TCP, UDP, UDPLITE, UNIX
from portbook.errors import N_, Malformed, Unavailable
from portbook.wire import sock_diag as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.socket import SocketStore

NETLINK_SOCK_DIAG = 4
PROTOCOLS = {TCP: 6, UDP: 17, UDPLITE: 136, SCTP: 132, RAW_TRANSPORT: 255}
"""The IP protocol number that sock_diag wants for each transport."""

BUFFER_SIZE = 1 << 18
RECEIVE_BUFFER = 1 << 20
ATTEMPTS = 20
"""How often a dump that changed while it was read is read again before what it brought is taken as it is."""

_ABSENT = (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)


class Diagnostics:
    """A netlink socket through which tables are read, bound to the network namespace in which it was opened."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        """Open the socket, or take one that was opened in another namespace. Raises Unavailable."""
        if connection is None:
            try:
                connection = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
                )
            except OSError as error:
                raise Unavailable(
                    N_("the kernel refuses netlink sock_diag: {reason}"), reason=os.strerror(error.errno or 0)
                ) from error
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._connection = connection
        self._buffer = bytearray(BUFFER_SIZE)
        self._sequence = 0
        self._decode = compiled.best("portbook.wire.sock_diag").decode

    def __enter__(self) -> Diagnostics:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def read(
        self,
        transport: int,
        families: tuple[int, ...],
        store: SocketStore,
        states: int = tcp.ALL,
        local_ports: range | None = None,
    ) -> bool:
        """Append the sockets of a transport (place in endpoint.TRANSPORTS) in these address families to the store.

        `local_ports` leaves all others out, in the kernel already; it means nothing to UNIX sockets.

        Return whether the tables stood still while they were read; where they never did in ATTEMPTS readings, the
        last one is kept. Raises Unavailable when this kernel has no such table or forbids it; the store is then as
        it was.
        """
        start, still = len(store), True
        states = tcp.kernel_mask(states)
        try:
            if transport == UNIX:
                return self._dump(transport, wire.unix_request(states, self._next()), store)
            if transport == TCP and len(families) == 2:
                with suppress(Unavailable):
                    asked = wire.tcp_request(states, store.detailed, self._next(), local_ports)
                    return self._dump(transport, asked, store)
                store.truncate(start)
            for family in families:
                protocol = PROTOCOLS[transport]
                asked = wire.inet_request(family, protocol, states, store.detailed, self._next(), local_ports)
                still = self._dump(transport, asked, store) and still
        except Unavailable:
            store.truncate(start)
            raise
        return still

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _dump(self, transport: int, asked: bytes, store: SocketStore) -> bool:
        start = len(store)
        for _ in range(ATTEMPTS):
            store.truncate(start)
            try:
                if self._dump_once(transport, asked, store):
                    return True
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise self._unavailable(error.errno or 0) from error
                self._drain()
        return False

    def _dump_once(self, transport: int, asked: bytes, store: SocketStore) -> bool:
        self._connection.send(asked)
        view = memoryview(self._buffer)
        interrupted = False
        while True:
            length = self._connection.recv_into(self._buffer)
            try:
                progress = self._decode(view[:length], transport, store)
            except Malformed as error:
                self._drain()
                raise Unavailable(
                    N_("the kernel's socket table is not understood: {reason}"), reason=error
                ) from error
            if progress.errno:
                raise self._unavailable(progress.errno)
            interrupted = interrupted or progress.interrupted
            if progress.done:
                return not interrupted

    def _drain(self) -> None:
        """Throw away what is left of a dump: the next one cannot begin before."""
        self._connection.setblocking(False)
        try:
            while True:
                try:
                    self._connection.recv_into(self._buffer)
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
        finally:
            self._connection.setblocking(True)

    @staticmethod
    def _unavailable(code: int) -> Unavailable:
        if code in _ABSENT:
            return Unavailable(N_("this kernel has no sock_diag for this transport"))
        return Unavailable(N_("the kernel refuses netlink sock_diag: {reason}"), reason=os.strerror(code))
