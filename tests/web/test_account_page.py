"""What is done on the account page, and the tokens that are made there, as their owner and others use them."""

from __future__ import annotations

import re
import time

import pytest

from portbook.web import accounts

from .conftest import HOST, Web
from .databases import OTHER, PASSWORD
from .sign_ins import BROWSER, Using, name_of, sign_in, using

__all__ = ["using"]


def test_the_password_now_is_not_guessed_through_the_account_page(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        codes = []
        for _ in range(5):
            answer = await web.post("/account/password", data={"current": OTHER, "password": "a new password"})
            codes.append(answer.status_code)
        assert codes == [403, 403, 403, 429, 429]
        assert await name_of(web) == "anna"

    using(work, quotas={"signin": "4/hour"})


def test_a_new_password_signs_other_browsers_out_and_this_one_not(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        other = web.coming_from("198.51.100.9")
        other.headers.update(BROWSER)
        await sign_in(other)
        change = {"current": PASSWORD, "password": "short"}
        answer = await web.post("/account/password", data=change)
        assert answer.status_code == 400
        assert "10 to 1000 characters" in answer.text
        assert await name_of(other) == "anna"
        answer = await web.post("/account/password", data={**change, "password": OTHER})
        assert answer.status_code == 200
        assert "The password is changed." in answer.text
        assert await name_of(web) == "anna"
        assert await name_of(other) is None
        assert (await sign_in(other)).status_code == 403
        assert (await sign_in(other, OTHER)).status_code == 303

    using(work)


async def make_token(web: Web, name: str = "backup") -> str:
    answer = await web.post("/account/tokens", data={"name": name})
    assert answer.status_code == 200
    found = re.findall(r"portbook_[\w-]{43}", answer.text)
    assert len(found) == 1
    return str(found[0])


def test_a_token_is_shown_once_works_and_is_removed(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        token = await make_token(web, "<i>backup</i>")
        page = (await web.get("/account")).text
        assert token not in page
        assert "&lt;i&gt;backup&lt;/i&gt;" in page
        assert "never" in page
        script = Web(web.app, "198.51.100.20", 50000, f"http://{HOST}")
        for scheme in ("Bearer", "bearer"):
            answer = await script.get("/api/v1/who", headers={"authorization": f"{scheme} {token}"})
            assert answer.json() == {"name": "anna"}
            assert "set-cookie" not in answer.headers
        assert "never" not in (await web.get("/account")).text
        number = re.findall(r"/account/tokens/(\d+)/remove", page)[0]
        assert (await web.post(f"/account/tokens/{number}/remove")).status_code == 303
        answer = await script.get("/api/v1/who", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert (await web.post(f"/account/tokens/{number}/remove")).status_code == 404
        for other in ("0", "-1", "x", str(2**63), str(2**70)):
            assert (await web.post(f"/account/tokens/{other}/remove")).status_code == 422
        assert (await web.post(f"/account/tokens/{2**63 - 1}/remove")).status_code == 404
        assert (await web.post("/account/tokens", data={"name": ""})).status_code == 400

    using(work)


def test_what_is_nearly_a_token_opens_nothing(using: Using) -> None:
    async def work(web: Web) -> None:
        user = await accounts.named(web.site.database, "anna")
        token = await accounts.make_token(web.site.database, user, "job")
        digest = accounts._digest(token)
        for value in (
            "Bearer",
            "Bearer ",
            "Bearer \xe9\xff",
            f"Bearer {digest}",
            f"Bearer {token.upper()}",
            f"Basic {token}",
        ):
            answer = await web.get("/api/v1/who", headers={b"authorization": value.encode("latin-1")})
            assert answer.status_code == 401, value

    using(work)


def test_a_wrong_token_is_not_made_good_by_a_session(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        assert (await web.get("/api/v1/who", headers={"authorization": "Bearer wrong"})).status_code == 401
        assert (await web.get("/api/v1/who", headers={"authorization": "Basic Zm9vOmJhcg=="})).status_code == 200

    using(work)


def test_a_token_makes_no_tokens_and_changes_no_password(using: Using) -> None:
    async def work(web: Web) -> None:
        user = await accounts.named(web.site.database, "anna")
        token = await accounts.make_token(web.site.database, user, "job")
        script = Web(web.app, "198.51.100.20", 50000, f"http://{HOST}")
        script.headers["authorization"] = f"Bearer {token}"
        assert (await script.get("/api/v1/who")).status_code == 200
        for path in ("/account/tokens", "/account/password", "/account/sessions/end", "/account/tokens/1/remove"):
            assert (await script.post(path, data={"name": "x", "password": OTHER})).status_code == 401
        assert (await script.get("/account")).status_code == 401
        assert len(await accounts.tokens_of(web.site.database, user)) == 1

    using(work)


def test_the_last_use_of_a_token_is_kept_to_the_minute(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(web: Web) -> None:
        user = await accounts.named(web.site.database, "anna")
        token = await accounts.make_token(web.site.database, user, "job")
        now = time.time()
        for after, kept in ((0, 0), (30, 0), (61, 61)):
            monkeypatch.setattr(accounts, "time", lambda after=after: now + after)
            await web.get("/api/v1/who", headers={"authorization": f"Bearer {token}"})
            assert [one.used for one in await accounts.tokens_of(web.site.database, user)] == [now + kept]

    using(work)
