"""`portbook talks`: who talks through the ports of this host, each conversation once, now or followed."""

from __future__ import annotations

from portbook.cli.arguments import Output, Parser, ports_of, registry_for, show, transports_and_families
from portbook.cli.context import ExitCode
from portbook.cli.verbs import VERBS
from portbook.conversation import COLUMNS, GROUP_COLUMNS, GROUPS
from portbook.errors import N_, BadQuestion
from portbook.socket import IPV4, IPV6

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from portbook.cli.context import Context
    from portbook.columns import Column, Table

_SPARE = (
    "retransmissions",
    "server_packets",
    "client_packets",
    "state",
    "rtt_ms",
    "duration",
    "transport",
    "container",
)


def parser(context: Context) -> Parser:
    """Return the parser of this verb."""
    _ = context.gettext
    made = Parser("talks", VERBS["talks"], context)
    add = made.add_argument
    add("ports", nargs="*", metavar=_("PORT"), help=_("only conversations with this port: 443, 8000-8100, https"))
    made.narrow()
    add("-e", "--extended", action="store_true", help=_("packets and rates as well"))
    add(
        "--by",
        type=_groups,
        metavar="|".join(GROUPS),
        help=_("in groups, the largest first; also by several: service,peer"),
    )
    add(
        "--watch",
        nargs="?",
        type=_seconds,
        const=2.0,
        metavar=_("SECONDS"),
        help=_("repeat every SECONDS (2 without a number)"),
    )
    add(
        "--netns",
        metavar="all|NAME|PID",
        default="seen",
        help=_("in which network namespaces (all that may be read)"),
    )
    made.share()
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    declared: tuple[Column, ...] = COLUMNS
    if found.by:
        declared = tuple(column for column in GROUP_COLUMNS if column.name not in set(GROUPS) - set(found.by))
    output = Output.of(found, declared)
    if found.watch is None:
        return show(_answer(found, output), output, context, _SPARE)
    from portbook.cli.watching import watch

    return watch(lambda: _answer(found, output), output, context, found.watch)


def _answer(found: argparse.Namespace, output: Output) -> Table:
    from portbook.host.reading import INET_FAMILIES, Selection, read
    from portbook.host.sockets import View
    from portbook.host.talks import DEFAULT_COLUMNS, Talks, grouped

    transports, families = transports_and_families(found)
    selection = Selection(transports, owners=True, detailed=True, netns=found.netns)
    family = None if len(families) > 1 else (IPV4 if families == INET_FAMILIES[:1] else IPV6)
    live = Talks(View(read(selection), registry_for(output)), ports_of(found.ports), family)
    if found.by:
        table = grouped(live, found.by)
        names = [column.name for column in table.columns]
        return output.arrange(table, output.shown(names, names))
    resolved = ("client_host", "server_host") if output.resolve else ()
    shown = output.shown(_table_columns(found, output), (*DEFAULT_COLUMNS, *resolved))
    return output.arrange(live.table(output.needed(shown, COLUMNS)), shown)


def _table_columns(found: argparse.Namespace, output: Output) -> list[str]:
    shown = ["transport", "client_ip", "client_port", "server_ip", "server_port"]
    shown += ["client_host", "server_host"] * output.resolve + ["service"] * (not output.numeric)
    shown += ["process", "container", "state", "duration", "client_payload", "server_payload"]
    shown += ["client_packets", "server_packets", "client_rate", "server_rate"] * found.extended
    return [*shown, "rtt_ms", "retransmissions"]


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if not set(names) <= set(GROUPS):
        raise BadQuestion(
            N_("--by takes {groups}, or several with commas, not {text}"), groups=", ".join(GROUPS), text=text
        )
    return names


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86400:
        raise BadQuestion(N_("--watch takes seconds from 0.1 to 86400, not {text}"), text=text)
    return seconds
