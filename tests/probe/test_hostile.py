"""Servers that mean no good: each comes to an end within bounds, and proves nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from portbook.probe.identify import MOST_CONNECTIONS
from portbook.probe.line import Line

from .conftest import HASTY, found_at
from .serving import Authority, Served, reset, served, tls

pytestmark = pytest.mark.usefixtures("hasty")


def _silence(connection: socket.socket, state: Served) -> None:
    state.wait()


def _endless(connection: socket.socket, state: Served) -> None:
    while not state.ending.is_set():
        connection.sendall(b"\x8f\x00\xc1" * 20000)


def _byte_by_byte(connection: socket.socket, state: Served) -> None:
    while not state.ending.wait(0.05):
        connection.sendall(b"a")


def _loris(connection: socket.socket, state: Served) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    _byte_by_byte(connection, state)


def _long_line(connection: socket.socket, state: Served) -> None:
    connection.sendall(b"a" * (1 << 20))
    state.wait()


def _long_header(connection: socket.socket, state: Served) -> None:
    connection.recv(65536)
    connection.sendall(b"\x01" + b"b" * (1 << 20) + b"\r\n\r\n")
    state.wait()


def _echo(connection: socket.socket, state: Served) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def _malformed_tls(connection: socket.socket, state: Served) -> None:
    data = connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(60) if data[:1] == b"\x16" else b"")
    connection.sendall(b"\xff" * 5000)


def _endless_tls(connection: socket.socket, state: Served) -> None:
    if connection.recv(65536)[:1] != b"\x16":
        return
    while not state.ending.is_set():
        connection.sendall(b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(16380))


def _resets_in_the_middle(connection: socket.socket, state: Served) -> None:
    connection.recv(10)
    connection.sendall(b"\x00\x01")
    reset(connection)


def _reads_nothing(connection: socket.socket, state: Served) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    state.wait()


@pytest.mark.parametrize(
    "handler",
    [
        *(_silence, _endless, _byte_by_byte, _loris, _long_line, _long_header, _echo, _malformed_tls, _endless_tls),
        *(_resets_in_the_middle, _reads_nothing),
    ],
)
def test_the_hostile_prove_nothing_and_come_to_an_end(
    handler: Callable[[socket.socket, Served], None], lines: list[Line]
) -> None:
    with served(handler) as server:
        found, identification = found_at(server.port, HASTY._replace(whole=3.0))
    proven: dict[object, str] = {_echo: "echo", _malformed_tls: "ssl", _endless_tls: "ssl", _loris: "http"}
    assert (None if found is None else found.service) == proven.get(handler)
    assert server.accepted <= MOST_CONNECTIONS
    assert len(identification.unknown) <= 200
    assert all(len(line.transcript) <= 65536 and len(line.raw) <= 1 << 18 for line in lines)


def test_the_hostile_inside_tls_prove_nothing_either(ca: Authority, lines: list[Line]) -> None:
    certificate = ca.issue("server.example", subject="\x1b]0;pwned\x07")

    def handler(connection: socket.socket, state: Served) -> None:
        with tls(connection, certificate) as inside:
            for _ in range(200):
                inside.sendall(b"\x1b[2J\x9b\x00" * 4000)

    with served(handler) as server:
        found, _ = found_at(server.port)
    assert found is not None
    assert found.service == "ssl"
    assert found.tls is not None
    assert found.tls.subject == "\x1b]0;pwned\x07"  # as it came; what is shown is cleaned where it is shown
