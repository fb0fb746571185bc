"""Sign-in by OpenID Connect: who is let in and where to, by which provider, and what when it is down."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64decode
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from portbook.web import accounts
from portbook.web.openid import is_allowed
from portbook.web.settings import OpenId

from .conftest import HOST, Clients, Web
from .provider import BROWSER, MAIL, OTHER_KEY, SECRET, Provider, Using, come_back, is_in, provider, using

__all__ = ["provider", "using"]

BACK = f"http://{HOST}/signin/openid/back"


def test_who_is_allowed_comes_in_and_where_they_wanted(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        page = (await web.get("/signin?next=/account")).text
        assert 'href="/signin/openid?next=/account"' in page
        assert "The &lt;Key&gt; House" in page
        answer = await come_back(web)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        page = (await web.get("/account")).text
        assert MAIL in page
        assert "New password" not in page
        session = json.loads(b64decode(web.cookies["portbook"].split(".")[0] + "=="))
        assert set(session) == {"user", "generation", "since"}  # nothing of the way there is kept
        assert provider.asked == {}
        await web.post("/signout", headers={"sec-fetch-site": "same-origin"})
        assert not await is_in(web)
        assert (await come_back(web)).status_code == 303
        assert len(await accounts.accounts(web.site.database)) == 1

    using(work)


def test_what_is_asked_of_the_provider_is_new_each_time(using: Using) -> None:
    async def work(web: Web) -> None:
        seen = []
        for _ in range(2):
            away = (await web.get("/signin/openid")).headers["location"]
            asked = parse_qs(urlsplit(away).query)
            assert asked["redirect_uri"] == [BACK]
            assert asked["code_challenge_method"] == ["S256"]
            seen.append([asked[name][0] for name in ("state", "nonce", "code_challenge")])
            assert SECRET not in away
            assert all(len(value) >= 20 for value in seen[-1])
        assert not set(seen[0]) & set(seen[1])

    using(work)


def test_nobody_is_led_elsewhere(using: Using) -> None:
    async def work(web: Web) -> None:
        for wanted in ("//evil.example", "https://evil.example", "/\\evil.example"):
            assert (await come_back(web, wanted)).headers["location"] == "/"

    using(work)


def test_new_keys_of_the_provider_are_read_when_they_are_used(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        assert (await come_back(web)).status_code == 303
        provider.key = OTHER_KEY
        assert (await come_back(web)).status_code == 303

    using(work)


def test_a_subject_may_be_allowed_in_place_of_a_mail_address(using: Using, provider: Provider) -> None:
    provider.claims = {"sub": "auth|7 <b>"}

    async def work(web: Web) -> None:
        assert (await come_back(web)).status_code == 303
        assert "auth|7 &lt;b&gt;" in (await web.get("/account")).text

    using(work, allowed=("auth|7 <b>",))


@pytest.mark.parametrize(("subject", "status"), [("7", 303), ("8", 403)])
def test_a_mail_address_may_be_told_elsewhere_of_the_same_subject(
    using: Using, provider: Provider, subject: str, status: int
) -> None:
    provider.claims = {"sub": "7"}
    provider.said_elsewhere = {"sub": subject, "email": MAIL, "email_verified": True}

    async def work(web: Web) -> None:
        assert (await come_back(web)).status_code == status
        assert await is_in(web) is (status == 303)

    using(work)


@pytest.mark.parametrize("answers", [404, 500, 503])
def test_a_provider_that_is_down_is_told(using: Using, provider: Provider, answers: int) -> None:
    async def work(web: Web) -> None:
        provider.answers = answers
        answer = await web.get("/signin/openid")
        assert answer.status_code == 503
        assert "The &lt;Key&gt; House" in answer.text.partition("<main")[2]
        provider.answers = 200
        assert (await come_back(web)).status_code == 303  # as soon as it is up again

    using(work)


def test_where_no_provider_listens_the_local_accounts_still_sign_in(client: Clients) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    openid = {"issuer": f"http://127.0.0.1:{port}", "client_id": "x", "client_secret": "y", "allowed": (MAIL,)}

    async def work() -> None:
        async with client(openid=openid) as web:
            web.headers.update(BROWSER)
            assert (await web.get("/signin/openid")).status_code == 503
            await accounts.add(web.site.database, "anna", "correct horse battery")
            fields = {"name": "anna", "password": "correct horse battery"}
            answer = await web.post("/signin", data=fields, headers={"sec-fetch-site": "same-origin"})
            assert answer.status_code == 303

    asyncio.run(work())


def test_a_local_account_of_the_same_name_is_another(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        local = await accounts.add(web.site.database, MAIL, "correct horse battery")
        token = await accounts.make_token(web.site.database, local, "of the local one")
        assert (await come_back(web)).status_code == 303
        assert "of the local one" not in (await web.get("/account")).text
        assert token

    using(work)


def test_without_a_provider_there_is_no_such_way(client: Clients) -> None:
    async def work() -> None:
        async with client() as web:
            web.headers.update(BROWSER)
            assert (await web.get("/signin/openid")).status_code == 404
            assert "/signin/openid" not in (await web.get("/signin")).text

    asyncio.run(work())


@pytest.mark.parametrize(
    "issuer",
    [
        "id.example",
        "http://id.example",
        "https://",
        "https://a@id.example",
        "https://id.example?x",
        "https://id.example/#x",
        "ftp://id.example",
        "https://id.example/a b",
        "https://id.example/" + "x" * 140,
        "http://127.0.0.1.example",
    ],
)
def test_an_issuer_is_an_https_address(issuer: str) -> None:
    with pytest.raises(ValidationError):
        OpenId(issuer=issuer, client_id="x", client_secret="y")


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.example",
        "https://id.example/",
        "https://id.example:8443/realms/a/",
        "http://localhost:8080/a",
        "http://[::1]:80",
    ],
)
def test_an_issuer_is_kept_to_the_last_slash(issuer: str) -> None:
    assert OpenId(issuer=issuer, client_id="x", client_secret="y").issuer == issuer


def test_a_mail_address_is_allowed_in_whatever_case_and_a_subject_in_its_own() -> None:
    openid = OpenId(
        issuer="https://id.example", client_id="x", client_secret="y", allowed=("Anna@Mail.example", "Abc")
    )
    assert is_allowed(openid, "7", MAIL)
    assert is_allowed(openid, "Abc", None)
    assert not is_allowed(openid, "abc", None)
    assert not is_allowed(openid, "Anna@Mail.example", None)
