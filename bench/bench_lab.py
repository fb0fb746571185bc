"""How long a lab takes from nothing until each of its services answers, and until nothing is left of it."""

from __future__ import annotations

import argparse
import os

from printed import Bar, bars, heading, machine
from side_by_side import measure, median_wall, portbook, rounds_argument, show

ROUNDS = 5
LIMITS = {"web-ftp": 3.0, "main-ports": 60.0}
"""Scenarios, and the seconds that each may take to be up."""


def main() -> None:
    """Measure, print the figures and the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    rounds_argument(parser)
    parser.set_defaults(rounds=ROUNDS)
    asked = parser.parse_args()
    heading("Labs", asked.rounds)
    print(machine())
    commands = {}
    for scenario in LIMITS:
        name = f"bench-{os.getpid()}-{scenario}"
        commands[f"portbook lab up {scenario}"] = portbook("lab", "up", scenario, "--lab", name)
        commands[f"portbook lab down {scenario}"] = portbook("lab", "down", name)
    runs = measure(commands, asked.rounds)
    show(runs)
    bars(
        [
            Bar(f"portbook lab up {scenario}", median_wall(runs, f"portbook lab up {scenario}"), limit, "s")
            for scenario, limit in LIMITS.items()
        ]
    )


if __name__ == "__main__":
    main()
