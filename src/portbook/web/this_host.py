"""The host of this server: one reading of it for all who ask at the same time, and what of it is wanted.

The sockets, who owns and who uses them are the command line's operations; how they look is host_pages.py's and
api_host.py's.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from heapq import nlargest
from operator import add
from typing import NamedTuple

from portbook import tcp
from portbook.columns import Coded
from portbook.endpoint import TRANSPORTS, UNIX
from portbook.errors import N_, BadQuestion
from portbook.host.listeners import listener_table, listeners
from portbook.host.reading import PORTED, Selection, read
from portbook.host.sockets import View, sockets
from portbook.host.talks import Talks
from portbook.probe.targets import ports_in
from portbook.web.host_picture import Flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from typing import Any, TypeVar

    from portbook.columns import Table, Vector
    from portbook.registry.lookup import Registry
    from portbook.web.site import Site

    Answer = TypeVar("Answer")

FRESH = 0.9
"""Seconds for which an answer serves all who ask."""

SHOWN_TRANSPORTS = TRANSPORTS[: UNIX + 1]
SEEN_STATES = tuple(
    sorted({state for number, state in enumerate(tcp.STATES) if tcp.CONVERSING >> number & 1 and state is not None})
)
"""The states of a conversation."""
WAITING_STATES = ("LISTEN", "UNCONNECTED")
"""The states of a listener: that of a connection's, and of datagrams'."""

_STATES = tuple(dict.fromkeys(state for state in tcp.STATES if state is not None))
_NO_STATE = N_("there is no state {name}; there are: {states}")
_NO_TRANSPORT = N_("there is no transport {name}; there are: {transports}")


class Shared:
    """Answers that take long: each is found in a thread, once for all who ask for it while it is fresh."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, find: Callable[[], Answer]) -> Answer:
        """Return what `find` returned, or raise what it raised, for whoever asked first by this key."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(asyncio.to_thread(find))
            task.add_done_callback(lambda _: asyncio.get_running_loop().call_later(FRESH, self._tasks.pop, key, None))
        # Whoever leaves does not take the answer away from the others.
        answer: Answer = await asyncio.shield(task)
        return answer


class Now(NamedTuple):
    """What is seen of the host at one time.

    For each row of `talks` its process, service and peer are in `groups`, the bytes of both its ends in `volumes`.
    """

    listeners: Table
    talks: Table
    groups: Coded
    volumes: array[int]

    @classmethod
    def of(cls, listeners: Table, talks: Table, peers: Iterable[str | None]) -> Now:
        """Return what these tables tell; `peers` are the far ends of the conversations."""
        return cls(listeners, talks, _groups(talks, peers), _volumes(talks))


class Wanted(NamedTuple):
    """What of a table is asked for; None, or no text, stands for all.

    `process` is part of a process' name in any case, or the number of one.
    """

    ports: frozenset[int] | None = None
    states: frozenset[str] | None = None
    transports: frozenset[str] | None = None
    process: str = ""


def seen_now(registry: Registry) -> Now:
    """Return the listeners and the conversations of all namespaces that may be read.

    Raises Unavailable where no source answers.
    """
    view = View(read(Selection(PORTED, owners=True, detailed=True, netns="seen")), registry)
    waiting = listener_table(listeners(view), view)
    live = Talks(view)
    return Now.of(waiting, live.table(), live.peers())


def every_socket(registry: Registry) -> Table:
    """Return all sockets of this server's network namespace. Raises Unavailable where no source answers."""
    return sockets(Selection(owners=True, detailed=True), registry=registry)


def wanted(site: Site, port: str = "", state: str = "", transport: str = "", process: str = "") -> Wanted:
    """Return what these texts ask for; several ports, states or transports stand with commas between.

    Raises BadQuestion for what is none.
    """
    states: set[str] = set()
    for name in _items(state):
        mask = tcp.state_mask(name)
        if mask is None:
            raise BadQuestion(_NO_STATE, name=name, states=", ".join(_STATES))
        states.update(text for number, text in enumerate(tcp.STATES) if mask >> number & 1 and text is not None)
    transports = [name.casefold() for name in _items(transport)]
    for name in transports:
        if name not in SHOWN_TRANSPORTS:
            raise BadQuestion(_NO_TRANSPORT, name=name, transports=", ".join(SHOWN_TRANSPORTS))
    return Wanted(
        frozenset(ports_in(port, dict(site.port_sets["tcp"]))) if port.strip() else None,
        frozenset(states) or None,
        frozenset(transports) or None,
        process.strip().casefold(),
    )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def narrowed(table: Table, asked: Wanted) -> Table:
    """Return the table with the rows that are asked for; a port is one of either end."""
    if asked == Wanted():
        return table
    named = {column.name: vector for column, vector in zip(table.columns, table.vectors, strict=True)}
    rows: Sequence[int] = table.shown()
    transports, ports, states, process = asked.transports, asked.ports, asked.states, asked.process
    if ports is not None:
        # What Linux has in the place of a raw socket's port is its protocol.
        rows = _fitting(named["transport"], lambda transport: transport not in ("raw", "unix"), rows)
        ends = [vector for name, vector in named.items() if name.endswith("_port")]
        rows = [row for row in rows if any(end[row] in ports for end in ends)]
    if transports is not None:
        rows = _fitting(named["transport"], transports.__contains__, rows)
    if states is not None and "state" in named:
        rows = _fitting(named["state"], states.__contains__, rows)
    elif states is not None:
        rows = _fitting(named["transport"], lambda name: WAITING_STATES[name not in ("tcp", "sctp")] in states, rows)
    if process:
        by_name = _fitting(named["process"], lambda name: name is not None and process in str(name).casefold(), rows)
        by_pid = _fitting(named["pids"], lambda pids: isinstance(pids, tuple) and process in map(str, pids), rows)
        either = {*by_name, *by_pid}
        rows = [row for row in rows if row in either]
    return table.ordered(rows)


def _fitting(vector: Vector, fits: Callable[[object], bool], rows: Iterable[int]) -> list[int]:
    """Return the rows whose value fits; each different value is looked at once where the vector has few."""
    if isinstance(vector, Coded):
        codes = vector.codes
        fitting = {code for code, value in enumerate(vector.values) if fits(value)}
        return [row for row in rows if codes[row] in fitting]
    return [row for row in rows if fits(vector[row])]


def counts(table: Table, name: str) -> list[tuple[str, int]]:
    """Return how many of the shown rows there are of each value of a column, the most first."""
    vector = table.vector(name)
    if isinstance(vector, Coded):
        codes = vector.codes
        times = Counter(codes if table.order is None else [codes[row] for row in table.order])
        return [(str(vector.values[code]), count) for code, count in times.most_common()]
    return [(str(value), count) for value, count in Counter(vector[row] for row in table.shown()).most_common()]


def largest(talks: Table, now: Now, most: int) -> Table:
    """Return those of the conversations whose ends have sent the most, the largest first."""
    return talks.ordered(nlargest(most, talks.shown(), key=now.volumes.__getitem__))


def flows(talks: Table, now: Now) -> list[Flow]:
    """Return the conversations in groups, by what of this host talks and with whom, as `talks --by` has them."""
    count: Counter[int] = Counter()
    volume: Counter[int] = Counter()
    groups, volumes = now.groups, now.volumes
    for row in talks.shown():
        code = groups.codes[row]
        count[code] += 1
        volume[code] += volumes[row]
    found = []
    for code, conversations in count.items():
        group = groups.values[code]
        assert isinstance(group, tuple)
        process, service, peer = group
        found.append(Flow(process, service, peer, conversations, volume[code]))
    return found


def _groups(talks: Table, peers: Iterable[str | None]) -> Coded:
    """Return for each conversation its process, its service (the server's port where that has no name), its peer."""
    processes, services, ports = (talks.vector(name) for name in ("process", "service", "server_port"))
    return Coded.of(
        (
            None if (process := processes[row]) is None else str(process),
            str(ports[row] if (service := services[row]) is None else service),
            peer or "",
        )
        for row, peer in enumerate(peers)
    )


def _volumes(talks: Table) -> array[int]:
    """Return the bytes that both ends of each conversation have sent, as far as they are known."""
    sides = [
        [value if isinstance(value, int) else 0 for value in (vector[row] for row in range(len(vector)))]
        for vector in (talks.vector("client_payload"), talks.vector("server_payload"))
    ]
    return array("Q", map(add, *sides))
