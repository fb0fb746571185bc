"""Commands measured side by side: in turn, round after round, as whole processes, their output going to a file.

What disturbs the machine for a while meets all of them, and the ratio of two is taken within each round; of all
rounds the median counts. How figures are printed is left to `printed`.

    python bench/side_by_side.py 'ss -tan' 'portbook sockets -tan'
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from printed import heading, machine, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS = 7
WARM_UP = 1

UNWANTED = ("PYTHON", "PORTBOOK", "LANG", "LC_")
"""How the variables begin that would change what is measured: where bytecode is kept, which language is loaded."""

ANSWERED = (0, 3)
"""Exit codes of an answer: whole, or with parts that rights hide."""


class NotMeasured(Exception):
    """A command did not do what was to be measured."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: seconds on the clock and of the processors, bytes of memory at most and of output."""

    wall: float
    cpu: float
    memory: int
    output: int


Runs = dict[str, list[Run]]
"""For each command, by what it is called, its counted runs in the order of the rounds."""


def portbook(*arguments: str) -> list[str]:
    """Return the command line of the portbook that is installed beside this interpreter."""
    command = Path(sys.executable).with_name("portbook")
    if not command.exists():
        sys.exit(f"{command} does not exist: run this with the interpreter of .venv, which `make run` sets up")
    return [str(command), *arguments]


def measure(commands: Mapping[str, Sequence[str]], rounds: int = ROUNDS) -> Runs:
    """Run the commands in turn, and return what each took in the counted rounds.

    A command that is not installed is left out, which is said on standard error. Raises NotMeasured when one fails.
    """
    found = {}
    for name, command in commands.items():
        if shutil.which(command[0]) is None:
            print(f"{command[0]} is not installed: {name} is left out", file=sys.stderr)
        else:
            found[name] = command
    runs: Runs = {name: [] for name in found}
    with tempfile.TemporaryDirectory(prefix="portbook-bench-") as folder:
        for number in range(WARM_UP + rounds):
            for name, command in found.items():
                run = run_once(command, Path(folder))
                if number >= WARM_UP:
                    runs[name].append(run)
    return runs


def run_once(command: Sequence[str], folder: Path) -> Run:
    """Run one command to its end, its output and its errors in files of the folder."""
    output, errors = folder / "output", folder / "errors"
    output.unlink(missing_ok=True)
    into = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), into, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(errors), into, 0o600),
    ]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    begun = perf_counter()
    pid = os.posix_spawnp(command[0], [*command], {**environ, "LC_ALL": "C.UTF-8"}, file_actions=actions)
    _, status, used = os.wait4(pid, 0)
    wall = perf_counter() - begun
    code, complaint = os.waitstatus_to_exitcode(status), errors.read_text(errors="replace")
    # An answer of no rows ends with 1 as an error of Python does; only the error says something.
    if code not in ANSWERED and (code != 1 or complaint):
        raise NotMeasured(f"{shlex.join(command)} ended with {code}: {complaint}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, output.stat().st_size)


def median_wall(runs: Runs, name: str) -> float:
    """Return the median of the seconds that a command took."""
    return statistics.median(run.wall for run in runs[name])


def peak_memory(runs: Runs, name: str) -> int:
    """Return the most bytes that any run of a command needed."""
    return max(run.memory for run in runs[name])


def memory_text(runs: Runs, name: str) -> str:
    """Return the peak memory of a command in MB; of one that needs less than this process, that it is under that."""
    # A process begins in the memory of the one that starts it, and the kernel counts that.
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    memory = peak_memory(runs, name)
    return f"under {floor / 1e6:.0f}" if memory <= floor else f"{memory / 1e6:.0f}"


def ratio(runs: Runs, name: str, against: str) -> float | None:
    """Return the median over the rounds of one command's time to another's; None where one was left out."""
    if name not in runs or against not in runs:
        return None
    pairs = zip(runs[name], runs[against], strict=True)
    return statistics.median(one.wall / other.wall for one, other in pairs)


def show(runs: Runs, against: str | None = None) -> None:
    """Print the medians of each command, and the ratio of its time to that of one of them."""
    rows = []
    for name, counted in runs.items():
        walls = [run.wall * 1000 for run in counted]
        compared = None if against is None else ratio(runs, name, against)
        rows.append(
            (
                name,
                f"{statistics.median(walls):.1f}",
                f"{min(walls):.1f} to {max(walls):.1f}",
                f"{statistics.median(run.cpu for run in counted) * 1000:.1f}",
                memory_text(runs, name),
                f"{statistics.median(run.output for run in counted) / 1e6:.2f}",
                "-" if compared is None else f"{compared:.2f}",
            )
        )
    headings = ("command", "ms", "range", "CPU ms", "peak MB", "output MB", f"to {against}" if against else "ratio")
    table(headings, rows)


def rounds_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how often each command is run."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"counted rounds ({ROUNDS})")


def main() -> None:
    """Measure the commands that are given."""
    parser = argparse.ArgumentParser(description="Measure commands in turn; ratios are to the first.")
    parser.add_argument("commands", nargs="+", metavar="COMMAND", help="one word each, in quotes; no shell reads it")
    rounds_argument(parser)
    asked = parser.parse_args()
    heading("Side by side", asked.rounds)
    print(machine())
    try:
        runs = measure({text: shlex.split(text) for text in asked.commands}, asked.rounds)
    except NotMeasured as error:
        sys.exit(str(error))
    show(runs, next(iter(runs), None))


if __name__ == "__main__":
    main()
