"""The server for its tests: in this process, where a test chooses the visitor's address, and on a real port.

    async with client(ip="203.0.113.7") as web:
        answer = await web.get("/api/v1/me")

    answer = httpx.get(f"{serving(mode='local')}/healthz")

Each server has settings, a folder and counters of its own and ends with the test.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from portbook.web.app import create_app
from portbook.web.settings import Settings, read_settings
from portbook.web.site import Site
from portbook.web.slow import protocol

HOST = "ports.example"
"""The name under which the server in this process answers."""

SERVER = ("192.0.2.1", 80)
"""Where the app in this process was reached, for all it knows."""

SECRET = "not secret at all"
_SECONDS = 20.0


class Web(httpx.AsyncClient):
    """A visitor of an app in this process, which sees their requests come from `ip` and `port`.

    An answer is there when all of it is: what comes bit by bit is tested with `serving`.
    """

    def __init__(self, app: FastAPI, ip: str, port: int, base_url: str) -> None:
        async def reached(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "server": SERVER}, receive, send)  # httpx has the name that was asked for there

        super().__init__(
            transport=httpx.ASGITransport(reached, client=(ip, port)), base_url=base_url, timeout=_SECONDS
        )
        self.app = app

    @property
    def site(self) -> Site:
        """What the app's requests share."""
        site: Site = self.app.state.site
        return site

    def coming_from(self, ip: str, port: int = 40000) -> Web:
        """Return another visitor of the same app."""
        return Web(self.app, ip, port, str(self.base_url))


class Clients(Protocol):
    """The fixture `client`: an app with these settings, and a visitor of it."""

    def __call__(
        self,
        settings: Settings | None = None,
        ip: str = ...,
        port: int = ...,
        base_url: str = ...,
        **given: Any,
    ) -> AbstractAsyncContextManager[Web]: ...


class Serving(Protocol):
    """The fixture `serving`: a server with these settings on a loopback port; returns its base URL."""

    def __call__(self, **given: Any) -> str: ...


@pytest.fixture
def made_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return what makes settings: a public server with a data folder of the test's own, and what is given."""
    for name in [name for name in os.environ if name.upper().startswith("PORTBOOK_")]:
        monkeypatch.delenv(name)

    def made(**given: Any) -> Settings:
        return read_settings(None, {"mode": "public", "hosts": (HOST,), "data": str(tmp_path / "serve"), **given})

    return made


@pytest.fixture
def client(made_settings: Callable[..., Settings]) -> Clients:
    """Return what makes an app and its visitor, for an `async with`."""

    @asynccontextmanager
    async def made(
        settings: Settings | None = None,
        ip: str = "203.0.113.7",
        port: int = 40000,
        base_url: str = f"http://{HOST}",
        **given: Any,
    ) -> AsyncIterator[Web]:
        app = create_app(settings or made_settings(**given), SECRET)
        async with app.router.lifespan_context(app), Web(app, ip, port, base_url) as web:
            yield web

    return made


class Visited(Protocol):
    """What asks an app of this process, and returns its answer."""

    def __call__(self, method: str, url: str | httpx.URL, **given: Any) -> httpx.Response: ...


@contextmanager
def visiting(visit: AbstractAsyncContextManager[Web]) -> Iterator[Visited]:
    """Give what `client` made to a test that is not asynchronous, which asks one question after the other."""
    with asyncio.Runner() as runner:
        web = runner.run(visit.__aenter__())
        try:
            yield lambda method, url, **given: runner.run(web.request(method, url, **given))
        finally:
            runner.run(visit.__aexit__(None, None, None))


@pytest.fixture
def serving(made_settings: Callable[..., Settings]) -> Iterator[Serving]:
    """Return what starts a server on a free port of 127.0.0.1, local unless another mode is given."""
    with ExitStack() as running:

        def started(**given: Any) -> str:
            return running.enter_context(_served(made_settings, {"mode": "local", **given}))

        yield started


@contextmanager
def _served(made_settings: Callable[..., Settings], given: dict[str, Any]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"127.0.0.1:{listening.getsockname()[1]}"
        settings = made_settings(listen=url, **given)
        app = create_app(settings, SECRET)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=protocol(settings),
                ws="none",
                loop="asyncio",
                lifespan="on",
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=2,
            )
        )
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + _SECONDS
            while not server.started:
                assert thread.is_alive(), "the server ended at once"
                assert time.monotonic() < until, "the server did not start"
                time.sleep(0.01)
            yield f"http://{url}"
        finally:
            server.should_exit = True
            thread.join(_SECONDS)
        assert not thread.is_alive(), "the server did not end"
