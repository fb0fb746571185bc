"""The parser of one verb, the options that all verbs share, and how an answer is shown as they ask.

What an option means for the answer is left to the verb's module.
"""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from portbook.cli.context import ExitCode
from portbook.endpoint import TCP, UDP, UDPLITE
from portbook.errors import N_, BadQuestion
from portbook.output import formats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from portbook.cli.context import Context
    from portbook.columns import Column, Table
    from portbook.registry.lookup import Registry

COLORS = ("auto", "always", "never")


class Parser(argparse.ArgumentParser):
    """A parser whose help speaks the reader's language and whose errors are one line."""

    def __init__(self, verb: str | None, description: str, context: Context, *, raw: bool = False) -> None:
        """Begin the parser of a verb, None for the command alone; `raw` keeps the line breaks of its epilogue."""
        self.context = context
        self._formatter = argparse.RawDescriptionHelpFormatter if raw else argparse.HelpFormatter
        self._width = 100
        # argparse asks gettext's global catalogue; ours is the reader's, chosen for this process.
        argparse._ = context.gettext  # type: ignore[attr-defined]
        argparse.ngettext = context.ngettext  # type: ignore[attr-defined]
        super().__init__(
            prog=f"portbook {verb}" if verb else "portbook",
            description=context.gettext(description),
            add_help=False,
            allow_abbrev=False,
        )
        self.shared = self.add_argument_group(context.gettext("common options"))

    def _get_formatter(self) -> argparse.HelpFormatter:
        # Without a width argparse asks the terminal for each argument that is added, and imports shutil for it.
        return self._formatter(prog=self.prog, width=self._width)

    def format_help(self) -> str:
        """Return the help, as wide as the terminal."""
        from shutil import get_terminal_size

        self._width = get_terminal_size().columns - 2
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line that says where help is."""
        raise BadQuestion(N_("{message} (see: {program} --help)"), message=message, program=self.prog)

    def narrow(self) -> None:
        """Add the options that leave only some transports and families."""
        _ = self.context.gettext
        self.add_argument("-t", "--tcp", action="store_true", help=_("TCP"))
        self.add_argument("-u", "--udp", action="store_true", help=_("UDP and UDP-Lite"))
        self.add_argument("-4", "--ipv4", action="store_true", help=_("IPv4"))
        self.add_argument("-6", "--ipv6", action="store_true", help=_("IPv6"))

    def add_actions(self, actions: Mapping[str, str], action_parser: Callable[[str, Context], Parser]) -> None:
        """Add a parser below this one for each action, which has its summary."""
        _ = self.context.gettext
        below = self.add_subparsers(title=_("actions"), metavar=_("ACTION"), parser_class=argparse.ArgumentParser)
        for name, summary in actions.items():
            parents = [action_parser(name, self.context)]
            below.add_parser(name, parents=parents, help=_(summary), description=_(summary), add_help=False)

    def share(self, table: bool = True) -> None:
        """Add the options that all verbs have, and with `table` those of all that print one."""
        _ = self.context.gettext
        add = self.shared.add_argument
        if table:
            add("--format", choices=formats.FORMATS, default="table", help=_("how the answer is written (table)"))
            add("-o", "--output", metavar=_("FILE"), help=_("write to a file, whole or not at all"))
            add("--columns", metavar="A,B,C", help=_("the columns to show, in this order"))
            add("--sort", metavar=_("COLUMN[:desc]"), help=_("sort by a column"))
            add("--limit", metavar="N", type=_count, help=_("show the first N rows only"))
            add("--where", metavar="SQL", help=_("only rows for which this SQL condition over the columns holds"))
            add("-n", "--numeric", action="store_true", help=_("port numbers only, without the names of services"))
            add("-r", "--resolve", action="store_true", help=_("look up the names of remote hosts"))
        add("--lang", metavar=_("LANGUAGE"), help=_("en, fr, pt or uk; else as LC_ALL and LANG say"))
        add("--color", choices=COLORS, default="auto", help=_("colour in tables (auto: on a terminal)"))
        add("--version", action="store_true", help=_("print the version, and which compiled parts run"))
        add("-h", "--help", action="store_true", help=_("print this help"))

    def read(self, arguments: Sequence[str]) -> argparse.Namespace | None:
        """Return what the arguments say, None where help was asked for and has been printed."""
        if "--help" in arguments or "-h" in arguments:
            self.context.stdout.write(self.format_help())
            return None
        found = self.parse_intermixed_args(list(arguments))
        self.context.color = found.color
        return found


class Output(NamedTuple):
    """How an answer is to be shown."""

    format: str
    path: str | None
    columns: tuple[str, ...] | None
    sort: str | None
    descending: bool
    limit: int | None
    where: str | None
    numeric: bool
    resolve: bool

    @classmethod
    def of(cls, found: argparse.Namespace, declared: Sequence[Column]) -> Output:
        """Return what the arguments ask for. Raises BadQuestion for a column that is not declared."""
        names = [column.name for column in declared]
        columns = None
        if found.columns is not None:
            columns = tuple(name.strip() for name in found.columns.split(",") if name.strip())
        sort, _, direction = (found.sort or "").partition(":")
        if direction not in ("", "asc", "desc"):
            raise BadQuestion(N_("--sort takes COLUMN, COLUMN:asc or COLUMN:desc, not {text}"), text=found.sort)
        for name in (*(columns or ()), *([sort] if sort else ())):
            if name not in names:
                raise BadQuestion(
                    N_("there is no column {name}; there are: {columns}"), name=name, columns=", ".join(names)
                )
        return cls(
            found.format,
            found.output,
            columns or None,
            sort or None,
            direction == "desc",
            found.limit,
            found.where,
            found.numeric,
            found.resolve,
        )

    def shown(self, for_table: Sequence[str], for_data: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the columns to show: those asked for, else what suits the format."""
        if self.columns is not None:
            return self.columns
        return tuple(for_table if self.format == "table" else for_data)

    def needed(self, shown: Sequence[str], declared: Sequence[Column]) -> tuple[str, ...]:
        """Return the names of the columns that must be filled: those shown, sorted by, or in the condition."""
        words = set(re.findall(r"\w+", (self.where or "").lower()))
        extra = [column.name for column in declared if column.name in words or column.name == self.sort]
        return tuple(dict.fromkeys((*shown, *extra)))

    def arrange(self, table: Table, shown: Sequence[str]) -> Table:
        """Return the rows for which the condition holds, sorted and limited, with the columns to show."""
        if self.where is not None:
            from portbook.output.query import where

            table = where(table, self.where)
        if self.sort is not None:
            table = table.sorted(self.sort, self.descending)
        if self.limit is not None:
            table = table.limited(self.limit)
        return table.select(shown)


def show(table: Table, output: Output, context: Context, spare: Sequence[str] = ()) -> ExitCode:
    """Write an arranged table as it is asked for, then its notes; return the exit code that it amounts to.

    `spare` are the columns that a terminal too narrow for all may do without, the least wanted first.
    """
    if output.path is not None:
        formats.write_file(table, output.format, output.path, gettext=context.gettext)
    elif output.format == "table" and (context.on_terminal or context.color == "always"):
        from portbook.output import terminal

        left_out = terminal.show(
            table,
            context.stdout,
            color=context.color,
            spare=None if output.columns is not None else spare,
            gettext=context.gettext,
        )
        if left_out:
            context.say(N_("too narrow for: {columns} (--columns shows them)"), columns=", ".join(left_out))
    else:
        context.stdout.flush()
        formats.write(table, output.format, context.stdout.buffer, gettext=context.gettext)
    for message, values in table.notes:
        context.say(message, **values)
    if not table.complete:
        return ExitCode.IN_PART
    return ExitCode.YES if len(table) else ExitCode.NO


def registry_for(output: Output) -> Registry | None:
    """Return the registry that names the services, None where ports are to stay numbers."""
    if output.numeric:
        return None
    from portbook.registry.lookup import open_registry

    return open_registry()


def transports_and_families(found: argparse.Namespace) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what -t, -u, -4 and -6 leave of the transports that have ports and of the address families."""
    from portbook.host.reading import INET_FAMILIES, PORTED

    transports = (TCP,) * found.tcp + (UDP, UDPLITE) * found.udp
    return transports or PORTED, asked_families(found) or INET_FAMILIES


def asked_families(found: argparse.Namespace) -> tuple[int, ...]:
    """Return the address families that -4 and -6 name, none where neither is given."""
    from portbook.host.reading import INET_FAMILIES

    asked = (found.ipv4, found.ipv6)
    return tuple(family for family, wanted in zip(INET_FAMILIES, asked, strict=True) if wanted)


def ports_of(texts: Sequence[str]) -> frozenset[int] | None:
    """Return the ports that are meant by `8080`, `:8080`, `8000-8100` or a service's name; None for no text."""
    if not texts:
        return None
    ports: set[int] = set()
    for text in texts:
        ports.update(_ports(text.removeprefix(":")))
    return frozenset(ports)


def _ports(text: str) -> range | set[int]:
    first, dash, last = text.partition("-")
    if first.isdecimal() and (last.isdecimal() if dash else True):
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 65535:
            raise BadQuestion(N_("{text} is no port; ports go from 0 to 65535"), text=text)
        return range(low, high + 1)
    from portbook.registry.lookup import open_registry

    found = {service.port for service in open_registry().named(text)}
    if not found:
        raise BadQuestion(N_("no service is called {text}; portbook what {text} searches for it"), text=text)
    return found


def _count(text: str) -> int:
    if not text.isdecimal():
        raise BadQuestion(N_("--limit takes a whole number, not {text}"), text=text)
    return int(text)
