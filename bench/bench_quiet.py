"""How long `portbook sockets -tan` takes on a machine with few sockets, beside `ss -tan`."""

from __future__ import annotations

import argparse

from printed import Bar, bars, heading, machine
from side_by_side import measure, median_wall, portbook, rounds_argument, show

LISTING = "portbook sockets -tan"


def main() -> None:
    """Measure, print the figures and the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    rounds_argument(parser)
    asked = parser.parse_args()
    heading("A quiet machine", asked.rounds)
    print(machine())
    runs = measure({"ss -tan": ["ss", "-tan"], LISTING: portbook("sockets", "-tan")}, asked.rounds)
    show(runs, "ss -tan")
    bars([Bar(LISTING, median_wall(runs, LISTING) * 1000, 120, "ms")])


if __name__ == "__main__":
    main()
