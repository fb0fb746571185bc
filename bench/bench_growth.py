"""Whether the time of `portbook sockets -tan` grows linearly with the sockets: 10, 50, 100 thousand and a million.

What the process takes without the crowd is subtracted from every time. Of what is left the exponent is the slope of
the straight line through log(time) over log(sockets), by least squares: 1 is linear, 2 quadratic. A million are
told from the time of each socket in the largest crowd where they are not made.
"""

from __future__ import annotations

import argparse
import statistics
from math import log
from typing import TYPE_CHECKING

from crowd import CrowdFailed, crowd, obstacle
from printed import Bar, bars, heading, machine, table
from side_by_side import Runs, measure, median_wall, memory_text, portbook, rounds_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTS = (10_000, 50_000, 100_000)
MILLION = 1_000_000
LINEAR = 1.1
"""The exponent up to which growth is called linear: a hundred times the sockets in 158 times the time."""

SMALLEST = 1e-6
"""Seconds that stand for a difference that the noise has swallowed, so that it has a logarithm."""

LISTING, SS = "portbook sockets -tan", "ss -tan"


def exponent(times: Mapping[int, float]) -> float:
    """Return the slope of log(time) over log(sockets)."""
    return statistics.linear_regression([log(count) for count in times], [log(time) for time in times.values()]).slope


def side_by_side(rounds: int) -> Runs:
    """Measure both listings as the machine stands."""
    return measure({SS: SS.split(), LISTING: portbook("sockets", "-tan")}, rounds)


def row(sockets: str, name: str, runs: Runs, beyond: str = "-", each: str = "-") -> tuple[str, ...]:
    """Return the line of the table that tells of a command beside one crowd."""
    return sockets, name, f"{median_wall(runs, name) * 1000:.1f}", beyond, each, memory_text(runs, name)


def main() -> None:
    """Measure, print the figures and the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, nargs="+", default=COUNTS, help="how many sockets each crowd has")
    parser.add_argument("--million", action="store_true", help="a million sockets too, where the machine allows it")
    rounds_argument(parser)
    asked = parser.parse_args()
    counts = sorted({*asked.sockets, *([MILLION] if asked.million else ())})
    heading("Growth", asked.rounds)
    print(machine())
    without = side_by_side(asked.rounds)
    beyond: dict[str, dict[int, float]] = {name: {} for name in without}
    rows = [row("none", name, without) for name in without]
    for count in counts:
        reason = obstacle(count)
        if reason:
            print(f"{count:,} sockets are left out: {reason}")
            continue
        try:
            with crowd(count):
                runs = side_by_side(asked.rounds)
        except CrowdFailed as error:
            print(f"{count:,} sockets are left out: {error}")
            continue
        for name in runs:
            grown = median_wall(runs, name) - median_wall(without, name)
            beyond[name][count] = max(grown, SMALLEST)
            rows.append(row(f"{count:,}", name, runs, f"{grown * 1000:.1f}", f"{grown / count * 1e6:.2f}"))
    table(("sockets", "command", "ms", "ms beyond none", "microseconds each", "peak MB"), rows)
    print()
    for name, times in beyond.items():
        if times and MILLION not in times:
            largest = max(times)
            seconds = median_wall(without, name) + times[largest] / largest * MILLION
            print(f"a million sockets, told from {largest:,}: {name} would take {seconds:.2f} s")
        if len(times) > 1:
            print(f"exponent of {name}: {exponent(times):.2f}")
    ours = beyond[LISTING]
    figure = exponent(ours) if len(ours) > 1 else None
    bars([Bar(f"exponent of {LISTING}, {len(ours)} crowds (1 is linear)", figure, LINEAR)])


if __name__ == "__main__":
    main()
