"""`portbook test --until`: the same ports again and again until they are as a script needs them."""

from __future__ import annotations

import time

from portbook.cli.context import ExitCode
from portbook.cli.tested import show_tests
from portbook.errors import N_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portbook.cli.arguments import Output
    from portbook.cli.context import Context
    from portbook.porttest import PortTest
    from portbook.probe.testing import Question

    Key = tuple[str, str, int, str]

_PATIENCE = 1.2
"""Seconds that a port may be silent in one round: the next round asks it again anyway."""

_SHORTEST, _LONGEST = 0.1, 1.0
"""Seconds between two rounds: first the one, growing up to the other."""


def wait_until(
    state: str, question: Question, seconds: float | None, output: Output, context: Context, everything: bool = False
) -> ExitCode:
    """Test until every port is open, or closed; NO when that takes more than so many seconds.

    A host's port is open where one of its addresses has it open, and closed where none has. What is as wanted once is
    not asked again until all is.
    """
    from portbook.probe.testing import port_tests

    end = None if seconds is None else time.monotonic() + seconds
    last: dict[Key, PortTest] = {}
    pause = _SHORTEST
    asked = question._replace(identify=False)
    answer = ExitCode.IN_PART
    try:
        while True:
            left = _PATIENCE if end is None else min(_PATIENCE, max(0.1, end - time.monotonic()))
            for test in port_tests(asked._replace(limits=asked.limits._replace(patience=left))):
                last[test.target, test.ip, test.port, test.transport] = test
            missing = _missing(state, question, last.values())
            if not missing:
                answer = ExitCode.YES
                break
            asked = asked._replace(done=question.done | _endpoints(last) - _endpoints(missing))
            if end is not None and time.monotonic() + pause >= end:
                context.say(N_("not {state} within {seconds} s"), state=state, seconds=f"{seconds:g}")
                answer = ExitCode.NO
                break
            time.sleep(pause)
            pause = min(_LONGEST, pause * 1.5)
        if state == "open" and answer == ExitCode.YES and question.identify:
            opened = [key for key, test in last.items() if test.state == "open"]
            for test in port_tests(question._replace(done=question.done | _endpoints(last) - _endpoints(opened))):
                last[test.target, test.ip, test.port, test.transport] = test
    except KeyboardInterrupt:
        context.say(N_("interrupted"))
        answer = ExitCode.IN_PART
    show_tests(last.values(), question, output, context, everything)
    return answer


def _missing(state: str, question: Question, tests: Iterable[PortTest]) -> frozenset[Key]:
    """Return the endpoints that must still be asked: those of hosts whose port is not yet as it is wanted."""
    hosts = {(target.text, target.ip): target.host for target in question.targets}
    states: dict[tuple[str, int, str], dict[Key, str]] = {}
    for test in tests:
        key = (test.target, test.ip, test.port, test.transport)
        states.setdefault((hosts[key[:2]], test.port, test.transport), {})[key] = test.state
    there = _is_open if state == "open" else _is_closed
    return frozenset(key for ends in states.values() if not there(set(ends.values())) for key in ends)


def _endpoints(keys: Iterable[Key]) -> frozenset[tuple[str, int, str]]:
    return frozenset(key[1:] for key in keys)


def _is_open(states: set[str]) -> bool:
    return "open" in states


def _is_closed(states: set[str]) -> bool:
    """Whether a host refuses at every address where it can be reached at all."""
    return "closed" in states and states <= {"closed", "unreachable"}
