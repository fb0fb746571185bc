"""Servers of the lab in a network namespace of the tests' own."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from portbook.lab import talk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from portbook.lab.scenario import Transport

SERVE = (sys.executable, "-m", "portbook.lab.serve")
ATTEMPTS = 400
ENDING_SECONDS = 10


@contextmanager
def started(argv: Sequence[str], folder: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a command, and end it as a server is ended, so that it ends those that it has started."""
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_it_answers(kind: str, port: int, transport: Transport = "tcp", address: str = "127.0.0.1") -> None:
    """Wait for a server of the namespace that the caller is in."""
    for _ in range(ATTEMPTS):
        if talk.answers(kind, (address, port), transport):
            return
        time.sleep(0.02)
    raise AssertionError(f"no {kind} answers at port {port}")


@contextmanager
def serving(
    kind: str, port: int, *options: str, transports: Sequence[Transport] = ("tcp",)
) -> Iterator[subprocess.Popen[str]]:
    """Run one of our own servers in the namespace that the caller is in, until it answers and then to the end."""
    spoken = [word for transport in transports for word in ("--transport", transport)]
    with started((*SERVE, kind, "--name", f"the-{kind}", "--port", str(port), *spoken, *options)) as process:
        for transport in transports:
            wait_until_it_answers(kind, port, transport)
        yield process
