"""A terminal for a command line to run at, and what it was sent."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios


def at_terminal(width: int, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run a command line at a terminal of that width; return its exit code and what the terminal was sent."""
    terminal, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "portbook", *arguments],
        stdin=line,
        stdout=line,
        stderr=line,
        env={**kept, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "TERM": "xterm-256color", **environ},
    )
    os.close(line)
    said = b""
    try:
        while data := os.read(terminal, 65536):
            said += data
    except OSError:
        pass  # the other end is gone
    finally:
        os.close(terminal)
    return process.wait(), said.decode()


def plain(text: str) -> list[str]:
    """Return the lines that a terminal was sent, without the escapes."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").split("\n")
