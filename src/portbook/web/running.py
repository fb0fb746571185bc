"""The server as a process: its secret, the socket that listens, one worker or several, and its end.

The HTTP server is uvicorn's; what it answers is app.py's, and how workers are kept workers.py's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
from contextlib import contextmanager
from functools import partial
from time import monotonic

import uvicorn
from redis.exceptions import RedisError

from portbook.errors import N_, Unavailable
from portbook.probe.files import room_for_files
from portbook.web import logs, metrics
from portbook.web.app import create_app
from portbook.web.database import Database
from portbook.web.settings import read_settings
from portbook.web.slow import protocol
from portbook.web.store import store
from portbook.web.workers import Crew, supervise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from portbook.web.settings import Settings
    from portbook.web.site import Site
    from portbook.web.workers import Tether

_LEAVE_SECONDS = 3
"""For requests that are being answered when the server is told to end."""
_TICK = 0.1

_GARBAGE = (20_000, 20, 50)
"""How many new objects, and then how many looks at the young ones, there are before garbage is looked for."""

_QUEUE = 4096
"""Connections that wait to be accepted."""


def secret_of(settings: Settings) -> str:
    """Return the secret that signs sessions: the one that is set, else that of the data folder, made the first time.

    Raises Unavailable where the folder cannot be written.
    """
    if settings.secret is not None:
        return settings.secret
    path = os.path.join(settings.data, "secret")
    try:
        os.makedirs(settings.data, mode=0o700, exist_ok=True)
        draft = f"{path}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(draft, path)  # the first of several workers makes it, and never half
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError as error:
        raise Unavailable(
            N_("cannot keep data in {folder}: {reason}; set data to a folder that may be written"),
            folder=settings.data,
            reason=error.strerror,
        ) from error


def listening(settings: Settings) -> socket.socket:
    """Return the socket that listens. Raises Unavailable where the address or the port cannot be had."""
    ip, port = settings.listen
    made = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in ip:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ip != "::")
        made.bind((ip, port))
        made.listen(_QUEUE)
    except OSError as error:
        made.close()
        raise Unavailable(
            N_("cannot listen on {listen}: {reason} (portbook who {port} tells who has the port)"),
            listen=settings.listen,
            reason=error.strerror,
            port=port,
        ) from error
    return made


def serve(settings: Settings, path: str | None, given: Mapping[str, Any]) -> None:
    """Serve until SIGTERM or SIGINT; with several workers, SIGHUP reads the settings anew and loses no test.

    `path` and `given` are what the settings were read from. Raises Unavailable where the address, the data folder,
    the database or the shared store cannot be had.
    """
    logs.configure(settings.logs)
    secret = secret_of(settings)
    with listening(settings) as made:
        asyncio.run(_prepared(settings))
        if settings.workers == 1:
            with _left_alone_by_the_terminal():
                _answer(settings, secret, made)
            return
        gc.collect()
        gc.freeze()  # what is there now stays shared with the workers

        def crew(settings: Settings) -> Crew:
            return Crew(
                settings.workers,
                lambda tether: _answer(settings, secret, made, tether),
                partial(metrics.worker_ended, settings),
            )

        metrics.prepare(settings)
        supervise(crew(settings), lambda: crew(read_settings(path, given)))


async def _prepared(settings: Settings) -> None:
    """See to it that what outlives the process is there, before the first request. Raises Unavailable."""
    database = Database(settings)
    try:
        await database.prepare()
    finally:
        await database.close()
    if settings.shared is None:
        return
    shared = store(settings.shared)
    try:
        await shared.ping()
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(N_("the shared store cannot be reached: {reason}"), reason=error) from error
    finally:
        await shared.aclose()


@contextmanager
def _left_alone_by_the_terminal() -> Iterator[None]:
    """Have SIGHUP end this process only where it has a terminal, whose end the signal tells."""
    if os.isatty(0):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _answer(settings: Settings, secret: str, made: socket.socket, tether: Tether | None = None) -> None:
    """Answer requests until this process is told to end, or its parent is gone."""
    room_for_files()
    app = create_app(settings, secret)
    app.state.site.warm()
    # What is there stays; to look through it again and again for garbage would cost a tenth of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    config = uvicorn.Config(
        app,
        http=protocol(settings),
        ws="none",
        loop="uvloop",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        backlog=_QUEUE,
        timeout_graceful_shutdown=_LEAVE_SECONDS,
    )
    # uvicorn sends itself again what ended it; that is nothing to die of.
    before = {number: signal.signal(number, _nothing) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _Server(config, app.state.site, tether).run(sockets=[made])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """uvicorn, which ends the tests before the connections that read them, or waits for both."""

    def __init__(self, config: uvicorn.Config, site: Site, tether: Tether | None) -> None:
        super().__init__(config)
        self._site, self._tether = site, tether
        self._finishes = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn; then say that this worker answers."""
        await super().startup(sockets)
        if self._tether is None or not self.started:
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tether.parent, self._orphaned)
        loop.add_signal_handler(signal.SIGHUP, self._finish)
        self._tether.is_ready()

    def _orphaned(self) -> None:
        assert self._tether is not None
        asyncio.get_running_loop().remove_reader(self._tether.parent)
        self.should_exit = True

    def _finish(self) -> None:
        self._finishes = self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn, after the tests: they are ended, and said to be, or finished first."""
        for server in self.servers:
            server.close()
        if self._finishes:
            self.should_exit = False
            for connection in list(self.server_state.connections):
                connection.shutdown()
            until = monotonic() + self._site.settings.quotas.seconds + _LEAVE_SECONDS
            while (self._site.runs.running or self.server_state.tasks) and monotonic() < until:
                if self.should_exit:
                    break
                await asyncio.sleep(_TICK)
        await self._site.runs.end()
        await super().shutdown(sockets)


def _nothing(*_: object) -> None:
    """Take a signal and do nothing."""
