"""The sockets of systems other than Linux, as psutil tells them, in the same store.

What psutil does not know stays absent: queues, users, cookies, the inside of TCP. It tells owners along with the
sockets, of the processes that it may look into.
"""

from __future__ import annotations

import socket

import psutil

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, pack_address
from portbook.endpoint import TCP, UDP, UNIX
from portbook.errors import N_, Unavailable
from portbook.socket import ABSENT_32, IPV4, IPV6, Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portbook.socket import SocketStore

_STATES = {
    psutil.CONN_ESTABLISHED: tcp.ESTABLISHED,
    psutil.CONN_SYN_SENT: tcp.SYN_SENT,
    psutil.CONN_SYN_RECV: tcp.SYN_RECEIVED,
    psutil.CONN_FIN_WAIT1: tcp.FIN_WAIT_1,
    psutil.CONN_FIN_WAIT2: tcp.FIN_WAIT_2,
    psutil.CONN_TIME_WAIT: tcp.TIME_WAIT,
    psutil.CONN_CLOSE: tcp.CLOSED,
    psutil.CONN_CLOSE_WAIT: tcp.CLOSE_WAIT,
    psutil.CONN_LAST_ACK: tcp.LAST_ACK,
    psutil.CONN_LISTEN: tcp.LISTEN,
    psutil.CONN_CLOSING: tcp.CLOSING,
}


def read(transports: tuple[int, ...], families: tuple[int, ...], states: int, store: SocketStore) -> list[Owner]:
    """Append this host's TCP, UDP and UNIX sockets to the store and return the owner of each.

    Raises Unavailable when the system lets not even one's own processes be read.
    """
    shared: dict[tuple[object, ...], set[int]] = {}
    for one, pid in _connections():
        holders = shared.setdefault((one.family, one.type, one.laddr, one.raddr, one.status), set())
        if pid is not None:
            holders.add(pid)
    owners: list[Owner] = []
    for socket_of, holders in shared.items():
        if _append(socket_of, transports, families, states, store):
            owners.append(_owner(tuple(sorted(holders))))
    return owners


def _connections() -> list[tuple[Any, int | None]]:
    try:
        return [(one, one.pid) for one in psutil.net_connections(kind="all")]
    except psutil.AccessDenied:
        pass
    # Some systems show all sockets to root only; everybody may see those of the own processes.
    found: list[tuple[Any, int | None]] = []
    seen = False
    for process in psutil.process_iter():
        try:
            found += [(one, process.pid) for one in process.net_connections(kind="all")]
            seen = True
        except psutil.Error:
            continue
    if not seen:
        raise Unavailable(N_("this system shows no sockets to this user; run as root"))
    return found


def _append(
    socket_of: tuple[object, ...],
    transports: tuple[int, ...],
    families: tuple[int, ...],
    states: int,
    store: SocketStore,
) -> bool:
    """Append one socket, if it is asked for; return whether it was."""
    family, kind, local, remote, status = socket_of
    if family == getattr(socket, "AF_UNIX", None):
        if UNIX not in transports or not states >> tcp.UNCONNECTED & 1:
            return False
        path = store.path_number(str(local)) if local else 0
        store.append_unix(tcp.UNCONNECTED, 0, path, 0, 0, ABSENT_32, (ABSENT_32, ABSENT_32))
        return True
    transport = TCP if kind == socket.SOCK_STREAM else UDP
    datagram = tcp.CONNECTED if remote else tcp.UNCONNECTED
    state = _STATES.get(str(status), tcp.CLOSED) if transport == TCP else datagram
    if transport not in transports or family not in families or not states >> state & 1:
        return False
    store.local_ip += _packed(local)
    store.remote_ip += _packed(remote)
    store.append_fields(
        transport=transport,
        family=IPV4 if family == socket.AF_INET else IPV6,
        state=state,
        local_port=_port(local),
        remote_port=_port(remote),
        recv_queue=ABSENT_32,
        send_queue=ABSENT_32,
        uid=ABSENT_32,
    )
    return True


def _packed(end: object) -> bytes:
    return pack_address(str(end[0]).partition("%")[0]) if isinstance(end, tuple) and end else ABSENT_ADDRESS


def _port(end: object) -> int:
    return int(end[1]) if isinstance(end, tuple) and end else 0


def _owner(pids: tuple[int, ...]) -> Owner:
    if not pids:
        return Owner(owner_by="hidden")
    names: list[str] = []
    told: list[tuple[float, str]] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            names.append(process.name())
            told.append((process.create_time(), " ".join(process.cmdline())))
        except psutil.Error:
            continue
    started, command = min(told, default=(None, None))
    return Owner(pids, ", ".join(dict.fromkeys(names)) or None, command, started, owner_by="exact")
