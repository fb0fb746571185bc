"""Run the benchmarks and write what they print between the markers in docs/performance.md.

python bench/report.py                 all of them
python bench/report.py startup quiet   these only; what the page says of the others stays
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"
ORDER = ("startup", "quiet", "crowd", "growth", "twins", "where", "lab", "identify", "reach", "serve")
BEGIN, END = "<!-- results of bench/report.py: begin -->", "<!-- results of bench/report.py: end -->"


def run(name: str, options: list[str]) -> str:
    """Run one benchmark and return what it prints, which is printed here too."""
    script = FOLDER / f"bench_{name}.py"
    done = subprocess.run([sys.executable, script, *options], stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, flush=True)
    return done.stdout


def sections(page: str) -> dict[str, str]:
    """Return the sections that stand between the markers, by the benchmark's name. Raises ValueError."""
    _, begin, rest = page.partition(BEGIN)
    results, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"it has no markers {BEGIN} and {END}")
    found = re.split(r"^### `bench_(\w+)\.py`\n", results, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def section(printed: str, moment: datetime) -> str:
    """Return the body of a benchmark's section: when it was run, and what it printed."""
    return f"\nOn {moment:%Y-%m-%d}:\n\n```text\n{printed.strip()}\n```\n\n"


def rewritten(page: str, known: dict[str, str]) -> str:
    """Return the page with these sections between its markers, in the order of the benchmarks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    results = "".join(f"### `bench_{name}.py`\n{known[name]}" for name in ORDER if name in known)
    return f"{before}{BEGIN}\n\n{results}{END}{after}"


def main() -> None:
    """Run what is asked for and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ORDER)}; all without one")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to rewrite")
    parser.add_argument("--million", action="store_true", help="growth with a million sockets too")
    parser.add_argument("--rounds", help="counted rounds, else as each benchmark has it")
    parser.add_argument("--sockets", help="sockets in a crowd, else as each benchmark has it; growth has its own")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in ORDER]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are: {', '.join(ORDER)}")
    try:
        known = sections(asked.page.read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"{asked.page}: {error}")
    for name in asked.names or ORDER:
        options = ["--rounds", asked.rounds] if asked.rounds else []
        options += ["--sockets", asked.sockets] if asked.sockets and name in ("crowd", "twins", "where") else []
        options += ["--million"] if asked.million and name == "growth" else []
        known[name] = section(run(name, options), datetime.now(UTC))
    # Read again: somebody may have written on the page while the benchmarks ran.
    page = rewritten(asked.page.read_text(encoding="utf-8"), known)
    asked.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
