"""What `portbook` and `python -m portbook` start."""

from __future__ import annotations

import gc
import io
import os
import sys


def run() -> None:
    """Run the command line and leave with its exit code."""
    # A short life: what it allocates is used until it ends, so collecting finds next to nothing.
    gc.set_threshold(100_000, 50, 50)
    from portbook.cli.main import main

    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows its escape.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    # Nothing is left to be tidied up, and the interpreter would take a fifth of a short run to do it.
    os._exit(code)


if __name__ == "__main__":
    run()
