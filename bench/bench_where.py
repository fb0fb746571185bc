"""What questions take that ask more of a hundred thousand sockets than a list; their figures have no bar."""

from __future__ import annotations

import argparse

from crowd import crowd
from printed import heading, machine
from side_by_side import measure, portbook, rounds_argument, show

SOCKETS = 100_000
QUESTIONS = {
    "portbook sockets -tan": ("sockets", "-tan"),
    "portbook sockets -ta": ("sockets", "-ta"),
    "portbook sockets -tan --where": (
        "sockets", "-tan", "--where", "remote_port = 443 and state = 'ESTABLISHED'",
    ),
    "portbook sockets -tan --sort remote_port": ("sockets", "-tan", "--sort", "remote_port"),
    "portbook sockets -tane": ("sockets", "-tane"),
    "portbook talks": ("talks",),
    "portbook who": ("who",),
    "portbook what 443": ("what", "443"),
    "portbook": (),
}  # fmt: skip


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=SOCKETS, help=f"how many sockets are made ({SOCKETS:,})")
    rounds_argument(parser)
    asked = parser.parse_args()
    heading(f"Questions about {asked.sockets:,} sockets", asked.rounds)
    print(machine())
    commands = {name: portbook(*arguments) for name, arguments in QUESTIONS.items()}
    with crowd(asked.sockets):
        runs = measure({"ss -tan": ["ss", "-tan"], **commands}, asked.rounds)
    show(runs, "ss -tan")


if __name__ == "__main__":
    main()
