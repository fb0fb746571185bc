"""`portbook serve` as an operator starts it, with what it prints in a file; ended with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..servers import free_port

PATIENCE = 30.0


def eventually(truth: Callable[[], object]) -> bool:
    """Return whether something becomes true before long."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if truth():
            return True
        time.sleep(0.02)
    return bool(truth())


@dataclass
class Serving:
    """A server that runs: its address, its first process, and what it has printed."""

    url: str
    running: subprocess.Popen[bytes]
    log: Path
    seen: set[int] = field(default_factory=set)

    @property
    def workers(self) -> set[int]:
        """Its worker processes."""
        path = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children")
        try:
            found = set(map(int, path.read_text().split()))
        except OSError:
            found = set()
        self.seen |= found
        return found

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.url}/api/v1/me", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def begin(self, ports: str = "main") -> str:
        """Begin a test of loopback's ports; return its name."""
        said = httpx.post(
            f"{self.url}/api/v1/tests", json={"ports": ports}, headers={"prefer": "respond-async"}, timeout=20
        )
        assert said.status_code == 202, said.text
        return str(said.json()["id"])

    def result(self, run: str) -> Any:
        """Return what is known of a test."""
        said = httpx.get(f"{self.url}/api/v1/tests/{run}", timeout=20)
        assert said.status_code == 200, said.text
        return said.json()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end, and return its exit code."""
        self.running.send_signal(number)
        return self.running.wait(PATIENCE)


def command(*words: str) -> list[str]:
    """Return the command line of portbook, run by this interpreter."""
    return [sys.executable, "-m", "portbook", *words]


def environment(folder: Path, **given: object) -> dict[str, str]:
    """Return an environment with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTBOOK_")}
    told = {f"PORTBOOK_{name.upper()}": str(value) for name, value in given.items()}
    return {**kept, "LC_ALL": "C.UTF-8", "PORTBOOK_DATA": str(folder / "serve"), **told}


@contextmanager
def started(folder: Path, **given: object) -> Iterator[Serving]:
    """Start a server on a free port of loopback and wait until it answers; end it and its workers afterwards."""
    port = free_port()
    log = folder / "log"
    with log.open("ab") as output:
        running = subprocess.Popen(
            command("serve", "--listen", f"127.0.0.1:{port}"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(folder, **given),
        )
    serving = Serving(f"http://127.0.0.1:{port}", running, log)
    try:
        if not eventually(lambda: running.poll() is not None or serving.answers()) or running.poll() is not None:
            pytest.fail(f"the server did not start: {log.read_text()}")
        yield serving
    finally:
        serving.workers  # noqa: B018 - seen once more
        if running.poll() is None:
            running.kill()
            running.wait()
        assert eventually(lambda: not any(is_alive(pid) for pid in serving.seen)), "a worker outlived its parent"


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
