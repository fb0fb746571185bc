"""The socket tables in /proc/PID/net, for when netlink is refused, lacks a transport, or a namespace stays closed.

Each file is read whole before it is decoded; a line that is not understood is passed over and counted.
"""

from __future__ import annotations

import socket
from functools import partial

from portbook import tcp
from portbook.endpoint import RAW, SCTP, TCP, UDP, UDPLITE, UNIX
from portbook.errors import Malformed
from portbook.socket import IPV4, IPV6
from portbook.wire import procnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from portbook.socket import SocketStore

_FILES: dict[tuple[int, int], str] = {
    (TCP, socket.AF_INET): "tcp",
    (TCP, socket.AF_INET6): "tcp6",
    (UDP, socket.AF_INET): "udp",
    (UDP, socket.AF_INET6): "udp6",
    (UDPLITE, socket.AF_INET): "udplite",
    (UDPLITE, socket.AF_INET6): "udplite6",
    (RAW, socket.AF_INET): "raw",
    (RAW, socket.AF_INET6): "raw6",
}


def read(
    folder: str | PathLike[str], transport: int, families: tuple[int, ...], store: SocketStore, states: int
) -> int:
    """Append the sockets of a transport (place in endpoint.TRANSPORTS) in the states of the mask to the store.

    `folder` is a process's `net` folder, `families` are of AF_INET and AF_INET6. Returns how many lines were not
    understood. A file that is not there has no sockets; PermissionError is left to the caller.
    """
    decoders: list[tuple[str, Callable[[bytes, SocketStore], None]]]
    if transport == UNIX:
        decoders = [("unix", procnet.decode_unix)]
    elif transport == SCTP:
        decoders = [("sctp/eps", procnet.decode_sctp_endpoint), ("sctp/assocs", procnet.decode_sctp_association)]
    else:
        inet = partial(procnet.decode_inet, transport)
        decoders = [(_FILES[transport, family], inet) for family in families]
    asked = tcp.kernel_mask(states)
    kept = {IPV4 if family == socket.AF_INET else IPV6 for family in families}
    puzzling = 0
    for name, decode in decoders:
        for line in _lines(f"{folder}/{name}"):
            before = len(store)
            try:
                decode(line, store)
            except Malformed:
                puzzling += 1
                continue
            if len(store) == before:
                continue
            other_family = transport == SCTP and store.family[before] not in kept
            if other_family or not asked >> tcp.kernel_state(store.state[before]) & 1:
                store.truncate(before)
    return puzzling


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read().split(b"\n")[1:-1]
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return []
