"""Signing in and what it opens, as a browser, a script, and somebody who should not get in use it."""

from __future__ import annotations

import asyncio
import re
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from portbook.web import accounts
from portbook.web.database import tokens, users
from portbook.web.signin import own_path

from .conftest import Clients, Web
from .databases import OTHER, PASSWORD
from .sign_ins import BROWSER, Using, asks_who, name_of, sign_in, using

__all__ = ["using"]


def test_who_signs_in_is_led_where_they_wanted_to_go(using: Using) -> None:
    async def work(web: Web) -> None:
        answer = await web.get("/who?of=1&and=2")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/signin?next=%2Fwho%3Fof%3D1%26and%3D2"
        page = await web.get(answer.headers["location"])
        assert page.status_code == 200
        assert 'name="next" value="/who?of=1&amp;and=2"' in page.text
        answer = await sign_in(web, next="/who?of=1&and=2")
        assert (answer.status_code, answer.headers["location"]) == (303, "/who?of=1&and=2")
        assert (await web.get("/who")).json() == {"name": "anna"}
        again = await web.get("/signin?next=/account")
        assert (again.status_code, again.headers["location"]) == (303, "/account")

    using(work)


def test_the_api_says_401_and_how_to_come_in(using: Using) -> None:
    async def work(web: Web) -> None:
        for headers in ({}, {"accept": "application/json"}, {"authorization": "Bearer wrong"}):
            answer = await web.get("/api/v1/who", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json() == {"detail": "sign in first"}
        script = await web.get("/who", headers={"sec-fetch-mode": "cors"})
        assert script.status_code == 401
        posted = await web.post("/account/tokens", data={"name": "x"})
        assert (posted.status_code, posted.headers["location"]) == (303, "/signin")

    using(work)


def test_a_program_is_told_in_plain_text(client: Clients) -> None:
    async def work() -> None:
        async with client() as web:
            answer = await web.get("/account", headers={"accept": "*/*"})
            assert (answer.status_code, answer.text) == (401, "sign in first\n")
            assert answer.headers["www-authenticate"] == "Bearer"

    asyncio.run(work())


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", OTHER), ("nobody", PASSWORD), ("anna", ""), ("", ""), ("an\0na", PASSWORD), ("<b>'\"", "x" * 5000)],
)
def test_what_does_not_fit_is_the_same_answer_for_every_name(using: Using, name: str, password: str) -> None:
    async def work(web: Web) -> None:
        answer = await sign_in(web, password, name)
        assert answer.status_code == 403
        assert "this name and this password do not fit each other" in answer.text
        assert "set-cookie" not in answer.headers
        assert "<b>" not in answer.text.partition('<form method="post"')[2]
        assert await name_of(web) is None
        missing = await web.post("/signin", data={})
        assert missing.status_code == 403

    using(work)


def test_guessing_ends_with_429_for_an_address_and_for_a_name(using: Using) -> None:
    async def work(web: Web) -> None:
        for _ in range(5):
            assert (await sign_in(web, OTHER)).status_code == 403
        answer = await sign_in(web)  # even what is right does not tell itself apart
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 3600
        assert await name_of(web) is None
        other = web.coming_from("198.51.100.9")
        other.headers.update(BROWSER)
        assert (await sign_in(other, name="ANNA")).status_code == 429  # the name is guessed at, from wherever
        assert (await sign_in(other, OTHER, "bo")).status_code == 403
        near = web.coming_from("203.0.113.7", 41000)
        near.headers.update(BROWSER)
        assert (await sign_in(near, OTHER, "cy")).status_code == 429

    using(work, quotas={"signin": "6/hour", "signin_name": "5/hour"})


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "https://evil.example/",
    "http:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.example",
    "evil.example",
    "@evil.example",
    "/\N{FULLWIDTH SOLIDUS}evil.example\r\nset-cookie: a=b",
    "/" + "x" * 600,
    "",
]


def test_nobody_is_led_elsewhere(using: Using) -> None:
    async def work(web: Web) -> None:
        for wanted in ELSEWHERE:
            page = await web.get("/signin", params={"next": wanted})
            assert 'name="next" value="/"' in page.text, wanted
            answer = await sign_in(web, next=wanted)
            assert (answer.status_code, answer.headers["location"]) == (303, "/"), wanted
            again = await web.get("/signin", params={"next": wanted})
            assert (again.status_code, again.headers["location"]) == (303, "/"), wanted
            await web.post("/signout")

    using(work, quotas={"signin": "100/minute"})


@given(st.text(max_size=40).map(lambda text: f"/{text}") | st.text(alphabet="/\\:@?#.\t evilhtps", max_size=20))
def test_an_own_path_stays_on_this_server(text: str) -> None:
    base = httpx.URL("https://ports.example/signin")
    kept = own_path(text)
    assert kept in (text, "/")
    joined = base.join(re.sub(r"[\t\r\n]", "", kept.strip()).replace("\\", "/"))
    assert (joined.scheme, joined.host) == ("https", "ports.example")


@pytest.mark.parametrize(
    "path", ["/", "/account", "/tests/a%20b?x=1&y=%2F%2F", "/port/443#a", "/q?u=https://a.example"]
)
def test_an_own_path_is_kept_as_it_is(path: str) -> None:
    assert own_path(path) == path


def test_the_one_time_link_makes_the_first_account_and_signs_in(client: Clients) -> None:
    async def work() -> None:
        async with client() as web:
            asks_who(web.app)
            web.headers.update(BROWSER)
            link = await accounts.first_link(web.site.database)
            page = await web.get(f"/setup/{link}")
            assert page.status_code == 200
            assert f'action="/setup/{link}"' in page.text
            assert 'autocomplete="new-password"' in page.text
            short = await web.post(f"/setup/{link}", data={"name": "<b>Anna", "password": "short"})
            assert short.status_code == 400
            assert "10 to 1000 characters" in short.text
            assert 'value="&lt;b&gt;Anna"' in short.text
            made = await web.post(f"/setup/{link}", data={"name": "Anna", "password": PASSWORD})
            assert (made.status_code, made.headers["location"]) == (303, "/account")
            assert await name_of(web) == "anna"
            for answer in (
                await web.get(f"/setup/{link}"),
                await web.post(f"/setup/{link}", data={"name": "bo", "password": PASSWORD}),
                await web.get("/setup/guessed"),
                await web.get("/setup/%00%ff"),
            ):
                assert answer.status_code == 404
                assert "used already, or is older than an hour" in answer.text
            table = await accounts.accounts(web.site.database)
            assert len(table) == 1

    asyncio.run(work())


def test_a_link_that_is_too_old_shows_no_form(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with client() as web:
            web.headers.update(BROWSER)
            link = await accounts.first_link(web.site.database)
            now = time.time()
            monkeypatch.setattr(accounts, "time", lambda: now + 3601)
            assert (await web.get(f"/setup/{link}")).status_code == 404
            answer = await web.post(f"/setup/{link}", data={"name": "anna", "password": PASSWORD})
            assert answer.status_code == 404
            assert len(await accounts.accounts(web.site.database)) == 0

    asyncio.run(work())


def test_an_account_of_a_provider_that_is_not_set_is_out(using: Using) -> None:
    async def work(web: Web) -> None:
        session = await accounts.vouched_for(web.site.database, "https://id.example 7", "bo")
        token = await accounts.make_token(web.site.database, session.user, "job")
        bearer = {"authorization": f"Bearer {token}"}
        assert (await web.get("/api/v1/who", headers=bearer)).status_code == 401
        async with web.site.database.writing() as connection:
            chosen = users.c.id == session.user.id
            await connection.execute(update(users).where(chosen).values(subject="https://set.example 7"))
            await connection.execute(update(tokens).values(used=None))
        assert (await web.get("/api/v1/who", headers=bearer)).json() == {"name": "bo"}

    provider = {"issuer": "https://set.example", "client_id": "x", "client_secret": "y"}
    using(work, openid=provider)


def test_pages_offer_the_way_in_and_the_account(using: Using) -> None:
    async def work(web: Web) -> None:
        assert 'href="/signin"' in (await web.get("/")).text
        await sign_in(web)
        page = (await web.get("/")).text
        assert 'href="/account"' in page
        assert 'href="/signin"' not in page
        page = (await web.get("/account")).text
        assert "Change the password" in page
        assert "<script>" not in page
        assert " style=" not in page

    using(work)
