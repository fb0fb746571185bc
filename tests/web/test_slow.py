"""Connections that somebody holds on purpose: heads and bodies a byte a time, without end, too many, never read."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from portbook.web import slow

from .conftest import Serving

QUICK = {"head": 0.4, "body": 0.4, "answer": 0.6}
_PATIENCE = 20.0


class Raw:
    """A connection whose every byte the test chooses."""

    def __init__(self, url: str, room: int | None = None) -> None:
        parts = urlsplit(url)
        self.host = f"{parts.hostname}:{parts.port}".encode()
        self.socket = socket.socket()
        if room is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)  # before its window is told
        self.socket.settimeout(_PATIENCE)
        self.socket.connect((parts.hostname or "", parts.port or 80))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Raw:
        self.socket.sendall(data.replace(b"HOST", self.host))
        return self

    def rest(self) -> bytes:
        """Return what comes until the other side ends the connection, which it must."""
        found = b""
        try:
            while piece := self.socket.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
        return found

    def drip(self, piece: bytes) -> bytes:
        """Send a piece again and again until the other side ends the connection; return what it said."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                self.socket.sendall(piece)
                self.socket.settimeout(0.05)
                found = self.socket.recv(65536)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return b""
            self.socket.settimeout(_PATIENCE)
            return found + self.rest()
        raise AssertionError("the connection was kept")


GET = b"GET / HTTP/1.1\r\nHost: HOST\r\n"
POST = b"POST /tests HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
def quick(serving: Serving) -> str:
    return serving(connections=QUICK)


def test_nothing_is_waited_for_without_end(quick: str) -> None:
    with Raw(quick) as one:
        assert one.rest().startswith(b"HTTP/1.1 408 ")


def test_a_head_a_byte_a_time(quick: str) -> None:
    with Raw(quick) as one:
        assert one.send(GET).drip(b"x").startswith(b"HTTP/1.1 408 ")


def test_empty_lines_before_a_request_keep_no_connection(quick: str) -> None:
    with Raw(quick) as one:
        one.send(b"GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n")
        assert one.socket.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in one.drip(b"\r\n")


def test_a_body_a_byte_a_time(quick: str) -> None:
    with Raw(quick) as one:
        assert one.send(POST + b"Content-Length: 60000\r\n\r\n").drip(b"x").startswith(b"HTTP/1.1 408 ")


def test_a_body_a_chunk_a_time(quick: str) -> None:
    with Raw(quick) as one:
        assert b" 408 " in one.send(POST + b"Transfer-Encoding: chunked\r\n\r\n").drip(b"1\r\nx\r\n")


def test_a_chunk_extension_without_end(quick: str) -> None:
    with Raw(quick) as one:
        assert b" 408 " in one.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1;").drip(b"x")


def test_a_body_that_nobody_asked_for(quick: str) -> None:
    with Raw(quick) as one:
        one.send(b"GET /healthz HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 200 " in one.drip(b"1\r\nx\r\n")


def test_chunks_without_end_are_cut(serving: Serving) -> None:
    with Raw(serving()) as one:
        one.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 64 * 1024 * 1024:
                one.send(chunk)
                sent += len(chunk)
    assert sent < 16 * 1024 * 1024  # most of it stood in buffers


def test_a_body_that_says_it_is_huge_is_refused_before_it_is_sent(serving: Serving) -> None:
    with Raw(serving()) as one:
        one.send(POST + b"Content-Length: 99999999999\r\n\r\n")
        assert one.socket.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_what_a_form_takes_is_refused(serving: Serving, chunked: bool) -> None:
    body = b"ports=" + b"1," * 50_000
    answer = httpx.post(f"{serving()}/tests", content=iter([body]) if chunked else body, headers=FORM)
    assert answer.status_code == 413
    assert "default-src 'none'" in answer.headers["content-security-policy"]


FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (GET + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (GET + b"X: " + b"x" * 400_000, 431),
        (GET + b"x" * 400_000, 431),
        (GET + b"X: y\r\n" * 101 + b"\r\n", 431),
        (GET + b"X: y\r\n" * 20_000, 431),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n", 414),
        (b"GET /?" + b"x" * 400_000, 414),
        (b"x" * 400_000, 400),
    ],
    ids=["header", "header without end", "name", "many", "too many", "path", "query", "method"],
)
def test_a_head_that_is_too_large(serving: Serving, head: bytes, status: int) -> None:
    with Raw(serving()) as one:
        with suppress(BrokenPipeError, ConnectionResetError):
            one.send(head)
        found = one.rest()
    # What has not been read when the connection ends makes the kernel reset it, and the answer may be lost.
    assert found.startswith(b"HTTP/1.1 %d " % status) or not found


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nX\x00: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nX: y\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nX : y\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: HOST\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: HOST\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_one_answer_and_the_door(serving: Serving, request_: bytes) -> None:
    with Raw(serving()) as one:
        found = one.send(request_).rest()
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"content-security-policy: default-src 'none'" in found


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"x"])
def test_no_other_protocol_is_spoken(quick: str, upgrade: bytes) -> None:
    with Raw(quick) as one:
        one.send(b"GET /healthz HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: " + upgrade)
        found = one.send(
            b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).rest()
    assert found.startswith(b"HTTP/1.1 200 ")
    assert found.count(b"HTTP/1.1") == 1
    assert b"\r\nconnection: close\r\n" in found


def test_no_tunnel_is_opened(quick: str) -> None:
    with Raw(quick) as one:
        assert one.send(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: HOST\r\n\r\n").rest().startswith(b"HTTP/1.1 4")


def test_a_trailer_is_no_header(serving: Serving) -> None:
    url = serving(trusted_proxies=("127.0.0.1/32",))
    with Raw(url) as one:
        one.send(
            b"GET /api/v1/me HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-For: 127.0.0.2\r\nTransfer-Encoding: chunked\r\n"
        )
        one.send(b"Connection: close\r\n\r\n0\r\nX-Forwarded-For: 127.0.0.3\r\nHost: evil.example\r\n\r\n")
        found = one.rest()
    assert b"127.0.0.2" in found
    assert b"127.0.0.3" not in found


def test_requests_ahead_of_their_answers_are_few(serving: Serving) -> None:
    with Raw(serving()) as one:
        with suppress(BrokenPipeError, ConnectionResetError):
            one.send((GET + b"\r\n") * 400)
        assert one.rest().count(b"HTTP/1.1 200 ") < 50


def test_an_ordinary_visitor_keeps_their_connection(quick: str) -> None:
    with httpx.Client(base_url=quick) as web:
        for _ in range(5):
            assert web.get("/healthz").status_code == 200
            time.sleep(0.2)  # longer, all together, than any deadline


@contextmanager
def many(url: str, count: int) -> Iterator[list[Raw]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Raw(url)) for _ in range(count)]


def refused(connections: list[Raw]) -> int:
    """Return how many are told at once that there is no room."""
    found = 0
    for one in connections:
        one.socket.settimeout(1.0)
        try:
            found += one.socket.recv(65536).startswith(b"HTTP/1.1 503 ")
        except TimeoutError:
            break
        except ConnectionResetError:
            found += 1
    return found


def test_an_address_has_so_many_connections_and_no_more(serving: Serving) -> None:
    url = serving(connections={"address": 20})
    with many(url, 20), many(url, 30) as late:
        assert refused(late) == 30
    assert settled(lambda: httpx.get(f"{url}/healthz").status_code == 200)


def test_all_together_have_so_many(serving: Serving) -> None:
    url = serving(connections={"all": 20}, trusted_proxies=("127.0.0.1/32",))
    with many(url, 20), many(url, 10) as late:
        assert refused(late) == 10


def test_a_proxy_has_as_many_as_it_needs(serving: Serving) -> None:
    url = serving(connections={"address": 5}, trusted_proxies=("127.0.0.1/32",))
    with many(url, 50), Raw(url) as one:
        one.send(b"GET /healthz HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-For: 127.0.0.2\r\nConnection: close\r\n\r\n")
        assert one.rest().startswith(b"HTTP/1.1 200 ")


def test_two_thousand_idle_connections_come_and_go(quick: str) -> None:
    with many(quick, 2000) as idle:
        for one in idle:
            one.rest()
        assert httpx.get(f"{quick}/healthz").status_code == 200


def settled(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("by", ["this process", "the kernel"])
def test_who_never_reads_is_let_go(serving: Serving, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """By two means, either of which suffices."""
    if by == "this process":
        monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    else:
        monkeypatch.setattr(slow.Timed, "hurry", lambda *_: None)
    held: list[slow.Held] = []
    made = slow.Held.__init__

    def noted(self: slow.Held, settings: Any) -> None:
        made(self, settings)
        held.append(self)

    monkeypatch.setattr(slow.Held, "__init__", noted)
    url = serving(connections=QUICK)
    with Raw(url, room=4096) as one:
        # Answers that nobody takes fill what the kernel keeps for both sides, and then this server's own memory.
        with suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            for _ in range(150):
                one.send(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n")
                time.sleep(0.03)  # not so many at once that they are refused
        assert settled(lambda: all(len(one) == 0 and not one._of for one in held))
