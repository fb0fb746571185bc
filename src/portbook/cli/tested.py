"""How tests are shown: their order, the columns that a person wants, and what a long table leaves to a count."""

from __future__ import annotations

from collections import Counter

from portbook.cli.arguments import show
from portbook.cli.context import ExitCode
from portbook.cli.streaming import Stream
from portbook.columns import Coded, Table
from portbook.errors import N_
from portbook.porttest import COLUMNS, in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portbook.cli.arguments import Output
    from portbook.cli.context import Context
    from portbook.porttest import PortTest
    from portbook.probe.testing import Question

NAMES = tuple(column.name for column in COLUMNS)

SCREEN = 40
"""A longer table shows what is open, and of the other answers those that are few."""

FEW = 10

_BRIEF = (
    *("target", "ip", "port", "transport", "state", "reason", "icmp_from", "rtt_ms"),
    *("service", "service_by", "product", "version", "note"),
)
_IF_ANY = ("icmp_from", "rtt_ms", "service", "product", "version", "note")
_SPARE = ("service_by", "reason", "rtt_ms", "note", "target", "transport", "version", "icmp_from", "product")
_NOTE = NAMES.index("note")


def show_tests(
    tests: Iterable[PortTest], question: Question, output: Output, context: Context, everything: bool = False
) -> ExitCode:
    """Write tests in the order of their question's targets, then of ports, as the output asks for.

    A long table counts the answers that are many, unless `everything` or a condition is asked for.
    """
    held = in_order(tests, (target.ip for target in question.targets))
    if output.format == "table" and len(held) > SCREEN and not everything and output.where is None:
        held = _without_the_many(held, context)
    table = table_of(held, context)
    brief = _brief(table) if output.format == "table" else NAMES
    return show(output.arrange(table, output.shown(brief, NAMES)), output, context, _SPARE)


def table_of(tests: Iterable[PortTest], context: Context) -> Table:
    """Return tests as a table, their notes in the reader's language."""
    said: dict[object, str | None] = {None: None}
    rows = []
    for test in tests:
        row = test.row()
        note = row[_NOTE]
        if note not in said:
            said[note] = context.gettext(str(note))
        rows.append((*row[:_NOTE], said[note], *row[_NOTE + 1 :]))
    return Table.from_rows(COLUMNS, rows)


class RowByRow:
    """Tests written in the order in which they come, as they come."""

    def __init__(self, output: Output, context: Context) -> None:
        self._output = output
        self._context = context
        self._code = ExitCode.NO
        self._stream = Stream(self._write)

    def give(self, test: PortTest) -> None:
        """Have a test written before long. Raises what writing raised, here and in `end`."""
        self._stream.give(test)

    def end(self) -> ExitCode:
        """Return, when all is written, whether that was anything."""
        self._stream.end()
        return self._code

    def _write(self, tests: Sequence[PortTest]) -> None:
        table = table_of(tests, self._context)
        output = self._output
        if show(output.arrange(table, output.shown(NAMES, NAMES)), output, self._context) == ExitCode.YES:
            self._code = ExitCode.YES


def _without_the_many(tests: list[PortTest], context: Context) -> list[PortTest]:
    """Return what is open and what is rare; say how many there are of the rest."""
    counts = Counter((test.state, test.reason) for test in tests)
    left = {kind: count for kind, count in counts.items() if kind[0] != "open" and count > FEW}
    if left:
        told = ", ".join(f"{count} {state} ({reason})" for (state, reason), count in sorted(left.items()))
        context.say(N_("not shown: {counts}; --all shows them"), counts=told)
    return [test for test in tests if (test.state, test.reason) not in left]


def _brief(table: Table) -> list[str]:
    """Return the columns of a table that say something to a person."""
    return [name for name in _BRIEF if _says_something(table, name)]


def _says_something(table: Table, name: str) -> bool:
    if name == "target":
        targets, addresses = table.vector(name), table.vector("ip")
        return any(targets[row] != addresses[row] for row in range(len(table)))
    if name == "service_by":
        # Of a port that is open the reader must know whether it is the service, or only its number.
        known, state = table.vector(name), table.vector("state")
        return any(known[row] == "port" and state[row] == "open" for row in range(len(table)))
    if name in _IF_ANY:
        vector = table.vector(name)
        assert isinstance(vector, Coded)
        return any(value is not None for value in vector.values)
    return True
