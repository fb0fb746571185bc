"""What the tests of signing in share: a browser of a server with the account anna, and who it is signed in as."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.requests import Request

from portbook.web import accounts, passwords
from portbook.web.accounts import needs_sign_in, signed_in

from .conftest import Clients, Web
from .databases import PASSWORD

BROWSER = {"sec-fetch-site": "same-origin", "accept": "text/html", "accept-language": "en"}

Using = Callable[..., None]


async def _who(request: Request) -> dict[str, str]:
    return {"name": (await needs_sign_in(request)).name}


async def _maybe(request: Request) -> dict[str, str | None]:
    user = await signed_in(request)
    return {"name": None if user is None else user.name}


def asks_who(app: FastAPI) -> None:
    """Add routes that tell who is signed in, as pages and the API find it out."""
    for path in ("/who", "/api/v1/who"):
        app.add_api_route(path, _who)
        app.add_api_route(path + "/maybe", _maybe)


@pytest.fixture
def using(client: Clients, monkeypatch: pytest.MonkeyPatch) -> Using:
    """Runs a test's work as a browser of a server that has the account anna, and hashes quickly.

    What passwords cost as they are kept is test_accounts.py's.
    """
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))

    def run(work: Callable[[Web], Awaitable[None]], **given: Any) -> None:
        async def worked() -> None:
            async with client(**given) as web:
                asks_who(web.app)
                web.headers.update(BROWSER)
                await accounts.add(web.site.database, "anna", PASSWORD)
                await work(web)

        asyncio.run(worked())

    return run


async def sign_in(web: Web, password: str = PASSWORD, name: str = "anna", **fields: str) -> httpx.Response:
    return await web.post("/signin", data={"name": name, "password": password, **fields})


async def name_of(web: Web) -> str | None:
    answer = await web.get("/who/maybe")
    assert answer.status_code == 200
    found: str | None = answer.json()["name"]
    return found


def cookie_of(answer: httpx.Response) -> str:
    """Return the session cookie that an answer sets, with its attributes, in lower case but for the value."""
    found = [text for text in answer.headers.get_list("set-cookie") if "portbook=" in text]
    assert len(found) == 1, answer.headers
    return found[0]
