"""Runs the command line as a reader does: in this process for speed, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portbook.cli.main import main

from .doors import Greeter, closed, greeter, silent


@dataclass(frozen=True)
class Answer:
    """What a command line has ended with."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


Ask = Callable[..., Answer]


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Ask:
    """Runs one command line in this process, with an environment of its own."""

    def run(*arguments: str, **environ: str) -> Answer:
        code = main(arguments, {"XDG_DATA_HOME": str(tmp_path), **environ})
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return run


@pytest.fixture
def start() -> Ask:
    """Runs one command line as a process, in the C locale unless told otherwise."""

    def run(*arguments: str, **environ: str) -> Answer:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "portbook", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**kept, "LC_ALL": "C.UTF-8", **environ},
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def ssh() -> Iterator[Greeter]:
    with greeter() as server:
        yield server


@pytest.fixture
def shut() -> Iterator[int]:
    with closed() as ports:
        yield ports[0]


@pytest.fixture
def mute() -> Iterator[int]:
    with silent() as port:
        yield port
