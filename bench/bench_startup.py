"""How long `portbook what 443` takes against the same interpreter doing nothing, as whole processes."""

from __future__ import annotations

import argparse
import sys

from printed import Bar, bars, heading, machine
from side_by_side import measure, portbook, ratio, rounds_argument, show

ROUNDS = 21
NOTHING = "python3 -c pass"
WHAT = "portbook what 443"


def main() -> None:
    """Measure, print the figures and the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    rounds_argument(parser)
    parser.set_defaults(rounds=ROUNDS)
    asked = parser.parse_args()
    heading("Start-up", asked.rounds)
    print(machine())
    commands = {
        NOTHING: [sys.executable, "-c", "pass"],
        WHAT: portbook("what", "443"),
        "portbook --version": portbook("--version"),
    }
    runs = measure(commands, asked.rounds)
    show(runs, NOTHING)
    bars([Bar(f"{WHAT} against {NOTHING}", ratio(runs, WHAT, NOTHING), 4, "times")])


if __name__ == "__main__":
    main()
