"""`portbook test --count`: the same ports again and again, and how long it took each time, as ping tells it."""

from __future__ import annotations

import time
from math import ceil
from statistics import median

from portbook.cli.arguments import Output, show
from portbook.cli.context import ExitCode
from portbook.cli.progress import Progress
from portbook.columns import Column, Table
from portbook.errors import N_
from portbook.porttest import COLUMNS as TEST_COLUMNS
from portbook.porttest import in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.cli.context import Context
    from portbook.porttest import PortTest
    from portbook.probe.testing import Question

    Key = tuple[str, str, int, str]

_DECLARED = {column.name: column for column in TEST_COLUMNS}
COLUMNS = (
    *(_DECLARED[name] for name in ("target", "ip", "port", "transport", "state")),
    Column("sent", "integer", N_("Sent")),
    Column("answered", "integer", N_("Answered")),
    Column("loss", "number", N_("Loss %")),
    Column("min_ms", "number", N_("Minimum"), "milliseconds"),
    Column("median_ms", "number", N_("Median"), "milliseconds"),
    Column("p95_ms", "number", N_("95 %"), "milliseconds"),
)
"""`sent` counts the tests, `answered` those that were accepted or refused; the state is the last one.

`p95_ms` is the shortest time within which 95 of 100 answers came (the nearest rank).
"""

INTERVAL = 1.0
"""Seconds from one round to the next, as ping's."""

_NAMES = tuple(column.name for column in COLUMNS)
_SPARE = ("transport", "answered", "sent", "p95_ms", "min_ms", "target")


def repeated(question: Question, rounds: int, output: Output, context: Context) -> ExitCode:
    """Test so many times, and show what the times were; after Ctrl-C those so far."""
    from portbook.probe.testing import count, port_tests

    quick = question._replace(identify=False)
    tests: dict[Key, list[PortTest]] = {}
    interrupted = False
    whole = 0
    begun = time.monotonic()
    with Progress(context, count(quick) * rounds) as advance:
        try:
            for number in range(rounds):
                time.sleep(max(0.0, begun + number * INTERVAL - time.monotonic()))
                for test in port_tests(quick):
                    tests.setdefault(_key(test), []).append(test)
                    advance()
                whole += 1
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        context.say(N_("interrupted in round {number} of {rounds}"), number=whole + 1, rounds=rounds)
    last = in_order((each[-1] for each in tests.values()), (target.ip for target in question.targets))
    table = Table.from_rows(COLUMNS, [_row(tests[_key(test)]) for test in last])
    brief = [name for name in _NAMES if name != "target" or any(key[0] != key[1] for key in tests)]
    code = show(output.arrange(table, output.shown(brief, _NAMES)), output, context, _SPARE)
    if interrupted:
        return ExitCode.IN_PART
    return code if any(test.state == "open" for test in last) else ExitCode.NO


def _key(test: PortTest) -> Key:
    return test.target, test.ip, test.port, test.transport


def _row(tests: Sequence[PortTest]) -> tuple[object, ...]:
    times = sorted(test.rtt_ms for test in tests if test.rtt_ms is not None)
    loss = round(100 * (1 - len(times) / len(tests)), 1)
    figures = (times[0], round(median(times), 6), times[ceil(0.95 * len(times)) - 1]) if times else (None,) * 3
    return (*_key(tests[-1]), tests[-1].state, len(tests), len(times), loss, *figures)
