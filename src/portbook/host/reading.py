"""What is asked of this host's sockets, and the reading of them from whatever source answers.

On Linux that is netlink sock_diag, else /proc; elsewhere psutil. Other network namespaces are entered where rights
allow, else read through a process that lives in them. It yields a `Reading`; what the sockets mean is left to the
modules beside it.
"""

from __future__ import annotations

import os
import socket
import sys
from array import array
from typing import NamedTuple

from portbook import tcp
from portbook.endpoint import RAW, SCTP, TCP, UDP, UDPLITE, UNIX
from portbook.errors import N_, BadQuestion, Unavailable
from portbook.socket import SocketStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.columns import Note
    from portbook.linux.namespaces import NetworkNamespace
    from portbook.socket import Owner

INET_FAMILIES = (int(socket.AF_INET), int(socket.AF_INET6))
PORTED = (TCP, UDP, UDPLITE, SCTP)
EVERY_TRANSPORT = (*PORTED, RAW, UNIX)


class Selection(NamedTuple):
    """Which sockets are asked for, and how much of each.

    `transports` are places in endpoint.TRANSPORTS, `families` of AF_INET and AF_INET6, `states` a mask of
    tcp.STATES, `ports` those wanted at either end (None for all); `local_ports` is a range that all others may be
    left out of, as far as the source can. `netns` is None for the namespace of this process,
    `all`, `seen` (all that may be read, without a word on others), a name, or the PID of a process in it.
    """

    transports: tuple[int, ...] = EVERY_TRANSPORT
    families: tuple[int, ...] = INET_FAMILIES
    states: int = tcp.ALL
    ports: frozenset[int] | None = None
    local_ports: range | None = None
    owners: bool = False
    detailed: bool = False
    netns: str | None = None


class Reading:
    """The sockets that were read: the store, and for each number in its `netns` the namespace.

    `owners` stand for the rows where the source tells owners along with sockets (psutil); else None.
    `notes` say what could not be read, each a message id with its values.
    """

    __slots__ = ("complete", "namespaces", "notes", "owners", "store")

    def __init__(self, store: SocketStore) -> None:
        self.store = store
        self.namespaces: list[NetworkNamespace | None] = [None]
        self.owners: list[Owner] | None = None
        self.complete = True
        self.notes: list[Note] = []

    def lack(self, message: str, **values: object) -> None:
        """Note something that belongs to the answer and could not be had."""
        self.complete = False
        self.notes.append((message, values))


def spanned(ports: frozenset[int]) -> range | None:
    """Return the range from the lowest to the highest of some ports, None for none."""
    return range(min(ports), max(ports) + 1) if ports else None


def read(selection: Selection) -> Reading:
    """Read the sockets that are asked for. Raises Unavailable where no source answers."""
    reading = Reading(SocketStore(selection.detailed))
    if not sys.platform.startswith("linux"):
        from portbook import portable

        if selection.netns not in (None, "seen"):
            raise Unavailable(N_("only Linux has network namespaces"))
        reading.owners = portable.read(selection.transports, selection.families, selection.states, reading.store)
    elif selection.netns is None:
        _read_here(selection, reading)
    else:
        _read_namespaces(selection, selection.netns, reading)
    return reading


def _read_here(selection: Selection, reading: Reading) -> None:
    _read_tables(None, "/proc/thread-self/net", selection, reading)


def _read_tables(connection: socket.socket | None, folder: str, selection: Selection, reading: Reading) -> None:
    """Read by netlink, over a connection that was opened elsewhere if given, and from the folder what it lacks."""
    from portbook.linux.sock_diag import Diagnostics

    try:
        diagnostics = Diagnostics(connection)
    except Unavailable:
        _read_folder(folder, selection, reading)
        return
    lacking = []
    with diagnostics:
        for transport in selection.transports:
            try:
                still = diagnostics.read(
                    transport, selection.families, reading.store, selection.states, selection.local_ports
                )
            except Unavailable:
                if transport != SCTP or os.path.isdir(f"{folder}/sctp"):
                    lacking.append(transport)
                continue
            if not still:
                reading.lack(N_("the sockets changed faster than they could be read; some may be missing or old"))
    if lacking:
        _read_folder(folder, selection, reading, tuple(lacking))


def _read_folder(
    folder: str, selection: Selection, reading: Reading, transports: tuple[int, ...] | None = None
) -> None:
    from portbook.linux import procnet

    puzzling = 0
    for transport in transports or selection.transports:
        try:
            puzzling += procnet.read(folder, transport, selection.families, reading.store, selection.states)
        except PermissionError:
            reading.lack(N_("{folder} may not be read; run as root to see it"), folder=folder)
            return
    if puzzling:
        reading.lack(N_("lines in {folder} that were not understood: {count}"), count=puzzling, folder=folder)


def _read_namespaces(selection: Selection, wanted: str, reading: Reading) -> None:
    from portbook.linux import namespaces

    if wanted in ("all", "seen"):
        found = namespaces.network_namespaces()
        spaces = list(found.found)
        if found.hidden and wanted == "all":
            message = N_("processes whose network namespace is hidden: {count}; run as root to see them")
            if os.geteuid() == 0:
                message = N_("processes whose network namespace is hidden, even from root: {count}")
            reading.lack(message, count=found.hidden)
    else:
        spaces = [namespaces.find_namespace(wanted)]
    reading.namespaces = [*spaces]
    for number, space in enumerate(spaces):
        start = len(reading.store)
        said = (reading.complete, list(reading.notes))
        try:
            _read_namespace(space, selection, reading)
        except BadQuestion:
            # It ended after it was found: no loss, unless it is the one that was asked for.
            if wanted not in ("all", "seen"):
                raise
        if wanted == "seen" and not space.current:
            reading.complete, reading.notes = said
        rows = len(reading.store) - start
        reading.store.netns[start:] = array("H", [number]) * rows


def _read_namespace(space: NetworkNamespace, selection: Selection, reading: Reading) -> None:
    """Read one namespace: by a netlink socket opened inside it, else through the /proc of a process in it."""
    from portbook.linux import namespaces
    from portbook.linux.sock_diag import NETLINK_SOCK_DIAG

    if space.current:
        _read_here(selection, reading)
        return
    try:
        connection = namespaces.socket_in(space, socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)
    except Unavailable:
        if space.pid is None:
            reading.lack(
                N_("network namespace {name} may not be entered; run as root to see it"),
                name=space.name or space.path,
            )
        else:
            _read_folder(f"/proc/{space.pid}/net", selection, reading)
        return
    if space.pid is not None:
        _read_tables(connection, f"/proc/{space.pid}/net", selection, reading)
    else:
        with namespaces.entered(space):
            _read_tables(connection, "/proc/thread-self/net", selection, reading)
