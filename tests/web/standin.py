"""What stands in for the testing of addresses that no test may reach, and visitors who ask for it."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest

from portbook.porttest import Finding, PortTest
from portbook.probe.few import Few, Told
from portbook.web import runs

from .conftest import HOST, Clients, Web

VISITOR = "8.8.8.8"
PROGRAM = {"user-agent": "curl/8.14.1", "accept": "*/*"}
BROWSER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "accept-language": "en",
}
FORM = {"accept": "application/json"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}
OWN_PAGE = {**BROWSER, "origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
PATIENCE = 20.0
ACTING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\u2028\u2029]")
"""What moves a cursor, turns the reading direction or hides."""


Visits = Callable[..., Any]


class StandIn:
    """The stand-in: what it was asked to test, and what becomes of each port. `slow` never ends by itself."""

    def __init__(self) -> None:
        self.asked: list[Few] = []
        self.slow = False
        self.at_once = self.most_at_once = 0
        self.cancelled = threading.Event()
        self.finding: Finding | None = None
        self.banner: bytes | None = None

    @property
    def ips(self) -> list[str]:
        """The addresses that were tested."""
        return [one.target.ip for one in self.asked]

    async def as_known(self, asked: Few) -> AsyncIterator[Told]:
        """As few.as_known."""
        self.asked.append(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            for port, transport in asked.ports:
                await asyncio.sleep(0)
                made = PortTest(asked.target.text, asked.target.ip, port, transport, "open", "accepted")
                if self.finding is not None:
                    made = made.with_finding(self.finding)
                yield Told(made._replace(banner=self.banner), final=True)
            if self.slow:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            self.at_once -= 1


def installed(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Return a stand-in that stands where the server tests addresses; names are not looked up meanwhile."""
    made = StandIn()

    async def nothing_in_between(*_: object) -> None:
        return None

    def nobody(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(runs, "as_known", made.as_known)
    monkeypatch.setattr(runs, "accepts_everything", nothing_in_between)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    return made


def visits(client: Clients) -> Visits:
    """Return what runs a visit of a public server: `visiting(visit, ip=..., **settings)`."""

    def run(visit: Callable[[Web], Coroutine[Any, Any, Any]], **given: Any) -> Any:
        async def whole() -> Any:
            async with client(**{"ip": VISITOR, **given}) as web:
                return await visit(web)

        return asyncio.run(whole())

    return run


async def post(web: Web, ports: str = "80", headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
    """Send the form of the page as a script does."""
    sent = {"accept": "application/json", **(PROGRAM if headers is None else headers)}
    return await web.post("/tests", data={"ports": ports, **form}, headers={**sent, "accept": "application/json"})


async def by_api(web: Web, **headers: str) -> httpx.Response:
    return await web.post("/api/v1/tests", json={"ports": "80"}, headers={**PROGRAM, **headers})
