"""Ports of loopback that answer in a known way, and names for them, for the tests of `portbook test`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Answer

HOME = "127.0.0.1"
GREETING = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"


class Greeter:
    """A server that greets every client, one after the other, and hangs up when the client does.

    `clients` counts those that it has come to; `settled` waits until it has come to all.
    """

    def __init__(self, address: str = "127.0.0.1", greeting: bytes = GREETING, port: int = 0) -> None:
        self.greeting = greeting
        self.clients = 0
        self.socket = socket.create_server((address, port), backlog=64)
        self.port = int(self.socket.getsockname()[1])
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.clients += 1
            with client:
                client.settimeout(10)
                try:
                    client.sendall(self.greeting)
                    while client.recv(4096):
                        pass
                except OSError:
                    pass

    def settled(self) -> int:
        """Return how many clients have come so far, when it has greeted another, which came after them."""
        with socket.create_connection(self.socket.getsockname(), timeout=30) as last:
            assert last.recv(1)
        self.clients -= 1
        return self.clients

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@contextmanager
def greeter(address: str = "127.0.0.1", greeting: bytes = GREETING, port: int = 0) -> Iterator[Greeter]:
    server = Greeter(address, greeting, port)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def closed(count: int = 1, address: str = "127.0.0.1") -> Iterator[list[int]]:
    """Yield ports that are held by sockets which do not listen: the kernel resets."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.bind((address, 0))
            ports.append(int(held.getsockname()[1]))
        yield ports


@contextmanager
def silent(address: str = "127.0.0.1") -> Iterator[int]:
    """Yield a port whose queue is full: the kernel drops every further SYN (listen(2))."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server((address, 0), backlog=0))
        stack.enter_context(socket.create_connection(full.getsockname()))
        yield int(full.getsockname()[1])


def nobody(host: str, *_: object, **__: object) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def two_addresses(host: str, *_: object, **__: object) -> list[Any]:
    if host != "two.example":
        return nobody(host)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in (HOME, "127.0.0.2")]


def rows(answer: Answer) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in answer.lines]
    assert all(isinstance(one, dict) for one in found)
    return found


@contextmanager
def running(*arguments: str, stdout: int = subprocess.PIPE, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command line as a process of its own, which Ctrl-C can end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "portbook", *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", **environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
