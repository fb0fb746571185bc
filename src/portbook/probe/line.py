"""A line to a server: a TCP connection, with TLS on it where it is asked for, bounded in time and size.

It drives conversations (protocols/conversation.py) and keeps what the server said to them. Which conversation is held
is left to identify.py.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from portbook.protocols.conversation import MOST, Heard, Say, StartTls

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from portbook.porttest import Finding, Tls
    from portbook.probe.tls import TlsClient
    from portbook.protocols.conversation import Conversation

_CHUNK = 65536
_FAREWELL_SECONDS = 0.2
_MOST_HANDSHAKE = 1 << 18
"""Bytes of a server's side of the handshake: OpenSSL takes chains of 100 KiB, and others send no such."""


async def drive(take: Callable[[Say | StartTls], Awaitable[Heard]], conversation: Conversation) -> Finding | None:
    """Hold a conversation to its end by a function that takes its steps, and return what it found."""
    try:
        step = next(conversation)
        while True:
            step = conversation.send(await take(step))
    except StopIteration as stop:
        found: Finding | None = stop.value
        return found
    finally:
        conversation.close()


class Line:
    """A TCP connection.

    `host` is the name that a certificate is to be for, `patience` how long silence lasts, `until` the moment
    (monotonic) at which all of it ends.
    """

    def __init__(self, made: socket.socket, host: str, patience: float, until: float) -> None:
        self.socket = made
        self.host = host
        self.patience = patience
        self.until = until
        self.tls: TlsClient | None = None
        self.transcript = b""
        """What the server said, inside TLS where there is some; MOST bytes at most."""
        self.failure: str | None = None
        self.asked_for_certificate = False
        """Whether the server wanted this side's certificate."""
        self.raw = b""
        """The first bytes that came, as they were on the wire."""
        self.ended = False
        self.hung_up = False
        """Whether the server ended the connection, not this side."""
        self.shown: Tls | None = None
        """What was learned of a TLS session that came to nothing."""
        self.said = 0
        """How many bytes were said, inside TLS where there is some."""
        self._loop = asyncio.get_running_loop()

    async def drive(self, conversation: Conversation) -> Finding | None:
        """Hold a conversation to its end, and return what it found."""
        return await drive(self.take, conversation)

    async def take(self, step: Say | StartTls) -> Heard:
        """Take one step of a conversation."""
        if self.ended:
            return Heard(ended="end")
        if isinstance(step, StartTls):
            return await self.start_tls(step.alpn)
        if step.farewell:
            await self.farewell(step.data)
            return Heard()
        if step.data and not await self._send(step.data):
            return Heard(ended="reset")
        return await self.hear()

    async def start_tls(self, alpn: tuple[str, ...] = ()) -> Heard:
        """Put TLS on the connection; `ended` is set where that failed, and `failure` says why."""
        if self.tls is not None:
            return Heard(ended="reset")
        from portbook.probe.tls import NoTls, TlsClient

        tls = TlsClient(self.host, alpn)
        try:
            self.failure = await self._handshake(tls)
        except NoTls as error:
            self.failure = str(error)
            # The alert that says why (RFC 8446, section 6.2).
            await self._send_raw(tls.unsent())
        self.asked_for_certificate = tls.asked_for_certificate
        if self.failure is not None:
            self.shown = tls.learned()
            return Heard(ended="reset")
        self.tls = tls
        # What the server said at once came with the end of the handshake.
        said = tls.receive(b"")
        self.transcript = b""
        self._note(said)
        return Heard(said, tls=tls.learned())

    async def _handshake(self, tls: TlsClient) -> str | None:
        """Shake hands; return why it came to nothing, None where it is done. Raises NoTls."""
        came_in_all = 0
        while came_in_all < _MOST_HANDSHAKE:
            sending = tls.to_send()
            if sending and not await self._send_raw(sending):
                return "reset"
            if tls.done:
                return None
            came = await self._hear_raw()
            if not came.data:
                return came.ended or "silence"
            came_in_all += len(came.data)
            tls.take(came.data)
        return "endless"

    def learned(self) -> Tls | None:
        """Return what is known of the TLS session."""
        return None if self.tls is None else self.tls.learned()

    async def hear(self, patience: float | None = None) -> Heard:
        """Return what comes next, or how it ended."""
        deadline = monotonic() + (self.patience if patience is None else patience)
        while True:
            came = await self._hear_raw(deadline - monotonic())
            if self.tls is None or not came.data:
                self._note(came.data)
                return came
            from portbook.probe.tls import NoTls

            try:
                said = self.tls.receive(came.data)
                sending = self.tls.to_send()
            except NoTls:
                return Heard(ended="reset")
            if sending:
                await self._send_raw(sending)
            if said:
                self._note(said)
                return Heard(said)
            if self.tls.closed:
                self.hung_up = True
                return Heard(ended="end")

    async def farewell(self, data: bytes = b"") -> None:
        """Say the last words and close."""
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                if data:
                    await self._send(data)
                if self.tls is not None:
                    await self._send_raw(self.tls.farewell())
        except TimeoutError:
            pass
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.ended = True
        self.socket.close()

    def _note(self, data: bytes) -> None:
        self.transcript = (self.transcript + data)[:MOST]

    async def _send(self, data: bytes) -> bool:
        self.said += len(data)
        if self.tls is None:
            return await self._send_raw(data)
        from portbook.probe.tls import NoTls

        try:
            self.tls.say(data)
            return await self._send_raw(self.tls.to_send())
        except NoTls:
            return False

    async def _send_raw(self, data: bytes) -> bool:
        try:
            async with asyncio.timeout(max(0.01, self.until - monotonic())):
                await self._loop.sock_sendall(self.socket, data)
        except OSError:
            self.hung_up = True
            return False
        except TimeoutError:
            return False
        return True

    async def _hear_raw(self, patience: float | None = None) -> Heard:
        """Return what comes, or silence after `patience` seconds."""
        patience = self.patience if patience is None else patience
        left = min(patience, self.until - monotonic())
        if self.ended:
            return Heard(ended="end")
        if left <= 0:
            # Otherwise one who never stops would be heard for ever: what is there already is given without a wait.
            return Heard(ended="silence")
        try:
            async with asyncio.timeout(left):
                data = await self._loop.sock_recv(self.socket, _CHUNK)
        except TimeoutError:
            return Heard(ended="silence")
        except OSError:
            self.ended = self.hung_up = True
            return Heard(ended="reset")
        if not data:
            self.ended = self.hung_up = True
            return Heard(ended="end")
        if len(self.raw) < _CHUNK:
            self.raw += data
        return Heard(data)
