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

SERVER = """
import socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 8080), backlog=7)
client = socket.create_connection(("127.0.0.1", 8080))
served, _ = server.accept()
client.sendall(b"question")
assert served.recv(100) == b"question"
served.sendall(b"an answer")
assert client.recv(100) == b"an answer"
sys.exit(subprocess.run([sys.executable, "-m", "portbook", *sys.argv[1:]]).returncode)
"""


def answer(command: list[str], environ: dict[str, str]) -> Answer:
    """Return what a command ends with, in the C locale unless told otherwise."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    variables = {**kept, "LC_ALL": "C.UTF-8", **environ}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=variables)
    return Answer(done.returncode, done.stdout, done.stderr)


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
        return answer([sys.executable, "-m", "portbook", *arguments], environ)

    return run


@pytest.fixture
def alone() -> Ask:
    """Runs one command line as a process that sees no other host and no process but the server beside it.

    The server is process 1, listens on port 8080, and has one conversation over it, with itself: the client has sent
    8 bytes, the server 9.
    """
    unshare = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid():
        unshare += ["--user", "--map-root-user"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespaces can be made here: {error}")
    # Other network namespaces are found by processes and by the mounts below /run.
    inside = [
        "sh",
        "-ec",
        'mount -t tmpfs none /run; ip link set lo up; exec "$0" "$@"',
        sys.executable,
        "-c",
        SERVER,
    ]

    def run(*arguments: str, **environ: str) -> Answer:
        return answer([*unshare, *inside, *arguments], environ)

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
