"""How long a hundred thousand established TCP sockets take to list, with owners and as data, and in how much memory.

All commands run in turn beside one crowd.
"""

from __future__ import annotations

import argparse

from crowd import crowd
from printed import Bar, bars, heading, machine
from side_by_side import measure, peak_memory, portbook, ratio, rounds_argument, show

SOCKETS = 100_000
MEMORY = 150

SS, SS_OWNERS, NETSTAT = "ss -tan", "ss -tanp", "netstat -tanp"
LISTING, OWNERS = "portbook sockets -tan", "portbook sockets -tanp"
NDJSON = "portbook sockets -tan --format ndjson"
NDJSON_OWNERS = "portbook sockets -tanp --format ndjson"


def main() -> None:
    """Measure, print the figures and the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=SOCKETS, help=f"how many sockets are made ({SOCKETS:,})")
    rounds_argument(parser)
    asked = parser.parse_args()
    heading(f"{asked.sockets:,} established TCP sockets", asked.rounds)
    print(machine())
    ours = {name: portbook(*name.split()[1:]) for name in (LISTING, OWNERS, NDJSON, NDJSON_OWNERS)}
    theirs = {name: name.split() for name in (SS, SS_OWNERS, NETSTAT)}
    with crowd(asked.sockets):
        runs = measure({**theirs, **ours}, asked.rounds)
    show(runs, SS)
    bars(
        [
            Bar(f"{LISTING} against {SS}", ratio(runs, LISTING, SS), 1, "times"),
            Bar(f"{OWNERS} against {SS_OWNERS}", ratio(runs, OWNERS, SS_OWNERS), 0.25, "times"),
            Bar(f"{OWNERS} against {NETSTAT}", ratio(runs, OWNERS, NETSTAT), 1, "times", strict=True),
            Bar(f"{NDJSON} against {SS}", ratio(runs, NDJSON, SS), 3, "times"),
            *(Bar(f"peak memory of {name}", peak_memory(runs, name) / 1e6, MEMORY, "MB") for name in ours),
        ]
    )


if __name__ == "__main__":
    main()
