"""Who talks: the conversations of this host now, each socket pair once, told from the client's side.

Where both ends are sockets of this host, in whatever namespace, they are one conversation and each tells what it
has sent. The sockets come from sockets.py; captured conversations will fill the same columns elsewhere.
"""

from __future__ import annotations

import time
from array import array

from portbook import tcp
from portbook.columns import MAPPED_PREFIX, Addresses, Coded, Numbers, Table, address_text
from portbook.conversation import COLUMNS, GROUP_COLUMNS, GROUPS, community_id, local_serves
from portbook.endpoint import TRANSPORTS, reach
from portbook.host.sockets import LISTENING, View
from portbook.socket import ABSENT_32, ABSENT_64, FAMILIES, IPV4, IPV6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from portbook.columns import Vector
    from portbook.socket import Owner

NONE = 0xFFFFFFFF
"""Stands for "not a socket of this host" in the rows of the ends."""

DEFAULT_COLUMNS = tuple(column.name for column in COLUMNS if not column.name.endswith("_host"))


class Talks:
    """One reading's conversations: for each the row of its client's socket and of its server's, NONE where remote.

    The reading has every state, for the listeners tell who serves, and the inside of TCP. With `ports` only the
    conversations with one of them at either end, with `family` (IPV4 or IPV6) only those that use its addresses: an
    IPv6 socket may well take an IPv4 conversation.
    """

    def __init__(self, view: View, ports: frozenset[int] | None = None, family: int | None = None) -> None:
        self.view = view
        self.now = time.time()
        self.clients = array("I")
        self.servers = array("I")
        self._pair(ports, family)
        pairs = zip(self.clients, self.servers, strict=True)
        self.near = [(server, False) if client == NONE else (client, True) for client, server in pairs]
        """For each conversation a row of this host's, and whether it is the client's."""

    def __len__(self) -> int:
        return len(self.clients)

    def _pair(self, ports: frozenset[int] | None, family: int | None) -> None:
        store = self.view.store
        waiting = frozenset(
            (space, transport, port)
            for space, transport, port, state in zip(
                store.netns, store.transport, store.local_port, store.state, strict=True
            )
            if state in LISTENING and port
        )
        ends: dict[bytes, list[int]] = {}
        keys: list[tuple[int, bytes, bytes]] = []
        local_ip, remote_ip = bytes(store.local_ip), bytes(store.remote_ip)
        rows = zip(store.state, store.transport, store.local_port, store.remote_port, strict=True)
        for row, (state, transport, local, remote) in enumerate(rows):
            if not tcp.CONVERSING >> state & 1 or not remote:
                continue
            if ports is not None and local not in ports and remote not in ports:
                continue
            if family is not None and family != _family_of(local_ip, row):
                continue
            here = local_ip[row * 16 : row * 16 + 16] + local.to_bytes(2, "big")
            there = remote_ip[row * 16 : row * 16 + 16] + remote.to_bytes(2, "big")
            kind = bytes((transport,))
            ends.setdefault(kind + here + there, []).append(row)
            keys.append((row, kind + here + there, kind + there + here))
        done: set[int] = set()
        for row, key, reverse in keys:
            if row in done:
                continue
            done.add(row)
            # A socket that is connected to itself is both of its ends.
            others = [other for other in ends.get(reverse, ()) if other not in done] if key != reverse else []
            peer = self._peer(row, others) if others else NONE
            done.add(peer)
            if self._serves(row, peer, waiting):
                self.clients.append(peer)
                self.servers.append(row)
            else:
                self.clients.append(row)
                self.servers.append(peer)

    def _peer(self, row: int, others: list[int]) -> int:
        """Return which of the sockets with the reversed pair is the other end.

        One in the same namespace comes first; loopback never leaves its own. Networks that use the same addresses
        are told apart by what one end has sent and the other received.
        """
        store = self.view.store
        same = [other for other in others if store.netns[other] == store.netns[row]]
        if same:
            return same[0]
        if reach(bytes(store.local_ip[row * 16 : row * 16 + 16])) == "loopback":
            return NONE

        def difference(other: int) -> int:
            there = abs(store.bytes_sent[row] - store.bytes_received[other])
            return there + abs(store.bytes_sent[other] - store.bytes_received[row])

        return min(others, key=difference)

    def _serves(self, row: int, peer: int, waiting: frozenset[tuple[int, int, int]]) -> bool:
        store = self.view.store
        if store.state[row] == tcp.SYN_SENT:
            return False
        transport, local, remote = store.transport[row], store.local_port[row], store.remote_port[row]
        here = (store.netns[row], transport, local) in waiting
        there = peer != NONE and (store.netns[peer], transport, remote) in waiting
        return local_serves(local, remote, (here, there), self.view.names(transport))

    def table(self, names: Sequence[str] = DEFAULT_COLUMNS) -> Table:
        """Return the conversations as a table of these columns."""
        declared = {column.name: column for column in COLUMNS}
        vectors = tuple(_MAKERS[name](self) if name in _MAKERS else self._absent() for name in names)
        self.tell_hidden()
        reading = self.view.reading
        return Table(tuple(declared[name] for name in names), vectors, complete=reading.complete, notes=reading.notes)

    def tell_hidden(self) -> None:
        """Note how many owners of the ends that are here are hidden, if they were asked for."""
        self.view.tell_hidden(row for row in (*self.clients, *self.servers) if row != NONE)

    def _absent(self) -> Vector:
        return Coded(array("B", bytes(len(self))), [None])

    def field(self, values: Sequence[int]) -> list[int]:
        """Return the value of one end of this host for each conversation, the client's where both are here."""
        return [values[row] for row, _ in self.near]

    def family(self) -> Vector:
        """Return the family of the addresses of each conversation, whatever its sockets could take besides."""
        packed = self.view.store.local_ip
        return Coded(array("B", [_family_of(packed, row) for row, _ in self.near]), FAMILIES)

    def addresses(self, of_client: bool) -> Addresses:
        """Return the addresses of one side."""
        store = self.view.store
        packed = bytearray()
        for row, is_client in self.near:
            side = store.local_ip if is_client == of_client else store.remote_ip
            packed += side[row * 16 : row * 16 + 16]
        return Addresses(packed)

    def ports(self, of_client: bool) -> Numbers:
        """Return the ports of one side."""
        store = self.view.store
        sides = ((store.local_port if mine == of_client else store.remote_port)[row] for row, mine in self.near)
        return Numbers(array("H", sides), 0)

    def peers(self) -> Iterator[str | None]:
        """Return the remote address of each conversation, the server's where both ends are here."""
        packed = self.view.store.remote_ip
        return (address_text(bytes(packed[row * 16 : row * 16 + 16])) for row, _ in self.near)

    def hosts(self, of_client: bool) -> Vector:
        """Return the names of the hosts of one side, as a name server has them."""
        from portbook.host.names import host_names

        addresses = self.addresses(of_client)
        texts = [addresses[row] for row in range(len(addresses))]
        names = host_names({text for text in texts if text is not None})
        return Coded.of(None if text is None else names.get(text) for text in texts)

    def service(self) -> Vector:
        """Return the names of the services, by the server's port."""
        transports, ports = self.field(self.view.store.transport), self.ports(of_client=False)
        return Coded.of(
            self.view.names(transport).get(port) for transport, port in zip(transports, ports.values, strict=True)
        )

    def service_by(self) -> Vector:
        """Return how the service is known: of a live conversation only the port is seen."""
        return Coded.of(None if name is None else "port" for name in _each(self.service()))

    def payload(self, by_client: bool) -> Vector:
        """Return the bytes that one side's program has sent and the network carried once."""
        store = self.view.store
        return self._told(by_client, store.bytes_sent, store.bytes_received, ABSENT_64)

    def packets(self, by_client: bool) -> Vector:
        """Return the segments that one side has sent, with their repetitions where its own socket tells."""
        store = self.view.store
        return self._told(by_client, store.segments_out, store.segments_in, ABSENT_32)

    def _told(self, by_client: bool, own: Sequence[int], others: Sequence[int], absent: int) -> Numbers:
        """Return what one side has done: as its own socket tells, else (it is remote, or closed) as the other's."""
        sides = (self.clients, self.servers) if by_client else (self.servers, self.clients)

        def told(mine: int, other: int) -> int:
            if mine != NONE and own[mine] != absent:
                return own[mine]
            return absent if other == NONE else others[other]

        return Numbers(array("Q", map(told, *sides)), absent)

    def rate(self, by_client: bool) -> Vector:
        """Return the bytes a second that one side delivers, as its own socket estimates; absent for a remote side."""
        sent = self.view.store.send_rate
        mine = self.clients if by_client else self.servers
        return Numbers(array("Q", [ABSENT_64 if row == NONE else sent[row] for row in mine]), ABSENT_64)

    def retransmissions(self) -> Vector:
        """Return the segments that the ends of this host have sent again."""
        again = self.view.store.retransmissions

        def total(*rows: int) -> int:
            known = [again[row] for row in rows if row != NONE and again[row] != ABSENT_32]
            return sum(known) if known else ABSENT_32

        return Numbers(array("I", map(total, self.clients, self.servers)), ABSENT_32)

    def rtt_ms(self) -> Vector:
        """Return the smoothed round-trip times that an end of this host has measured."""
        rtts = self.view.store.rtt

        def measured(*rows: int) -> int:
            return next((rtts[row] for row in rows if row != NONE and rtts[row] not in (0, ABSENT_32)), 0)

        return Numbers(array("I", map(measured, self.clients, self.servers)), 0, 3)

    def ages(self) -> list[tuple[int, bool]]:
        """Return for each conversation the milliseconds that it has lasted at least, and whether that is exact.

        Linux keeps no time of birth. But until a socket has sent, or received, its first data, "the time since the
        last" counts from the handshake (tcp_finish_connect, tcp_create_openreq_child); the longest of these times
        is at least how old the conversation is. ABSENT_32 where nothing is known.
        """
        store, ages = self.view.store, []
        for client, server in zip(self.clients, self.servers, strict=True):
            age, exact = -1, False
            for row in (client, server):
                # Before the handshake the times count from nothing.
                if row == NONE or store.last_ack[row] == ABSENT_32 or store.state[row] == tcp.SYN_SENT:
                    continue
                if store.bytes_sent[row] == 0:
                    age, exact = max(age, store.last_sent[row]), True
                if store.bytes_received[row] == 0:
                    age, exact = max(age, store.last_received[row]), True
                if not exact:
                    age = max(age, store.last_sent[row], store.last_received[row], store.last_ack[row])
            ages.append((age if age >= 0 else ABSENT_32, exact))
        return ages

    def start(self) -> Vector:
        """Return when each conversation began, where the kernel lets it be told exactly."""
        now = int(self.now * 1000)
        return Numbers(array("q", [now - age if exact else -1 for age, exact in self.ages()]), -1, 3)

    def duration(self) -> Vector:
        """Return how long each conversation has lasted: exactly where `start` is known, else at least."""
        return Numbers(array("I", [age for age, _ in self.ages()]), ABSENT_32, 3)

    def process(self) -> Vector:
        """Return the processes of the ends of this host, `client -> server` where both are here."""
        return self._owned(lambda owners: " -> ".join(_label(owner) for owner in owners) or None, lone=True)

    def pids(self) -> Vector:
        """Return the processes of the ends of this host, the client's first."""
        return self._owned(
            lambda owners: tuple(dict.fromkeys(pid for owner in owners for pid in owner.pids or ())) or None
        )

    def container(self) -> Vector:
        """Return the containers of the ends of this host, `client -> server` where there are two."""
        return self._owned(
            lambda owners: " -> ".join(dict.fromkeys(owner.container for owner in owners if owner.container)) or None
        )

    def _owned(self, tell: Callable[[Sequence[Owner]], object], lone: bool = False) -> Vector:
        codes, owners = self.view.owners()
        told: dict[tuple[int, ...], int] = {}
        values: list[object] = []
        numbers = array("I")
        for client, server in zip(self.clients, self.servers, strict=True):
            key = tuple(codes[row] for row in (client, server) if row != NONE)
            if key not in told:
                told[key] = len(values)
                here = [owners[code] for code in key]
                values.append(here[0].process if lone and len(here) == 1 else tell(here))
            numbers.append(told[key])
        return Coded(numbers, values)

    def community_id(self) -> Vector:
        """Return the Community ID (version 1) of each conversation."""
        store = self.view.store
        ids = []
        for row, _ in self.near:
            at = slice(row * 16, row * 16 + 16)
            here = (bytes(store.local_ip[at]), store.local_port[row])
            there = (bytes(store.remote_ip[at]), store.remote_port[row])
            ids.append(community_id(TRANSPORTS[store.transport[row]], here, there))
        return Coded.of(ids)


def grouped(talks: Talks, by: Sequence[str]) -> Table:
    """Return the conversations in groups, the largest first, by one or more of `service`, `peer` and `process`.

    The peer of a conversation is its remote end; between two ends of this host it is the server.
    """
    from statistics import median

    keys = {"service": _served(talks), "peer": list(talks.peers()), "process": list(_each(talks.process()))}
    members: dict[tuple[object, ...], list[int]] = {}
    for row, key in enumerate(zip(*(keys[name] for name in by), strict=True)):
        members.setdefault(key, []).append(row)
    sums = [talks.payload(by_client=True), talks.payload(by_client=False), talks.retransmissions()]
    rtts = talks.rtt_ms()
    rows = []
    for key, group in sorted(members.items(), key=lambda item: (-len(item[1]), str(item[0]))):
        totals = (_total(vector[row] for row in group) for vector in sums)
        measured = [rtt for row in group if isinstance(rtt := rtts[row], float)]
        rows.append((*key, len(group), *totals, median(measured) if measured else None))
    declared = {column.name: column for column in GROUP_COLUMNS}
    sides = [column.name for column in GROUP_COLUMNS if column.name not in GROUPS]
    table = Table.from_rows(tuple(declared[name] for name in (*by, *sides)), rows)
    talks.tell_hidden()
    table.complete, table.notes = talks.view.reading.complete, talks.view.reading.notes
    return table


def _served(talks: Talks) -> list[object]:
    """Return the service of each conversation, its server's port where that has no name."""
    ports = talks.ports(of_client=False)
    return [str(ports[row]) if name is None else name for row, name in enumerate(_each(talks.service()))]


def _total(values: Iterable[object]) -> int | None:
    known = [value for value in values if isinstance(value, int)]
    return sum(known) if known else None


def _family_of(packed: bytes | bytearray, row: int) -> int:
    return IPV4 if packed.startswith(MAPPED_PREFIX, row * 16) else IPV6


def _label(owner: Owner) -> str:
    return owner.process or "?"


def _each(vector: Vector) -> Iterator[object]:
    return (vector[row] for row in range(len(vector)))


_MAKERS: dict[str, Callable[[Talks], Vector]] = {
    "transport": lambda talks: Coded(array("B", talks.field(talks.view.store.transport)), TRANSPORTS),
    "family": Talks.family,
    "client_ip": lambda talks: talks.addresses(of_client=True),
    "client_port": lambda talks: talks.ports(of_client=True),
    "server_ip": lambda talks: talks.addresses(of_client=False),
    "server_port": lambda talks: talks.ports(of_client=False),
    "client_host": lambda talks: talks.hosts(of_client=True),
    "server_host": lambda talks: talks.hosts(of_client=False),
    "service": Talks.service,
    "service_by": Talks.service_by,
    "start": Talks.start,
    "duration": Talks.duration,
    "state": lambda talks: Coded(array("B", talks.field(talks.view.store.state)), tcp.STATES),
    "client_packets": lambda talks: talks.packets(by_client=True),
    "server_packets": lambda talks: talks.packets(by_client=False),
    "client_payload": lambda talks: talks.payload(by_client=True),
    "server_payload": lambda talks: talks.payload(by_client=False),
    "rtt_ms": Talks.rtt_ms,
    "retransmissions": Talks.retransmissions,
    "community_id": Talks.community_id,
    "process": Talks.process,
    "pids": Talks.pids,
    "container": Talks.container,
    "client_rate": lambda talks: talks.rate(by_client=True),
    "server_rate": lambda talks: talks.rate(by_client=False),
}
"""How each column is made; frame lengths, names and flags are seen only in packets."""
