"""What the tests of targets share: loopback to test for real, and a script whose targets are tested there."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from threading import Thread
from time import time
from typing import Any

import pytest
from itsdangerous import TimestampSigner

from portbook.web import accounts, allowed

from .conftest import HOST, SECRET, Clients, Web
from .test_schedule import person

LOCAL = ("127.0.0.1", "localhost")
GREETING = b"SSH-2.0-OpenSSH_9.9\r\n"

Work = Callable[[Web], Awaitable[None]]
Using = Callable[..., None]


def without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every name but localhost from being looked up, which would ask a server of elsewhere."""
    real = allowed._looked_up

    async def looked_up(host: str) -> tuple[str, ...]:
        if host == "localhost" or ":" in host or host.rpartition(".")[2].isdigit():
            return await real(host)
        raise allowed.NoAddress("{host} has no address", host=host)

    monkeypatch.setattr(allowed, "_looked_up", looked_up)


@pytest.fixture
def open_port() -> Iterator[int]:
    """Return a port where an SSH server seems to listen."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            while True:
                try:
                    made, _ = listening.accept()
                except OSError:
                    return
                with made:
                    made.sendall(GREETING)

        thread = Thread(target=greet, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port that a socket holds without listening."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def using(client: Clients, monkeypatch: pytest.MonkeyPatch) -> Using:
    """Run a test's work as a script with a token of the account anna; a server that allows loopback, or as given."""
    without_names(monkeypatch)

    def run(work: Work, **given: Any) -> None:
        async def worked() -> None:
            async with client(**{"targets": LOCAL, **given}) as web:
                await sign_in(web, "anna")
                await work(web)

        asyncio.run(worked())

    return run


async def sign_in(web: Web, name: str) -> None:
    """Give a visitor both a token and a session of a new account."""
    user = accounts.User(await person(web.site, name), name)
    web.headers["authorization"] = f"Bearer {await accounts.make_token(web.site.database, user, 'script')}"
    carried = b64encode(json.dumps({"user": user.id, "generation": 0, "since": int(time())}).encode())
    web.cookies.set("portbook", TimestampSigner(SECRET).sign(carried).decode(), domain=HOST)
    web.headers["sec-fetch-site"] = "same-origin"


async def add(web: Web, **given: object) -> dict[str, Any]:
    answered = await web.post("/api/v1/targets", json={"host": "127.0.0.1", "ports": "9", **given})
    assert answered.status_code == 201, answered.text
    made: dict[str, Any] = answered.json()
    assert answered.headers["location"] == f"/api/v1/targets/{made['id']}"
    return made


async def history(web: Web, number: int, count: int) -> list[dict[str, Any]]:
    """Return the checks of a target as soon as there are so many."""
    async with asyncio.timeout(60):
        while True:
            answered = await web.get(f"/api/v1/targets/{number}/checks")
            assert answered.status_code == 200, answered.text
            found: list[dict[str, Any]] = answered.json()
            if len(found) >= count:
                return found
            await asyncio.sleep(0.2)  # below the quota of requests


async def check_of(web: Web, number: int, count: int = 1) -> dict[str, Any]:
    """Test a target and return the check that was kept, its history's `count`th."""
    answered = await web.post(f"/api/v1/targets/{number}/tests")
    assert answered.status_code == 202, answered.text
    return (await history(web, number, count))[0]


def ports_of(check: dict[str, Any]) -> list[tuple[str, int, str, str | None]]:
    return [(test["ip"], test["port"], test["state"], test["service"]) for test in check["tests"]]
