"""Open ports are known by what their servers say, in few connections, whatever these servers do."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from portbook.probe.identify import MOST_CONNECTIONS, Identification, Patience
from portbook.probe.line import Line

from .conftest import HASTY, HOST, found_at
from .serving import Authority, Served, reset, served, tls

pytestmark = pytest.mark.usefixtures("hasty")


def greeting(data: bytes, *answers: bytes) -> Callable[[socket.socket, Served], None]:
    """A server that says something, and an answer to each thing that is said to it."""

    def handler(connection: socket.socket, state: Served) -> None:
        connection.sendall(data)
        for answer in answers:
            if not connection.recv(65536):
                return
            connection.sendall(answer)
        while connection.recv(65536):
            pass

    return handler


HTTP = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("handler", "service", "product"),
    [
        (greeting(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "ssh", "OpenSSH"),
        (greeting(b"RFB 003.008\n", b"\x01\x02"), "rfb", None),
        (greeting(b"", HTTP), "http", "nginx"),
        (greeting(b"", b"-ERR unknown command 'GET'\r\n"), "redis", None),
        (greeting(b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", b"a OK\r\n"), "imap", "Dovecot"),
        (
            greeting(b"", b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\nContent-Type: text/html\r\n\r\n"),
            "socks",
            "Tor",
        ),
        (
            greeting(
                b"",
                b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\n"
                b"It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n",
            ),
            "mongodb",
            "MongoDB",
        ),
    ],
)  # fmt: skip
def test_one_connection_is_enough_for_what_says_it_at_once(
    handler: Callable[[socket.socket, Served], None], service: str, product: str | None, lines: list[Line]
) -> None:
    with served(handler) as server:
        found, _ = found_at(server.port)
    assert found is not None
    assert (found.service, found.product) == (service, product)
    # Redis is asked again in its own words, which those of HTTP are not.
    assert server.accepted == (2 if service == "redis" else 1)


def test_a_connection_that_was_made_already_is_the_first() -> None:
    with served(greeting(b"SSH-2.0-OpenSSH_9.2p1\r\n")) as server:
        made = socket.create_connection((HOST, server.port))
        made.setblocking(False)
        identification = Identification(HOST, HOST, server.port, HASTY, made)
        found = asyncio.run(identification.finding())
        assert made.fileno() == -1
    assert found is not None
    assert found.service == "ssh"
    assert server.accepted == 1


def test_who_stays_mute_is_asked_in_eight_connections_at_most(lines: list[Line]) -> None:
    def mute(connection: socket.socket, state: Served) -> None:
        while connection.recv(65536):
            pass

    with served(mute) as server:
        found, identification = found_at(server.port, HASTY._replace(whole=20.0))
    assert found is None
    assert identification.unknown == b""
    assert server.accepted == len(lines) == identification.connections
    assert 3 <= server.accepted <= MOST_CONNECTIONS


def test_a_mute_port_whose_protocol_has_nothing_to_ask_is_asked_in_others(lines: list[Line]) -> None:
    with served(greeting(b"", HTTP), "127.93.7.3", 9300) as server:
        found, _ = found_at(9300, host="127.93.7.3")
    assert found is not None
    assert found.product == "nginx"
    assert server.accepted == 1


def test_who_hangs_up_on_every_question_is_asked_eight_times_at_most(lines: list[Line]) -> None:
    def rude(connection: socket.socket, state: Served) -> None:
        connection.recv(65536)

    with served(rude) as server:
        found, _ = found_at(server.port)
    assert found is None
    assert 3 <= server.accepted <= MOST_CONNECTIONS


@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_who_closes_before_a_word_is_left_alone(end: Callable[[socket.socket], None], lines: list[Line]) -> None:
    with served(lambda connection, _: end(connection)) as server:
        found, identification = found_at(server.port)
    assert found is None
    assert identification.note == "it closes the connection before a word is said"
    assert server.accepted == 1


def test_a_greeting_that_comes_late_is_heard_all_the_same(lines: list[Line]) -> None:
    def slow(connection: socket.socket, state: Served) -> None:
        state.wait(0.9)
        connection.sendall(b"220 server.example ESMTP Postfix\r\n")
        while connection.recv(65536):
            connection.sendall(b"250 server.example\r\n")

    with served(slow) as server:
        found, _ = found_at(server.port, HASTY._replace(whole=20.0))
    assert found is not None
    assert (found.service, found.product) == ("smtp", "Postfix")
    assert server.accepted <= MOST_CONNECTIONS


def test_an_answer_that_is_slow_is_heard_all_the_same(lines: list[Line]) -> None:
    def slow(connection: socket.socket, state: Served) -> None:
        said = connection.recv(65536)
        state.wait(0.7)
        if said.startswith(b"GET "):
            connection.sendall(HTTP)

    with served(slow) as server:
        found, _ = found_at(server.port, HASTY._replace(whole=20.0))
    assert found is not None
    assert found.product == "nginx"


def _plain_ftp(connection: socket.socket) -> None:
    """A server that greets in words which many protocols have, and is FTP."""
    connection.sendall(b"220 Hello.\r\n")
    buffered = b""
    while data := connection.recv(65536):
        buffered += data
        while b"\r\n" in buffered:
            line, _, buffered = buffered.partition(b"\r\n")
            word = line.split(b" ")[0].upper()
            known = {b"NOOP": b"530 Please login with USER and PASS.\r\n", b"QUIT": b"221 Goodbye.\r\n"}
            connection.sendall(known.get(word, b"530 Please login with USER and PASS.\r\n"))


def test_a_greeting_that_could_be_of_several_is_asked_in_each(lines: list[Line]) -> None:
    with served(lambda connection, _: _plain_ftp(connection)) as server:
        found, _ = found_at(server.port)
    assert found is not None
    assert found.service == "ftp"
    assert server.accepted <= 3


def test_the_same_inside_tls(ca: Authority, lines: list[Line]) -> None:
    certificate = ca.issue("server.example")

    def handler(connection: socket.socket, state: Served) -> None:
        head = connection.recv(1, socket.MSG_PEEK)
        if head != b"\x16":
            return
        with tls(connection, certificate) as inside:
            _plain_ftp(inside)

    with served(handler) as server:
        found, _ = found_at(server.port)
    assert found is not None
    assert found.service == "ftps"
    assert found.tls is not None
    assert found.tls.names == ("server.example",)


def test_a_greeting_that_nobody_knows_is_kept_and_nothing_is_asked(lines: list[Line]) -> None:
    heard: list[bytes] = []

    def handler(connection: socket.socket, state: Served) -> None:
        connection.sendall(b"\xfe\xca my own protocol 1.0\n")
        heard.append(connection.recv(65536))

    with served(handler) as server:
        found, identification = found_at(server.port)
    assert found is None
    assert identification.unknown == b"\xfe\xca my own protocol 1.0\n"
    assert server.accepted == 1
    assert heard == [b""]


def _web(connection: socket.socket, alpn: tuple[str, ...], certificate: Path, asked: list[str | None]) -> None:
    with tls(connection, certificate, alpn) as inside:
        chosen = inside.selected_alpn_protocol()
        asked.append(chosen)
        if chosen == "h2":
            inside.sendall(bytes.fromhex("000006 04 00 00000000 0003 00000064"))
        if inside.recv(65536).startswith(b"GET ") and chosen != "h2":
            inside.sendall(HTTP)


@pytest.mark.parametrize(("offered", "chosen"), [(("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), ((), None)])
def test_https_is_asked_for_its_protocol_and_then_in_http(
    ca: Authority, offered: tuple[str, ...], chosen: str | None, lines: list[Line]
) -> None:
    asked: list[str | None] = []
    certificate = ca.issue("server.example")
    with served(lambda one, _: _web(one, offered, certificate, asked), "127.93.7.1", 10443) as server:
        found, _ = found_at(10443, host="127.93.7.1")
    assert found is not None
    assert (found.service, found.product, found.version) == ("https", "nginx", "1.22.1")
    assert found.tls is not None
    assert found.tls.alpn == chosen
    assert server.accepted == (2 if chosen == "h2" else 1)


def test_plain_http_at_a_port_of_tls_leads_to_tls(ca: Authority, lines: list[Line]) -> None:
    certificate = ca.issue("server.example")

    def handler(connection: socket.socket, state: Served) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            _web(connection, (), certificate, [])
        else:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n"
                b"The plain HTTP request was sent to HTTPS port"
            )

    with served(handler) as server:
        found, _ = found_at(server.port)
    assert found is not None
    assert (found.service, found.version) == ("https", "1.22.1")
    assert server.accepted == 2


def test_an_alert_to_a_question_leads_to_tls(ca: Authority, lines: list[Line]) -> None:
    certificate = ca.issue("server.example")

    def handler(connection: socket.socket, state: Served) -> None:
        with tls(connection, certificate) as inside:
            inside.sendall(b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n")
            while inside.recv(65536):
                inside.sendall(b"a OK done\r\n")

    def alerting(connection: socket.socket, state: Served) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            handler(connection, state)
        else:
            connection.recv(65536)
            connection.sendall(bytes.fromhex("15 0301 0002 02 0a"))

    with served(alerting) as server:
        found, _ = found_at(server.port)
    assert found is not None
    assert (found.service, found.product) == ("imaps", "Dovecot")


def test_a_service_at_anothers_port_is_known(lines: list[Line]) -> None:
    with served(greeting(b"SSH-2.0-dropbear_2022.83\r\n"), "127.93.7.2", 9443) as server:
        found, _ = found_at(9443, host="127.93.7.2")
    assert found is not None
    assert (found.service, found.product) == ("ssh", "Dropbear")
    assert server.accepted == 1


def test_a_cancelled_identification_closes_its_connection(lines: list[Line]) -> None:
    async def cancelled(port: int) -> None:
        task = asyncio.create_task(Identification(HOST, HOST, port).finding())
        while not lines:
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with served(lambda _, state: state.wait()) as server:
        asyncio.run(cancelled(server.port))
    gc.collect()
    assert len(lines) == 1


def test_a_port_that_is_closed_by_now_is_nothing() -> None:
    with socket.create_server((HOST, 0)) as made:
        port = made.getsockname()[1]
    assert found_at(port)[0] is None


def test_time_is_up_at_once() -> None:
    with served(lambda _, state: state.wait()) as server:
        begun = Identification(HOST, HOST, server.port, Patience(whole=0.0))
        time.sleep(0.001)
        assert asyncio.run(begun.finding()) is None
    assert server.accepted == 0
