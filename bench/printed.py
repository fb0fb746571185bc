"""What the benchmarks print: the machine that they ran on, tables, and each figure against its bar."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Bar:
    """What is asked of a measure: a figure of `limit` at most; below it where that is `strict`.

    `figure` is None where the measure could not be taken.
    """

    measure: str
    figure: float | None
    limit: float
    unit: str = ""
    strict: bool = False

    @property
    def verdict(self) -> str:
        """Whether the figure is within the limit."""
        if self.figure is None:
            return "not measured"
        met = self.figure < self.limit if self.strict else self.figure <= self.limit
        return "met" if met else "missed"


def heading(title: str, rounds: int) -> None:
    """Print what is measured, and how often."""
    print(f"{title}: the median of {rounds} rounds after one to warm up, the commands in turn")


def machine() -> str:
    """Return one line on the machine and on the versions of what is compared."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "; ".join(
        (
            f"{processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB",
            f"{platform.system()} {platform.release()} {platform.machine()}",
            f"Python {platform.python_version()}",
            f"ss of {first_line('ss', '-V').rpartition(' ')[2]}",
            f"netstat of {first_line('netstat', '--version')}",
        )
    )


def processor() -> str:
    """Return the name of the processor as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.processor() or platform.machine()


def first_line(*command: str) -> str:
    """Return the first line that a command prints, `none` where it is not installed."""
    if shutil.which(command[0]) is None:
        return "none"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings, the first column flush left and the others right."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    print()
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())


def bars(asked: Sequence[Bar]) -> None:
    """Print each figure against what is asked of it."""
    rows = []
    for bar in asked:
        figure = "-" if bar.figure is None else f"{bar.figure:.2f} {bar.unit}".rstrip()
        limit = f"{'below' if bar.strict else 'at most'} {bar.limit:.2f} {bar.unit}".rstrip()
        rows.append((bar.measure, figure, limit, bar.verdict))
    table(("measure", "figure", "bar", "verdict"), rows)
