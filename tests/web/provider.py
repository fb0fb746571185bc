"""A provider of OpenID Connect that is a server of its own, and browsers of a server that lets in by it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import httpx
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from .conftest import Clients, Web

CLIENT, SECRET = "portbook-at-home", "between the two of us"
MAIL = "anna@mail.example"
BROWSER = {"sec-fetch-site": "none", "accept": "text/html", "accept-language": "en"}
_SECONDS = 20.0

Claims = dict[str, Any]

_KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}) for kid in "12")


@dataclass
class Provider:
    """What a provider knows and says; a test changes `claims` and the rest to have it say something else."""

    issuer: str
    key: RSAKey = field(default_factory=lambda: _KEY)
    signed_by: RSAKey | OctKey | None = None
    how: str = "RS256"
    claims: Claims = field(default_factory=lambda: {"sub": "7", "email": MAIL, "email_verified": True})
    said_elsewhere: Claims | None = None
    metadata: Claims = field(default_factory=dict)
    without_id_token: bool = False
    answers: int = 200
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    """The authorization request of each code that is not used yet."""

    def app(self) -> Starlette:
        """Return the provider as an application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.configuration),
                Route("/keys", self.keys),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/me", self.me),
            ]
        )

    async def configuration(self, _: Request) -> Response:
        ways = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        if self.said_elsewhere is not None:
            ways["userinfo_endpoint"] = "me"
        found = {name: f"{self.issuer}/{path}" for name, path in ways.items()}
        return JSONResponse({"issuer": self.issuer, **found, **self.metadata}, self.answers)

    async def keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.asked)}-{time.monotonic_ns()}"
        self.asked[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}", 302)

    async def token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        known = b64decode(request.headers["authorization"].partition(" ")[2]).decode()
        asked = self.asked.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            asked is None
            or known != f"{CLIENT}:{SECRET}"
            or form["redirect_uri"] != asked["redirect_uri"]
            or urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        header = {"alg": self.how, "kid": self.key.kid}
        if self.how == "none":
            parts = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
            signed = f"{'.'.join(parts)}."
        else:
            signed = jwt.encode(header, claims, self.signed_by or self.key, algorithms=[self.how])
        answer = {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": signed}
        if self.without_id_token:
            del answer["id_token"]
        return JSONResponse(answer)

    async def me(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer a"
        return JSONResponse(self.said_elsewhere)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider on a free loopback port."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(made.app(), log_config=None, timeout_graceful_shutdown=2))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + _SECONDS
            while not server.started:
                assert time.monotonic() < until, "the provider did not start"
                time.sleep(0.01)
            yield made
        finally:
            server.should_exit = True
            thread.join(_SECONDS)
    assert not thread.is_alive()


Using = Callable[..., None]


@pytest.fixture
def using(client: Clients, provider: Provider) -> Using:
    """Runs a test's work as a browser of a server that lets in by the provider whom it allows."""

    def run(work: Callable[[Web], Awaitable[None]], **given: Any) -> None:
        openid = {
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "name": "The <Key> House",
            "allowed": (MAIL,),
            **given,
        }

        async def worked() -> None:
            async with client(openid=openid) as web:
                web.headers.update(BROWSER)
                await work(web)

        asyncio.run(worked())

    return run


async def way(web: Web, wanted: str = "/account") -> httpx.URL:
    """Go to the provider and return the address to which it sends the browser back."""
    away = await web.get("/signin/openid", params={"next": wanted})
    assert away.status_code == 302, away.text
    async with httpx.AsyncClient(trust_env=False) as outside:
        back = await outside.get(away.headers["location"])
    assert back.status_code == 302
    return httpx.URL(back.headers["location"])


async def come_back(web: Web, wanted: str = "/account") -> httpx.Response:
    return await web.get(await way(web, wanted))


async def is_in(web: Web) -> bool:
    return (await web.get("/account")).status_code == 200
