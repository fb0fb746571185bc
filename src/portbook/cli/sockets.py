"""`portbook sockets`: every socket, with the flags that users of ss and netstat type from memory."""

from __future__ import annotations

from portbook import tcp
from portbook.cli.arguments import Output, Parser, asked_families, ports_of, registry_for, show
from portbook.cli.context import ExitCode
from portbook.cli.verbs import VERBS
from portbook.endpoint import RAW, SCTP, TCP, UDP, UDPLITE, UNIX
from portbook.errors import N_, BadQuestion
from portbook.host.reading import EVERY_TRANSPORT, INET_FAMILIES, Selection
from portbook.socket import COLUMNS, OWNER_COLUMNS, TCP_COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from portbook.cli.context import Context

_TRANSPORT_FLAGS = {"tcp": TCP, "udp": UDP, "udplite": UDPLITE, "sctp": SCTP, "raw": RAW, "unix": UNIX}

_SPARE = (
    "congestion",
    "owner_by",
    "receive_rate",
    "send_rate",
    "peer_inode",
    "unit",
    "inode",
    "container",
    "user",
    "scope",
    "pids",
    "service",
    "send_queue",
    "recv_queue",
    "remote_host",
)
"""What a narrow terminal does without, the least wanted first."""


def parser(context: Context) -> Parser:
    """Return the parser of this verb."""
    _ = context.gettext
    made = Parser("sockets", VERBS["sockets"], context)
    add = made.add_argument
    add("ports", nargs="*", metavar=_("PORT"), help=_("only sockets with this port: 8080, :8080, 8000-8100, https"))
    made.narrow()
    add("-w", "--raw", action="store_true", help=_("raw sockets"))
    add("-x", "--unix", action="store_true", help=_("UNIX sockets"))
    add("-S", "--sctp", action="store_true", help=_("SCTP"))
    add("-l", "--listening", action="store_true", help=_("only those that listen"))
    add("-a", "--all", action="store_true", help=_("those that listen and all others"))
    add("-p", "--processes", action="store_true", help=_("the owners: processes, units, containers"))
    add("-e", "--extended", action="store_true", help=_("the inside of TCP: times, rates, retransmissions"))
    add("-i", "--info", dest="extended", action="store_true", help=_("the same as -e"))
    add("-s", "--summary", action="store_true", help=_("how many there are, by transport and state"))
    add(
        "--state",
        action="append",
        metavar=_("STATE"),
        help=_("only in this state, as RFC 9293, ss or netstat call it"),
    )
    add("--netns", metavar="all|NAME|PID", help=_("the sockets of other network namespaces"))
    made.share()
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    selection = _selection(found)
    output = Output.of(found, COLUMNS)
    if found.summary:
        return _summary(selection, output, context)
    return _list(selection, output, context)


def _list(selection: Selection, output: Output, context: Context) -> ExitCode:
    from portbook.host.sockets import names_of, sockets

    shown = output.shown(_table_columns(selection, output), names_of(selection))
    needed = output.needed(shown, COLUMNS)
    selection = selection._replace(
        owners=selection.owners or any(name in OWNER_COLUMNS for name in needed),
        detailed=selection.detailed or any(name in TCP_COLUMNS for name in needed),
    )
    registry = registry_for(output) if "service" in needed else None
    table = output.arrange(sockets(selection, needed, registry), shown)
    return show(table, output, context, _SPARE)


def _summary(selection: Selection, output: Output, context: Context) -> ExitCode:
    from portbook.host.sockets import summary

    table = summary(selection._replace(states=tcp.ALL))
    names = [column.name for column in table.columns]
    shown = output.shown(names, names)
    return show(output.arrange(table, shown), output, context)


def _selection(found: argparse.Namespace) -> Selection:
    ports = ports_of(found.ports)
    families = asked_families(found)
    transports = tuple(place for name, place in _TRANSPORT_FLAGS.items() if getattr(found, name, False))
    if found.udp:
        transports += (UDPLITE,)
    if not transports:
        transports = tuple(place for place in EVERY_TRANSPORT if place != UNIX or not (families or ports))
    return Selection(
        transports,
        families or INET_FAMILIES,
        _states(found, wide=ports is not None),
        ports,
        owners=found.processes,
        detailed=found.extended,
        netns=found.netns,
    )


def _states(found: argparse.Namespace, wide: bool) -> int:
    """Return the mask of the states: those named, else as ss has it; a port asked for means all that is on it."""
    if found.state:
        mask = 0
        for name in (name for names in found.state for name in names.split(",")):
            named = tcp.state_mask(name)
            if named is None:
                raise BadQuestion(
                    N_("there is no state {name}; there are: {states}"),
                    name=name,
                    states=", ".join(dict.fromkeys(state for state in tcp.STATES if state)),
                )
            mask |= named
        return mask
    if found.listening:
        return tcp.LISTENING
    return tcp.ALL if found.all or wide else tcp.CONVERSING


def _table_columns(selection: Selection, output: Output) -> list[str]:
    """Return the columns that suit a table: what ss shows, and what the flags ask for."""
    shown = ["transport", "state", "recv_queue", "send_queue"]
    if selection.transports != (UNIX,):
        shown += ["local_ip", "local_port", "remote_ip", "remote_port"]
        shown += ["remote_host"] * output.resolve + ["service"] * (not output.numeric)
        shown += ["scope"] * (selection.states == tcp.LISTENING)
    if UNIX in selection.transports:
        shown += ["path", "inode", "peer_inode"]
    if selection.detailed:
        shown += ["user", *TCP_COLUMNS]
    if selection.owners:
        shown += ["process", "pids", "user", "unit", "container", "owner_by"]
    if selection.netns is not None:
        shown.append("netns")
    return list(dict.fromkeys(shown))
