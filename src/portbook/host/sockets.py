"""The sockets of this host as a table: what the kernel says, with names, scopes and owners beside it.

Each column is made only when it is asked for, as a vector over the whole store.
"""

from __future__ import annotations

import os
import socket
import sys
from array import array
from collections import Counter

from portbook import tcp
from portbook.columns import Addresses, Coded, Numbers, Table, address_text
from portbook.conversation import local_serves
from portbook.endpoint import RAW, TRANSPORTS, UNIX, reach
from portbook.errors import N_
from portbook.host.reading import Reading, Selection, read
from portbook.socket import (
    ABSENT_32,
    ABSENT_64,
    COLUMNS,
    FAMILIES,
    IPV4,
    IPV6,
    OWNER_COLUMNS,
    SUMMARY_COLUMNS,
    TCP_COLUMNS,
    Owner,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from portbook.columns import Vector
    from portbook.registry.lookup import Registry

_NUMBERS = {
    "local_port": ("local_port", 0, 0),
    "remote_port": ("remote_port", 0, 0),
    "recv_queue": ("recv_queue", ABSENT_32, 0),
    "send_queue": ("send_queue", ABSENT_32, 0),
    "uid": ("uid", ABSENT_32, 0),
    "peer_inode": ("peer_inode", 0, 0),
    "inode": ("inode", 0, 0),
    "cookie": ("cookie", 0, 0),
    "retransmissions": ("retransmissions", ABSENT_32, 0),
    "bytes_sent": ("bytes_sent", ABSENT_64, 0),
    "bytes_received": ("bytes_received", ABSENT_64, 0),
    "send_rate": ("send_rate", ABSENT_64, 0),
}
"""Columns that are a field of the store as it is: its name, what means absent, decimals."""

HIDDEN = N_("{hidden} of {held} owners hidden; run as root to see them")
HIDDEN_FROM_ROOT = N_("{hidden} of {held} owners hidden, even from root")

LISTENING = (tcp.LISTEN, tcp.UNCONNECTED)


def names_of(selection: Selection) -> tuple[str, ...]:
    """Return the names of the columns that a selection fills."""
    without = (
        (() if selection.owners else OWNER_COLUMNS)
        + (() if selection.detailed else TCP_COLUMNS)
        + ("remote_host",)  # only where it is asked for by name
    )
    return tuple(column.name for column in COLUMNS if column.name not in without)


def sockets(selection: Selection, columns: Sequence[str] | None = None, registry: Registry | None = None) -> Table:
    """Return the sockets that are asked for, with these columns, or all that the selection fills.

    Without a registry `service` stays absent. Raises Unavailable where no source answers.
    """
    reading = read(selection)
    view = View(reading, registry)
    wanted = names_of(selection) if columns is None else tuple(columns)
    return view.table(wanted, None if selection.ports is None else view.rows_at(selection.ports))


def summary(selection: Selection) -> Table:
    """Return how many sockets there are of each transport in each state."""
    reading = read(selection)
    store = reading.store
    counts = Counter(zip(store.transport, (tcp.STATES[state] for state in store.state), store.family, strict=True))
    rows = []
    for transport, state in sorted({key[:2] for key in counts}, key=lambda key: (key[0], str(key[1]))):
        by_family = [counts[transport, state, family] for family in range(len(FAMILIES))]
        inet = (None, None) if transport == UNIX else (by_family[IPV4], by_family[IPV6])
        rows.append((TRANSPORTS[transport], state, *inet, sum(by_family)))
    table = Table.from_rows(SUMMARY_COLUMNS, rows)
    table.complete, table.notes = reading.complete, reading.notes
    return table


class View:
    """One reading, and what is told of it beyond the kernel's numbers, each made once."""

    def __init__(self, reading: Reading, registry: Registry | None = None) -> None:
        self.reading = reading
        self.store = reading.store
        self._registry = registry
        self._owners: tuple[array[int], Sequence[Owner]] | None = None
        self._names: dict[int, dict[int, str]] = {}
        self._told: set[int] = set()
        self._vectors: dict[str, Vector] = {}
        self._scopes: dict[tuple[bytes, int], str | None] = {}

    def table(self, names: Sequence[str], rows: Sequence[int] | None = None) -> Table:
        """Return the table of these columns that shows these rows, by default all."""
        declared = {column.name: column for column in COLUMNS}
        vectors = tuple(self.vector(name) for name in names)
        self.tell_hidden(range(len(self.store)) if rows is None else rows)
        return Table(
            tuple(declared[name] for name in names),
            vectors,
            None if rows is None else array("I", rows),
            complete=self.reading.complete,
            notes=self.reading.notes,
        )

    def rows_at(self, ports: frozenset[int]) -> list[int]:
        """Return the rows with one of these ports at either end; a raw socket has none."""
        here, there, transport = self.store.local_port, self.store.remote_port, self.store.transport
        return [
            row
            for row in range(len(self.store))
            if (here[row] in ports or there[row] in ports) and transport[row] not in (RAW, UNIX)
        ]

    def vector(self, name: str) -> Vector:
        """Return the vector of one column."""
        if name not in self._vectors:
            self._vectors[name] = self._make(name)
        return self._vectors[name]

    def _make(self, name: str) -> Vector:
        if name in _NUMBERS:
            field, null, decimals = _NUMBERS[name]
            return Numbers(getattr(self.store, field), null, decimals)
        if name in OWNER_COLUMNS:
            codes, owners = self.owners()
            return Coded(codes, [getattr(owner, name) for owner in owners])
        return _MAKERS[name](self)

    def owners(self) -> tuple[array[int], Sequence[Owner]]:
        """Return for each row the place of its owner, and the owners."""
        if self._owners is None:
            self._owners = self._find_owners()
        return self._owners

    def _find_owners(self) -> tuple[array[int], Sequence[Owner]]:
        if self.reading.owners is not None:
            return array("I", range(len(self.store))), self.reading.owners
        from portbook.linux.owners import owners

        found = owners(self.store)
        return found.codes, found.owners

    def tell_hidden(self, rows: Iterable[int]) -> None:
        """Note how many of these rows' owners are hidden, together with those told before, if any was asked for."""
        if self._owners is None:
            return
        codes, owners = self._owners
        self._told.update(rows)
        everything = len(self._told) == len(codes)
        times = Counter(codes if everything else [codes[row] for row in self._told])
        hidden = sum(count for code, count in times.items() if owners[code].owner_by == "hidden")
        held = sum(count for code, count in times.items() if owners[code].owner_by is not None)
        said = (HIDDEN, HIDDEN_FROM_ROOT)
        self.reading.notes = [note for note in self.reading.notes if note[0] not in said]
        if hidden:
            self.reading.lack(said[os.geteuid() == 0], hidden=hidden, held=held)

    def listening(self) -> frozenset[tuple[int, int]]:
        """Return the transports and ports on which this host listens in the namespaces that were read."""
        store = self.store
        return frozenset(
            (transport, port)
            for transport, port, state in zip(store.transport, store.local_port, store.state, strict=True)
            if state in LISTENING and port
        )

    def names(self, transport: int) -> dict[int, str]:
        """Return the names of the ports of a transport; none without a registry."""
        if transport not in self._names:
            ported = self._registry is not None and transport not in (RAW, UNIX)
            self._names[transport] = self._registry.names(TRANSPORTS[transport]) if ported else {}  # type: ignore[union-attr]
        return self._names[transport]

    def scope_of(self, row: int) -> str | None:
        """Return how far a listener reaches: what is inside another namespace only its own network can reach."""
        number = self.store.netns[row]
        key = (bytes(self.store.local_ip[row * 16 : row * 16 + 16]), number)
        if key not in self._scopes:
            space, scope = self.reading.namespaces[number], reach(key[0])
            inside = space is not None and not space.current
            self._scopes[key] = "container" if inside and scope not in ("loopback", None) else scope
        return self._scopes[key]

    def netns_name(self, number: int) -> str:
        """Return the name of a namespace that was read, or what the kernel calls it."""
        space = self.reading.namespaces[number]
        if space is None:
            return os.readlink("/proc/thread-self/ns/net") if sys.platform == "linux" else ""
        return space.name or f"net:[{space.inode}]"

    def service(self) -> Vector:
        """Return the names of the services, by the port of the side that serves; a raw socket's is its protocol."""
        store = self.store
        if self._registry is None:
            return Coded(array("B", bytes(len(store))), [None])
        names = [self.names(transport) for transport in range(len(TRANSPORTS))]
        listening = self.listening()
        values: dict[str | None, int] = {None: 0}
        codes = array("I")
        rows = zip(store.transport, store.local_port, store.remote_port, store.state, strict=True)
        for transport, local, remote, state in rows:
            known = names[transport]
            name: str | None
            if transport == RAW:
                name = protocol_name(local)
            elif state in LISTENING or not remote:
                name = known.get(local)
            else:
                listens = ((transport, local) in listening, (transport, remote) in listening)
                name = known.get(local if local_serves(local, remote, listens, known) else remote)
            codes.append(values.setdefault(name, len(values)))
        return Coded(codes, list(values))

    def scope(self) -> Vector:
        """Return how far each listener reaches; a connected socket has no scope."""
        values: dict[str | None, int] = {None: 0}
        codes = array("B")
        for row, (state, transport) in enumerate(zip(self.store.state, self.store.transport, strict=True)):
            scope = self.scope_of(row) if state in LISTENING and transport != UNIX else None
            codes.append(values.setdefault(scope, len(values)))
        return Coded(codes, list(values))

    def interface(self) -> Vector:
        """Return the names of the devices that sockets are bound to; the index where it means another namespace."""
        here = [space is None or space.current for space in self.reading.namespaces]
        pairs = list(zip(self.store.interface, self.store.netns, strict=True))
        names = {
            (index, space): None if not index else interface_name(index) if here[space] else str(index)
            for index, space in set(pairs)
        }
        return Coded.of(names[pair] for pair in pairs)

    def user(self) -> Vector:
        """Return the names of the users."""
        return self._named("uid", lambda uid: None if uid == ABSENT_32 else user_name(uid))

    def remote_host(self) -> Vector:
        """Return the names of the remote addresses, as a name server has them."""
        from portbook.host.names import host_names

        packed = self.store.remote_ip
        texts = [address_text(bytes(packed[at : at + 16])) for at in range(0, len(packed), 16)]
        names = host_names({text for text in texts if text is not None})
        return Coded.of(None if text is None else names.get(text) for text in texts)

    def netns(self) -> Vector:
        """Return the names of the namespaces, or what the kernel calls them."""
        names = [self.netns_name(number) for number in range(len(self.reading.namespaces))]
        return Coded(self.store.netns, names)

    def expires(self) -> Vector:
        """Return the seconds that remain of each TIME-WAIT."""
        pairs = zip(self.store.expires, self.store.state, strict=True)
        return Numbers(array("I", [left if state == tcp.TIME_WAIT else 0 for left, state in pairs]), 0, 3)

    def rtt_ms(self) -> Vector:
        """Return the smoothed round-trip times; one that was never measured is absent."""
        return Numbers(array("I", [0 if rtt == ABSENT_32 else rtt for rtt in self.store.rtt]), 0, 3)

    def receive_rate(self) -> Vector:
        """Return what the receiver's own estimate comes to: the bytes of one of its round trips, over that time."""
        pairs = zip(self.store.received_space, self.store.received_rtt, strict=True)
        return Numbers(
            array("Q", [0 if rtt in (0, ABSENT_32) else space * 1_000_000 // rtt for space, rtt in pairs]), 0
        )

    def congestion(self) -> Vector:
        """Return the names of the congestion controls."""
        return self._named("congestion", lambda place: None if place == ABSENT_32 else self.store.algorithms[place])

    def _named(self, field: str, name: Callable[[int], str | None]) -> Vector:
        numbers = getattr(self.store, field)
        places = {number: place for place, number in enumerate(set(numbers))}
        return Coded(array("I", map(places.__getitem__, numbers)), [name(number) for number in places])


_MAKERS: dict[str, Callable[[View], Vector]] = {
    "transport": lambda view: Coded(view.store.transport, TRANSPORTS),
    "family": lambda view: Coded(view.store.family, FAMILIES),
    "state": lambda view: Coded(view.store.state, tcp.STATES),
    "local_ip": lambda view: Addresses(view.store.local_ip),
    "remote_ip": lambda view: Addresses(view.store.remote_ip),
    "path": lambda view: Coded(view.store.path, view.store.paths),
    "remote_host": View.remote_host,
    "interface": View.interface,
    "service": View.service,
    "scope": View.scope,
    "user": View.user,
    "netns": View.netns,
    "expires": View.expires,
    "rtt_ms": View.rtt_ms,
    "receive_rate": View.receive_rate,
    "congestion": View.congestion,
}


def protocol_name(number: int) -> str | None:
    """Return the name of an IP protocol number, where it has one."""
    for name in dir(socket):
        if name.startswith("IPPROTO_") and getattr(socket, name) == number:
            return name.removeprefix("IPPROTO_").lower()
    return None


def interface_name(index: int) -> str:
    """Return the name of a device, or its number where it is not in this namespace."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where there is no such account."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
