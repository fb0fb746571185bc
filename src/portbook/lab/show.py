"""The course's tables: which client socket speaks to which server socket, drawn from the hosts' own kernels.

It reads /proc/PID/net of each host's first process: the socket tables, and what a gateway translates. This is a
reading of its own, so that the rest of portbook can be held against it. Who runs the hosts is left to others.
"""

from __future__ import annotations

import re
import sys
from array import array
from binascii import unhexlify
from ipaddress import ip_address
from typing import NamedTuple

from portbook import tcp
from portbook.columns import MAPPED_PREFIX, Column, Table, address_text
from portbook.conversation import COLUMNS, local_serves
from portbook.endpoint import Endpoint
from portbook.errors import N_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from portbook.lab.state import LabState

    Pair = tuple[str, str, Endpoint, Endpoint]
    """The host that alone knows the addresses (loopback) or "", transport, client, server."""
    Services = dict[tuple[str, str, str | None, int], tuple[str, str]]
    """The name and the program of the service at a host, a transport, an address (None: all) and a port."""

_DECLARED = {column.name: column for column in COLUMNS}
_TRANSLATED = (
    Column("translated_by", "text", N_("Translated by")),
    Column("client_after", "text", N_("Client after")),
    Column("server_after", "text", N_("Server after")),
)

CONVERSATION_COLUMNS = (
    _DECLARED["transport"],
    _DECLARED["client_host"],
    _DECLARED["client_ip"],
    _DECLARED["client_port"],
    _DECLARED["server_host"],
    _DECLARED["server_ip"],
    _DECLARED["server_port"],
    _DECLARED["service"],
    Column("program", "text", N_("Program"), foreign=True),
    _DECLARED["state"],
    *_TRANSLATED,
)
"""Addresses and ports are as the client has them; where a gateway translates, the last three columns name it and have
the client's and the server's sockets as the server's kernel has them."""

LISTENER_COLUMNS = (
    Column("host", "text", N_("Host")),
    _DECLARED["transport"],
    Column("local_ip", "address", N_("Local address")),
    Column("local_port", "integer", N_("Local port")),
    _DECLARED["service"],
    Column("program", "text", N_("Program"), foreign=True),
)

COUNT_COLUMNS = (
    _DECLARED["transport"],
    _DECLARED["client_host"],
    _DECLARED["server_host"],
    _DECLARED["server_port"],
    _DECLARED["service"],
    _DECLARED["state"],
    Column("conversations", "integer", N_("Conversations")),
)

_CONNTRACK = re.compile(
    r"ipv[46]\s+\d+\s+(tcp|udp)\s.*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
    r".*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
)


class HostSocket(NamedTuple):
    """A TCP or UDP socket of a host; `remote` has port 0 where it has no peer, `state` is one of tcp.STATES."""

    host: str
    transport: str
    local: Endpoint
    remote: Endpoint
    state: str


class Translation(NamedTuple):
    """What a gateway makes of a pair: the client's and the server's sockets before and after it."""

    host: str
    transport: str
    client: Endpoint
    server: Endpoint
    client_after: Endpoint
    server_after: Endpoint


def sockets(host: str, pid: int) -> Iterator[HostSocket]:
    """Yield the TCP and UDP sockets of the network namespace of a process; none when it has ended."""
    for transport in ("tcp", "udp"):
        for name in (transport, f"{transport}6"):
            for line in _lines(f"/proc/{pid}/net/{name}")[1:]:
                words = line.split()
                number = int(words[3], 16)
                state = tcp.STATES[tcp.DATAGRAM_STATES.get(number, number) if transport == "udp" else number]
                yield HostSocket(host, transport, _endpoint(words[1]), _endpoint(words[2]), state or "")


def translations(host: str, pid: int) -> Iterator[Translation]:
    """Yield what the kernel of a host translates now, from its table of tracked connections.

    Nothing where the reader may not read it, or nothing is tracked.
    """
    for line in _lines(f"/proc/{pid}/net/nf_conntrack"):
        found = _CONNTRACK.match(line)
        if found is None:
            continue
        transport, *ends = found.groups()
        source, target, reply_source, reply_target = (
            Endpoint(str(ip_address(ip)), int(port))
            for ip, port in zip((*ends[:2], *ends[4:6]), (*ends[2:4], *ends[6:]), strict=True)
        )
        if (source, target) != (reply_target, reply_source):
            yield Translation(host, transport, source, target, reply_target, reply_source)


def conversations(lab: LabState) -> Table:
    """Return the conversations of a lab, each once, sorted by server and client.

    One with a single end left, because the other has closed, is told by that end.
    """
    names = {address.partition("/")[0]: host.name for host in lab.hosts for _, address in host.addresses}
    services = _services(lab)
    seen = [socket for host in lab.hosts for socket in sockets(host.name, host.pid)]
    waiting = {(one.host, one.transport, one.local.port) for one in seen if not one.remote.port and one.local.port}
    known = {one.port for one in lab.services}
    clients: dict[Pair, HostSocket] = {}
    servers: dict[Pair, HostSocket] = {}
    for one in seen:
        if one.remote.port:
            here = (one.host, one.transport, one.local.port) in waiting
            if local_serves(one.local.port, one.remote.port, (here, False), known):
                servers[_pair(one, one.remote, one.local)] = one
            else:
                clients[_pair(one, one.local, one.remote)] = one
    before: dict[Pair, Translation] = {}
    for host in lab.hosts:
        for change in translations(host.name, host.pid):
            before["", change.transport, change.client, change.server] = change
    rows = []
    for pair, one in clients.items():
        change_here = before.get(pair)
        far = pair
        if change_here is not None:
            far = ("", pair[1], change_here.client_after, change_here.server_after)
        server = servers.pop(far, None)
        rows.append(_row(pair, one.state, (one.host, _host(server, far[3], names)), services, change_here))
    after = {("", c.transport, c.client_after, c.server_after): c for c in before.values()}
    for pair, one in servers.items():
        change_here = after.get(pair)
        near = pair if change_here is None else ("", pair[1], change_here.client, change_here.server)
        rows.append(_row(near, one.state, (_host(None, near[2], names), one.host), services, change_here))
    rows.sort(key=lambda row: tuple(str(value or "").rjust(40) for value in (row[4], row[6], row[1], row[2], row[3])))
    return Table.from_rows(CONVERSATION_COLUMNS, rows)


def listeners(lab: LabState) -> Table:
    """Return what listens on each host, and which services these are."""
    services = _services(lab)
    rows: dict[tuple[object, ...], None] = {}
    for host in lab.hosts:
        for one in sockets(host.name, host.pid):
            if one.state in ("LISTEN", "UNCONNECTED"):
                service, program = _service(services, host.name, one.transport, one.local)
                rows[host.name, one.transport, one.local.ip, one.local.port, service, program] = None
    return Table.from_rows(LISTENER_COLUMNS, list(rows))


def counts(table: Table) -> Table:
    """Return how many conversations there are of each kind, for tables too long to be read."""
    from collections import Counter

    names = [column.name for column in COUNT_COLUMNS[:-1]]
    totals = Counter(tuple(getattr(row, name) for name in names) for row in table)
    return Table.from_rows(COUNT_COLUMNS, [(*key, count) for key, count in totals.items()])


def _row(
    pair: Pair,
    state: str,
    hosts: tuple[str | None, str | None],
    services: Services,
    change: Translation | None,
) -> tuple[object, ...]:
    _, transport, client, server = pair
    service = _service(services, hosts[1], transport, server if change is None else change.server_after)
    translated = (None, None, None)
    if change is not None:
        translated = (change.host, str(change.client_after), str(change.server_after))  # type: ignore[assignment]
    return (transport, hosts[0], *client, hosts[1], *server, *service, state, *translated)


def _services(lab: LabState) -> Services:
    """Return the services that are up by where they stand; of those that share a place all names."""
    found: Services = {}
    for one in lab.services:
        for transport in one.transports if one.up else ():
            place = (one.host, transport, one.address, one.port)
            before = found.get(place)
            name = one.name if before is None else f"{before[0]}, {one.name}"
            found[place] = (name, f"{one.program} {one.version}".strip())
    return found


def _service(services: Services, host: str | None, transport: str, end: Endpoint) -> tuple[str | None, str | None]:
    """Return the name and the program of the service at an address, or at all addresses, of a host."""
    everywhere = services.get((host or "", transport, None, end.port), (None, None))
    return services.get((host or "", transport, end.ip, end.port), everywhere)


def _host(found: HostSocket | None, end: Endpoint, names: Mapping[str, str]) -> str | None:
    return names.get(end.ip) if found is None else found.host


def _pair(one: HostSocket, client: Endpoint, server: Endpoint) -> Pair:
    alone = one.host if ip_address(one.local.ip).is_loopback else ""
    return alone, one.transport, client, server


def _endpoint(text: str) -> Endpoint:
    """Return the endpoint in `0100007F:0016` (proc(5)): 32-bit words as this machine stores them, then the port."""
    address, _, port = text.partition(":")
    words = array("I", unhexlify(address))
    if sys.byteorder == "little":
        words.byteswap()
    packed = words.tobytes()
    return Endpoint(address_text(packed if len(packed) == 16 else MAPPED_PREFIX + packed) or "", int(port, 16))


def _lines(path: str) -> Sequence[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return ()
