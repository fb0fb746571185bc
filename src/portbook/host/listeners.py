"""Who has the ports: listeners as a person thinks of them, and everything that stands on one port.

Sockets of one owner on one port are one line, whatever the family or the worker. The sockets themselves come from
sockets.py.
"""

from __future__ import annotations

from collections import Counter
from math import inf

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX, Table, address_text
from portbook.endpoint import RAW, TRANSPORTS
from portbook.errors import N_
from portbook.host.reading import Selection, read, spanned
from portbook.host.settings import port_settings
from portbook.host.sockets import LISTENING, View, user_name
from portbook.socket import ABSENT_32, HOLDER_COLUMNS, LISTENER_COLUMNS, WIDEST_FIRST, Listener, Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portbook.registry.lookup import Registry

ANY_IPV4, ANY_IPV6 = MAPPED_PREFIX + bytes(4), bytes(16)
_NO_NAMES = (None, "all", "seen")


def listeners(view: View) -> list[Listener]:
    """Return the listeners in a reading of every state, by port."""
    store = view.store
    waiting = [
        row
        for row, (state, transport) in enumerate(zip(store.state, store.transport, strict=True))
        if state in LISTENING and transport != RAW and store.local_port[row]
    ]
    talking = _conversations(view, waiting)
    found = [_listener(view, rows, sum(talking[row] for row in rows)) for rows in _by_owner(view, waiting)]
    view.tell_hidden(waiting)
    found.sort(key=lambda listener: (listener.port, listener.transport, listener.netns or ""))
    return found


def _conversations(view: View, waiting: Iterable[int]) -> Counter[int]:
    """Return how many conversations came in by each listener: the first of those that the address leads to.

    One of the very address goes before one of any address, as the kernel has it; sockets that share an address
    count for the first of them.
    """
    store = view.store
    local = bytes(store.local_ip)
    doors: dict[tuple[int, int, int, bytes], int] = {}
    # IPv4 first: an IPv6 socket that takes IPv4 as well has what is left.
    for row in sorted(waiting, key=store.family.__getitem__):
        address = local[row * 16 : row * 16 + 16]
        for one in (address, ANY_IPV4) if address == ANY_IPV6 and not store.v6only[row] else (address,):
            doors.setdefault((store.netns[row], store.transport[row], store.local_port[row], one), row)
    found: Counter[int] = Counter()
    for row, state in enumerate(store.state):
        if not tcp.CONVERSING >> state & 1:
            continue
        address = local[row * 16 : row * 16 + 16]
        everywhere = ANY_IPV4 if address.startswith(MAPPED_PREFIX) else ANY_IPV6
        place = (store.netns[row], store.transport[row], store.local_port[row])
        door = doors.get((*place, address), doors.get((*place, everywhere)))
        if door is not None:
            found[door] += 1
    return found


_VALUES: dict[str, Callable[[Listener], object]] = {
    "transport": lambda one: one.transport,
    "local_port": lambda one: one.port,
    "service": lambda one: one.service,
    "scope": lambda one: one.scope,
    "addresses": lambda one: one.addresses,
    "process": lambda one: one.owner.process,
    "pids": lambda one: one.owner.pids,
    "user": lambda one: one.user,
    "unit": lambda one: one.owner.unit,
    "container": lambda one: one.owner.container,
    "started": lambda one: one.owner.started,
    "conversations": lambda one: one.conversations,
    "recv_queue": lambda one: one.queue,
    "send_queue": lambda one: one.queue_limit,
    "owner_by": lambda one: one.owner.owner_by,
    "command": lambda one: one.owner.command,
    "netns": lambda one: one.netns,
}
"""What each of LISTENER_COLUMNS says of a listener, in their order."""


def listener_table(found: list[Listener], view: View) -> Table:
    """Return the listeners as a table."""
    rows = [[value(one) for value in _VALUES.values()] for one in found]
    table = Table.from_rows(LISTENER_COLUMNS, rows)
    table.complete, table.notes = view.reading.complete, view.reading.notes
    return table


def _by_owner(view: View, rows: Iterable[int]) -> list[list[int]]:
    """Return the rows in groups: those of one port whose owner a person would call the same."""
    store = view.store
    codes, owners = view.owners()
    groups: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        owner = owners[codes[row]]
        who = (owner.container, owner.unit, owner.process, store.uid[row], owner.owner_by)
        key = (store.netns[row], store.transport[row], store.local_port[row], who)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _listener(view: View, rows: list[int], conversations: int) -> Listener:
    store = view.store
    first = rows[0]
    scopes = {view.scope_of(row) for row in rows}
    queue, queue_limit = _fullest(view, rows)
    return Listener(
        TRANSPORTS[store.transport[first]],
        store.local_port[first],
        view.names(store.transport[first]).get(store.local_port[first]),
        next((one for one in WIDEST_FIRST if one in scopes), None),
        _addresses(view, rows),
        joined_owner(view, rows),
        None if store.uid[first] == ABSENT_32 else user_name(store.uid[first]),
        conversations,
        queue,
        queue_limit,
        view.netns_name(store.netns[first]),
    )


def _fullest(view: View, rows: Iterable[int]) -> tuple[int | None, int | None]:
    """Return the queue and the limit of the socket whose queue is nearest to its limit: that one refuses first."""
    store = view.store
    queues = []
    for row in rows:
        queue, limit = store.recv_queue[row], store.send_queue[row]
        limited = store.state[row] == tcp.LISTEN and limit != ABSENT_32
        if queue != ABSENT_32:
            queues.append((queue / (limit + 1) if limited else 0.0, queue, limit if limited else None))
    if not queues:
        return None, None
    _, queue, queue_limit = max(queues, key=lambda one: one[:2])
    return queue, queue_limit


def joined_owner(view: View, rows: Iterable[int]) -> Owner:
    """Return the owner of sockets that belong to one service: the processes of all of them together."""
    codes, owners = view.owners()
    together = {owners[codes[row]] for row in rows}
    eldest = min(together, key=lambda owner: (owner.started or inf, owner.pids or ()))
    pids = sorted({pid for owner in together for pid in owner.pids or ()})
    return eldest._replace(pids=tuple(pids) or None)


def _addresses(view: View, rows: Iterable[int]) -> tuple[str, ...]:
    packed = view.store.local_ip
    distinct = sorted({bytes(packed[row * 16 : row * 16 + 16]) for row in rows} - {ABSENT_ADDRESS})
    return tuple(text for text in map(address_text, distinct) if text is not None)


def holders(ports: frozenset[int], selection: Selection, registry: Registry | None = None) -> Table:
    """Return everything that stands on these ports: a line for each owner and kind of hold.

    The selection says in which transports, families and namespaces. Where a port is free the notes say what else
    may take it. Raises Unavailable where no source answers.
    """
    states = tcp.ALL | 1 << tcp.BOUND_INACTIVE
    view = View(read(selection._replace(states=states, local_ports=spanned(ports), owners=True)), registry)
    store = view.store
    here = [row for row in range(len(store)) if store.local_port[row] in ports]
    kinds: dict[tuple[int, str], list[int]] = {}
    for row in here:
        kinds.setdefault((store.local_port[row], _hold(store.state[row])), []).append(row)
    rows = []
    for (_, hold), held in sorted(kinds.items(), key=lambda item: (item[0][0], _HOLDS.index(item[0][1]))):
        rows += [_holder(view, hold, group) for group in _by_owner_and_state(view, held)]
    view.tell_hidden(here)
    table = Table.from_rows(HOLDER_COLUMNS, rows)
    table.complete, table.notes = view.reading.complete, view.reading.notes
    for port in sorted(ports - {store.local_port[row] for row in here})[:_MOST_NOTES]:
        table.notes.extend(_why_free(port, selection))
    return table


_HOLDS = ("listening", "bound", "conversation", "time-wait")
_MOST_NOTES = 5


def _hold(state: int) -> str:
    if state in LISTENING:
        return "listening"
    if state in (tcp.BOUND_INACTIVE, tcp.CLOSED):
        return "bound"
    return "time-wait" if state == tcp.TIME_WAIT else "conversation"


def _by_owner_and_state(view: View, rows: Iterable[int]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for row in rows:
        groups.setdefault(view.store.state[row], []).append(row)
    return [owned for group in groups.values() for owned in _by_owner(view, group)]


def _holder(view: View, hold: str, rows: list[int]) -> tuple[object, ...]:
    store = view.store
    one = _listener(view, rows, 0)
    left = max((store.expires[row] for row in rows), default=0) / 1000 if hold == "time-wait" else None
    added = {
        "holds": hold,
        "count": len(rows),
        "scope": one.scope if hold == "listening" else None,
        "state": tcp.STATES[store.state[rows[0]]],
        "expires": left,
    }
    names = (column.name for column in HOLDER_COLUMNS)
    return tuple(added[name] if name in added else _VALUES[name](one) for name in names)


def _why_free(port: int, selection: Selection) -> list[tuple[str, dict[str, object]]]:
    """Return what may yet take a port that nothing holds where the selection looks."""
    notes: list[tuple[str, dict[str, object]]] = [(N_("nothing here holds port {port}"), {"port": port})]
    if selection.netns not in _NO_NAMES:
        return notes  # the settings of that namespace are not this one's
    if selection.netns is None:
        notes += [
            (
                N_("port {port} is held in the network namespace {name}: portbook who {port} --netns all"),
                {"port": port, "name": name},
            )
            for name in _elsewhere(port, selection)
        ]
    settings = port_settings()
    if port in settings.reserved:
        notes.append(
            (
                N_("port {port} is reserved here (ip_local_reserved_ports): no source port, but free to listen"),
                {"port": port},
            )
        )
    elif port in settings.source:
        values: dict[str, object] = {"port": port, "low": settings.source.start, "high": settings.source.stop - 1}
        notes.append(
            (N_("port {port} is in this host's source-port range {low}-{high}: any connection may take it"), values)
        )
    if port < settings.unprivileged_from:
        notes.append(
            (
                N_("port {port} is privileged here: only root, or CAP_NET_BIND_SERVICE, may listen on it"),
                {"port": port},
            )
        )
    return notes


def _elsewhere(port: int, selection: Selection) -> list[str]:
    """Return the names of the other namespaces in which the port is held, of those that may be read."""
    states = tcp.ALL | 1 << tcp.BOUND_INACTIVE
    view = View(read(selection._replace(states=states, local_ports=range(port, port + 1), netns="seen")))
    spaces = view.reading.namespaces
    held = {view.store.netns[row] for row, local in enumerate(view.store.local_port) if local == port}
    return sorted(
        view.netns_name(number) for number in held if (space := spaces[number]) is not None and not space.current
    )
