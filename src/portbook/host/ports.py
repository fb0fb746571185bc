"""What ports are and what this host does with them: the registry's answers, who has each port now, the settings."""

from __future__ import annotations

import re

from portbook import tcp
from portbook.columns import Table
from portbook.endpoint import TRANSPORTS, port_range
from portbook.errors import N_, BadQuestion, PortbookError
from portbook.host.reading import PORTED, Selection, read, spanned
from portbook.host.settings import PortSettings, port_settings
from portbook.host.sockets import LISTENING, View
from portbook.service import COLUMNS, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portbook.registry.lookup import Registry


_NUMBER = re.compile(r":?(\d{1,9})(?:-(\d{1,9}))?(?:/([a-z]+))?", re.ASCII | re.IGNORECASE)

FOUND_BY_WORDS = 40
"""How many services a search by words shows unless it is told otherwise."""


def answers(queries: Sequence[str], registry: Registry, language: str, limit: int) -> list[Service]:
    """Return the services that the queries mean; what is neither number nor name is searched for, as one text.

    A search finds `limit` services at most, in texts of this language. Raises BadQuestion for what is no port.
    """
    services: list[Service] = []
    words: list[str] = []
    for query in queries:
        number = _NUMBER.fullmatch(query.strip())
        if number is not None:
            services += _numbered(number, query, registry)
            continue
        named = registry.named(query)
        services += named
        if not named:
            words.append(query)
    if words:
        from portbook.registry.search import search

        services += search(registry, " ".join(words), language, limit)
    return list(dict.fromkeys(services))


def _numbered(number: re.Match[str], query: str, registry: Registry) -> list[Service]:
    low, high = int(number[1]), int(number[2] or number[1])
    transport = number[3].lower() if number[3] else None
    if not low <= high <= 65535:
        raise BadQuestion(N_("{text} is no port; ports go from 0 to 65535"), text=query)
    if transport not in (None, "tcp", "udp", "udplite", "sctp", "dccp"):
        raise BadQuestion(
            N_("{transport} has no ports; try tcp, udp, sctp or dccp: {port}/tcp"), transport=transport, port=low
        )
    return registry.port(low, transport) if low == high else registry.ports(range(low, high + 1), transport)


def services_here(services: Sequence[Service]) -> Table:
    """Return services as a table, each with what this host does with its port.

    Where the sockets of this host cannot be read `here` is absent and a note says why.
    """
    settings = port_settings()
    ports = frozenset(service.port for service in services)
    notes: list[tuple[str, Mapping[str, object]]] = []
    try:
        held = held_here(ports)
    except PortbookError as error:
        held = {}
        notes.append((error.message, error.values))
    rows = [_row(service, held, settings) for service in services]
    table = Table.from_rows(COLUMNS, rows)
    table.notes = notes
    return table


def _row(service: Service, held: dict[tuple[int, str], str], settings: PortSettings) -> tuple[object, ...]:
    transports = TRANSPORTS if service.transport is None else (service.transport,)
    here = [held[service.port, transport] for transport in transports if (service.port, transport) in held]
    return (
        service.port,
        service.transport,
        service.service,
        service.description,
        port_range(service.port),
        service.assigned,
        service.reference,
        ", ".join(here) or None,
        settings.is_source(service.port),
        service.port < settings.unprivileged_from,
        service.port in settings.reserved,
    )


def held_here(ports: frozenset[int]) -> dict[tuple[int, str], str]:
    """Return for each port and transport that is held here by whom and how: `nginx: LISTEN`, `2 ESTABLISHED`.

    Rights that hide an owner leave out its name. Raises Unavailable where no source answers.
    """
    states = tcp.ALL | 1 << tcp.BOUND_INACTIVE
    view = View(read(Selection(PORTED, states=states, local_ports=spanned(ports))))
    store = view.store
    rows = [row for row, port in enumerate(store.local_port) if port in ports]
    if not rows:
        return {}
    codes, owners = view.owners()
    found: dict[tuple[int, str], dict[str | None, dict[str, int]]] = {}
    for row in rows:
        process = owners[codes[row]].process
        states_of = found.setdefault((store.local_port[row], TRANSPORTS[store.transport[row]]), {})
        counts = states_of.setdefault(process, {})
        state = str(tcp.STATES[store.state[row]])
        counts[state] = counts.get(state, 0) + (0 if store.state[row] in LISTENING else 1)
    return {
        key: "; ".join(_words(process, counts) for process, counts in said.items()) for key, said in found.items()
    }


def _words(process: str | None, counts: dict[str, int]) -> str:
    states = ", ".join(f"{count} {state}" if count else state for state, count in counts.items())
    return f"{process}: {states}" if process else states
