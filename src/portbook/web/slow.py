"""HTTP over connections that must not be held: a bounded number of each address and in all, heads and bodies of
bounded size, and a deadline for each step, so that who sends or reads a byte a second is let go.

The protocol itself is uvicorn's; what is answered is app.py's.
"""

from __future__ import annotations

import socket
from collections import Counter
from http import HTTPStatus
from time import monotonic

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from portbook.errors import BadQuestion
from portbook.web.quotas import networks
from portbook.web.visitor import is_trusted, normalised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

    from portbook.web.settings import Settings

MOST_HEAD_BYTES = 32 * 1024
MOST_URL_BYTES = 8 * 1024
MOST_HEADERS = 100
MOST_BODY_BYTES = 1024 * 1024
"""What is read of a body whose request has been refused already, so that the refusal can be read."""
_MOST_WAITING = 8
"""Requests that were sent before the answer to an earlier one had come."""
_LOOK = 1.0
"""Seconds from one look at all connections to the next."""


class Held:
    """The connections of one worker, and the look at them all that ends those which take too long."""

    def __init__(self, settings: Settings) -> None:
        self.limits = settings.connections
        self._settings = settings
        self._of: Counter[str] = Counter()
        self._connections: set[Timed] = set()
        self._look = min(_LOOK, self.limits.head / 4, self.limits.body / 4, self.limits.answer / 4)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def counted_as(self, ip: str) -> str | None:
        """Return what the connections of an address are counted as: all of a proxy's own are None."""
        try:
            address = normalised(ip)
        except BadQuestion:
            return ip  # with a zone
        return None if is_trusted(address, self._settings) else networks(str(address))[0]

    def take(self, connection: Timed, counted_as: str | None) -> bool:
        """Return whether there is room for one more, which is held then."""
        if len(self) >= self.limits.all or (counted_as and self._of[counted_as] >= self.limits.address):
            return False
        self._connections.add(connection)
        if counted_as:
            self._of[counted_as] += 1
        if self._timer is None:
            self._timer = connection.loop.call_later(self._look, self._look_at_all, connection.loop)
        return True

    def give_back(self, connection: Timed, counted_as: str | None) -> None:
        """Hold a connection no longer."""
        self._connections.discard(connection)
        if counted_as:
            self._of[counted_as] -= 1
            if not self._of[counted_as]:
                del self._of[counted_as]

    def _look_at_all(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for connection in list(self._connections):
            connection.hurry(now)
        self._timer = loop.call_later(self._look, self._look_at_all, loop) if self._connections else None


class Timed(HttpToolsProtocol):
    """One connection; `held` are all of its worker."""

    held: Held

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._counted_as: str | None = None
        self._taken = False
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._unread_since: float | None = None
        self._in_head = False
        self._head_bytes = self._fields_bytes = self._body_bytes = 0
        self._why = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio.Protocol."""
        peer = transport.get_extra_info("peername")
        self._counted_as = self.held.counted_as(str(peer[0])) if isinstance(peer, tuple) else None
        self.transport = transport
        self._taken = self.held.take(self, self._counted_as)
        if not self._taken:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        made = transport.get_extra_info("socket")
        if made.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does so only for sockets that were made with the protocol's number.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # A visitor who vanished, or whose window stays shut, does not acknowledge (RFC 5482).
                milliseconds = int(self.held.limits.answer * 1000)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._head_since = monotonic()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio.Protocol."""
        if self._taken:
            self.held.give_back(self, self._counted_as)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio.Protocol. What is no HTTP is answered and not logged, since anybody can send it."""
        if not self._taken or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # another protocol is not spoken here; the request is answered as it is
            return
        except httptools.HttpParserError:
            self._refuse()
            return
        self._head_bytes += len(data) if self._in_head else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self._why = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse()
        elif self._head_since is None and self._body_since is None and self._is_idle():
            self._head_since = monotonic()  # empty lines, which may come before a request (RFC 9112, section 2.2)

    def on_message_begin(self) -> None:
        """As httptools."""
        if len(self.pipeline) >= _MOST_WAITING:
            self._stop(HTTPStatus.TOO_MANY_REQUESTS)
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._fields_bytes = self._body_bytes = 0
        if self._head_since is None:
            self._head_since = monotonic()

    def on_url(self, url: bytes) -> None:
        """As httptools."""
        super().on_url(url)
        if len(self.url) > MOST_URL_BYTES:
            self._stop(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As httptools. What comes after a body is no header: who asked has been decided by then."""
        if not self._in_head:
            return
        super().on_header(name, value)
        self._fields_bytes += len(name) + len(value)
        if len(self.headers) > MOST_HEADERS or self._fields_bytes > MOST_HEAD_BYTES:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """As httptools."""
        self._in_head = False
        self._head_since = None
        self._body_since = monotonic()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """As httptools."""
        self._body_bytes += len(body)
        if self._body_bytes > MOST_BODY_BYTES:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """As httptools."""
        self._body_since = None
        super().on_message_complete()

    def hurry(self, now: float) -> None:
        """End what has taken too long."""
        limits = self.held.limits
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > limits.answer:
            self.transport.abort()
            return
        head, body = self._head_since, self._body_since
        if self.transport.is_closing():
            return
        if (head is not None and now - head > limits.head) or (body is not None and now - body > limits.body):
            self._why = HTTPStatus.REQUEST_TIMEOUT
            self._refuse()

    def _should_upgrade_to_ws(self) -> bool:
        return False

    def _is_idle(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    def _stop(self, why: HTTPStatus) -> None:
        """Have the parser stop: what it calls may only raise."""
        self._why = why
        raise ValueError(why)

    def _refuse(self) -> None:
        """Answer what cannot be read on, unless an answer to what came before it stands half written."""
        if self._is_idle() or not self.cycle.response_started:
            self._answer(self._why)
        else:
            self.transport.close()

    def _answer(self, why: HTTPStatus) -> None:
        said = f"{why.phrase}\n"
        retry = "retry-after: 5\r\n" if why == HTTPStatus.SERVICE_UNAVAILABLE else ""
        self.transport.write(
            f"HTTP/1.1 {why.value} {why.phrase}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(said)}\r\n"
            "connection: close\r\n"
            "cache-control: no-store\r\n"
            "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
            "x-content-type-options: nosniff\r\n"
            f"{retry}\r\n{said}".encode("ascii")
        )
        self.transport.close()


def protocol(settings: Settings) -> type[Timed]:
    """Return the protocol of the connections of one worker."""
    return type("Timed", (Timed,), {"held": Held(settings)})
