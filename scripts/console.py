"""Runs the commands that a page shows, and puts what they print into the page: `scripts/console.py docs/lab.md ...`

In a block of the kind `console` each line that begins with `$ ` is a command, and what stands below it, up to the
next, is its output. The commands of a page are run in order by one shell each, in the page's language: that of
`lab.fr.md` is French. Nothing is written unless every command ran; one may fail, as pages show that too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(?m)^```console\n(.*?)^```$", re.DOTALL)
_LONGEST = 120.0


def language(page: Path) -> str:
    """Return the language of a page, by the name of its file."""
    return page.suffixes[0][1:] if len(page.suffixes) > 1 else "en"


def replayed(text: str, environ: dict[str, str]) -> str:
    """Return the text of a page with the output of its commands anew."""

    def block(found: re.Match[str]) -> str:
        commands = [line[2:] for line in found[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"$ {one}\n{output(one, environ)}" for one in commands) + "```"

    return _BLOCK.sub(block, text)


def output(command: str, environ: dict[str, str]) -> str:
    """Return what a command prints, its messages among it."""
    done = subprocess.run(
        command,
        shell=True,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_LONGEST,
        cwd=ROOT,
    )
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def main() -> int:
    """Replay the pages that are named."""
    for name in sys.argv[1:]:
        page = Path(name)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {**os.environ, "PATH": path, "LANGUAGE": language(page), "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
        made = replayed(page.read_text(encoding="utf-8"), environ)
        unfinished = page.with_name(page.name + ".new")
        unfinished.write_text(made, encoding="utf-8")
        unfinished.replace(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
