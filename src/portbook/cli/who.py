"""`portbook who`: the listeners and their owners; for a port, everything that stands on it."""

from __future__ import annotations

from portbook.cli.arguments import Output, Parser, ports_of, registry_for, show, transports_and_families
from portbook.cli.context import ExitCode
from portbook.cli.verbs import VERBS
from portbook.socket import HOLDER_COLUMNS, LISTENER_COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.cli.context import Context

_DETAILS = ("command", "netns")
"""Columns that a terminal shows only on request: the one is long, the other the same in every line."""

_SPARE = (
    "owner_by",
    "send_queue",
    "recv_queue",
    "started",
    "state",
    "unit",
    "user",
    "addresses",
    "pids",
    "container",
)


def parser(context: Context) -> Parser:
    """Return the parser of this verb."""
    _ = context.gettext
    made = Parser("who", VERBS["who"], context)
    add = made.add_argument
    add("ports", nargs="*", metavar=_("PORT"), help=_("all that stands on this port: 8080, 8000-8100, https"))
    made.narrow()
    add("--netns", metavar="all|NAME|PID", help=_("the sockets of other network namespaces"))
    made.share()
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    ports = ports_of(found.ports)
    declared = LISTENER_COLUMNS if ports is None else HOLDER_COLUMNS
    output = Output.of(found, declared)
    from portbook.host.listeners import holders, listener_table, listeners
    from portbook.host.reading import Selection, read
    from portbook.host.sockets import View

    registry = registry_for(output)
    transports, families = transports_and_families(found)
    selection = Selection(transports, families, owners=True, netns=found.netns)
    if ports is None:
        view = View(read(selection), registry)
        table = listener_table(listeners(view), view)
    else:
        table = holders(ports, selection, registry)
    names = [column.name for column in declared]
    hidden = set(_DETAILS) - ({"netns"} if found.netns is not None else set()) if context.on_terminal else set()
    brief = [name for name in names if name not in hidden]
    return show(output.arrange(table, output.shown(brief, names)), output, context, _SPARE)
