"""portbook: what a port is, who has it, who talks through it, whether it can be reached.

One public function for each verb; each returns a `portbook.columns.Table`, whose rows are named tuples, and imports
what it needs when it is called. Errors derive from `portbook.errors.PortbookError`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portbook.columns import Note, Table
    from portbook.host.reading import Selection

__version__ = "0.1.0"
__all__ = ["sockets", "talks", "test", "what", "who"]


def what(*queries: str, language: str = "en", limit: int = 40) -> Table:
    """Return what ports are: of numbers, ranges, `53/udp`, names, or words that describe a service.

    The columns are `portbook.service.COLUMNS`. `limit` bounds a search by words, `language` is that of the texts
    which are searched. Raises BadQuestion for what is no port.
    """
    from portbook.host.ports import answers, services_here
    from portbook.registry.lookup import open_registry

    return services_here(answers(queries, open_registry(), language, limit))


def who(*ports: int, netns: str | None = None) -> Table:
    """Return the listeners and their owners, or everything that stands on the given ports.

    The columns are `portbook.socket.LISTENER_COLUMNS`, with ports HOLDER_COLUMNS. `netns` is a network namespace: a
    name, a PID, or `all`. Raises Unavailable where no source answers.
    """
    from portbook.host.listeners import holders, listener_table, listeners
    from portbook.host.reading import PORTED, Selection, read
    from portbook.host.sockets import View
    from portbook.registry.lookup import open_registry

    selection = Selection(PORTED, owners=True, netns=netns)
    if ports:
        return holders(frozenset(ports), selection, open_registry())
    view = View(read(selection), open_registry())
    return listener_table(listeners(view), view)


def sockets(selection: Selection | None = None) -> Table:
    """Return the sockets that a `portbook.host.reading.Selection` asks for, by default all of this namespace.

    The columns are those of `portbook.socket.COLUMNS` that the selection fills. Raises Unavailable where no source
    answers.
    """
    from portbook.host import sockets as host
    from portbook.host.reading import Selection
    from portbook.registry.lookup import open_registry

    return host.sockets(selection or Selection(), registry=open_registry())


def talks(ports: Iterable[int] | None = None, netns: str = "seen") -> Table:
    """Return this host's conversations now, told from the client's side, with one of `ports` where they are given.

    The columns are those of `portbook.conversation.COLUMNS` but for the names of hosts. Raises Unavailable where no
    source answers.
    """
    from portbook.host.reading import PORTED, Selection, read
    from portbook.host.sockets import View
    from portbook.host.talks import Talks
    from portbook.registry.lookup import open_registry

    reading = read(Selection(PORTED, owners=True, detailed=True, netns=netns))
    return Talks(View(reading, open_registry()), None if ports is None else frozenset(ports)).table()


def test(
    *targets: str,
    ports: str = "main",
    identify: bool = True,
    permitted: bool = False,
) -> Table:
    """Return whether ports can be reached, and what speaks there.

    A target is a host, host:port, [IPv6]:port, a URL or a block of addresses; `ports` is a list such as
    `22,8000-8100`, `main`, `top100` or `all`. `permitted` confirms that a wide network may be tested. The columns are
    `portbook.porttest.COLUMNS`; the notes are English. Raises BadQuestion for what cannot be tested.
    """
    from portbook.columns import Table
    from portbook.porttest import COLUMNS, in_order
    from portbook.probe.asking import Asking, question
    from portbook.probe.testing import port_tests
    from portbook.registry.lookup import open_registry

    asked, without = question(Asking(targets, ports, identify=identify, permitted=permitted), open_registry())
    rows = [test.row() for test in in_order(port_tests(asked), (one.ip for one in asked.targets))]
    notes: list[Note] = [(error.message, error.values) for error in without]
    table = Table.from_rows(COLUMNS, rows)
    table.complete, table.notes = not without, notes
    return table
