"""Real servers for the tests: each is started on loopback with a temporary folder, without root's rights."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
PATIENCE = 20.0
"""Seconds within which a server has to listen."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens: its port, the process that was started, and what the kernel calls that process."""

    port: int
    pid: int
    process: str


def free_port() -> int:
    """Return a port that nothing holds on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx() -> Iterator[Server]:
    """Start nginx: a master and two workers, on IPv4 and IPv6."""

    def command(folder: Path, port: int) -> list[str]:
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        settings = f"""
            daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/log;
            events {{ worker_connections 16; }}
            http {{
                access_log off; {" ".join(f"{place}_temp_path {folder}/{place};" for place in places)}
                server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; }}
            }}"""
        (folder / "settings").write_text(settings)
        return [program("nginx"), "-c", f"{folder}/settings", "-e", f"{folder}/log"]

    with started(command, "nginx") as server:
        yield server


@contextmanager
def sshd() -> Iterator[Server]:
    """Start sshd with a host key of its own."""

    def command(folder: Path, port: int) -> list[str]:
        key = folder / "key"
        subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        own(folder)
        (folder / "settings").write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {key}\nPidFile none\nUsePAM no\n"
        )
        return [program("sshd"), "-D", "-e", "-f", f"{folder}/settings"]

    with started(command, "sshd") as server:
        yield server


@contextmanager
def redis() -> Iterator[Server]:
    """Start redis-server without persistence."""

    def command(folder: Path, port: int) -> list[str]:
        settings = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
        return [program("redis-server"), *settings]

    with started(command, "redis-server") as server:
        yield server


@contextmanager
def postgresql() -> Iterator[Server]:
    """Start PostgreSQL on a new cluster."""

    def command(folder: Path, port: int) -> list[str]:
        data = folder / "data"
        initdb = [program("initdb"), "-D", data, "-U", "harbour", "-A", "trust", "-N", "--no-instructions"]
        subprocess.run([*initdb, "--locale", "C"], check=True, capture_output=True, cwd=folder, **rights())  # type: ignore[call-overload]
        settings = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}")
        return [program("postgres"), "-D", str(data), *settings, "-F"]

    with started(command, "postgres") as server:
        yield server


def program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, versions)]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def rights() -> dict[str, object]:
    """Return what a child is started with so that it has no rights of root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def own(folder: Path) -> None:
    """Give a folder and what is in it to whom the server runs as."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


@contextmanager
def started(command: Callable[[Path, int], list[str]], process: str) -> Iterator[Server]:
    """Start a server and wait until it answers; end it, and all it has started, afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portbook-")))
        own(folder)
        port = free_port()
        words = command(folder, port)
        own(folder)
        output = stack.enter_context((folder / "output").open("wb"))
        running = subprocess.Popen(  # type: ignore[call-overload]
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, **rights()
        )
        stack.callback(ended, running)
        until = time.monotonic() + PATIENCE
        while not answers(port):
            if running.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{process} did not start: {(folder / 'output').read_text()}")
            time.sleep(0.02)
        yield Server(port, running.pid, process)


def ended(running: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, and see to it."""
    running.terminate()
    try:
        running.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


def answers(port: int) -> bool:
    """Return whether something accepts connections on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
