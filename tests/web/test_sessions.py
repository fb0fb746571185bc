"""The session cookie: what it carries, how long it is good, and what forged ones and other sites' pages cannot do."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode

import pytest
from itsdangerous import TimestampSigner

from portbook.web import accounts, sessions

from .conftest import HOST, SECRET, Web
from .databases import PASSWORD
from .sign_ins import Using, cookie_of, name_of, sign_in, using

__all__ = ["using"]


def test_the_cookie_is_for_http_alone_and_names_no_secret(using: Using) -> None:
    async def work(web: Web) -> None:
        cookie = cookie_of(await sign_in(web)).lower()
        assert cookie.startswith("portbook=")
        assert "; httponly" in cookie
        assert "; samesite=lax" in cookie
        assert "; path=/;" in cookie
        assert "secure" not in cookie
        carried = json.loads(b64decode(web.cookies["portbook"].split(".")[0] + "=="))
        assert set(carried) == {"user", "generation", "since"}

    using(work)


PROXY = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}


def test_over_https_the_cookie_is_secure_and_only_that_one_counts(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        planted = web.cookies["portbook"]  # as whoever sits on the way of HTTP could set it
        web.cookies.clear()
        web.headers.update(PROXY)
        assert (await web.get("/who/maybe", headers={"cookie": f"portbook={planted}"})).json() == {"name": None}
        cookie = cookie_of(await sign_in(web))
        assert cookie.startswith("__Host-portbook=")
        assert "; secure" in cookie.lower()
        assert "; path=/;" in cookie.lower()
        assert "domain" not in cookie.lower()
        value = cookie.partition(";")[0]
        assert (await web.get("/who/maybe", headers={"cookie": value})).json() == {"name": "anna"}

    using(work, ip="192.0.2.80", trusted_proxies=("192.0.2.80/32",))


def test_a_proxy_that_is_not_trusted_makes_no_https(using: Using) -> None:
    async def work(web: Web) -> None:
        web.headers.update(PROXY)
        assert cookie_of(await sign_in(web)).startswith("portbook=")
        assert await name_of(web) == "anna"

    using(work)


def signed(content: object, secret: str = SECRET) -> str:
    return TimestampSigner(secret).sign(b64encode(json.dumps(content).encode())).decode()


def test_a_forged_cookie_lets_nobody_in(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        good = web.cookies["portbook"]
        web.cookies.clear()
        content, stamp, signature = good.split(".")
        carried = json.loads(b64decode(content + "=="))
        forged = {
            "unsigned": b64encode(json.dumps(carried).encode()).decode(),
            "signed with another secret": signed(carried, "another secret"),
            "altered": ".".join((b64encode(json.dumps({**carried, "user": 2}).encode()).decode(), stamp, signature)),
            "swapped": f"{signed({}).split('.')[0]}.{stamp}.{signature}",
            "another generation": signed({**carried, "generation": 1}),
            "cut": good[:-1],
            "noise": '\\"%00.%ff.;',
            "null": "null",
        }
        for how, cookie in forged.items():
            answer = await web.get("/who/maybe", headers={"cookie": f"portbook={cookie}"})
            assert (answer.status_code, answer.json()) == (200, {"name": None}), how
        assert (await web.get("/who/maybe", headers={"cookie": f"portbook={good}"})).json() == {"name": "anna"}

    using(work)


def test_a_sign_in_is_good_for_two_weeks_however_the_cookie_is_renewed(
    using: Using, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        now = time.time()
        monkeypatch.setattr(sessions, "time", lambda: now + sessions.SECONDS - 60)
        assert await name_of(web) == "anna"
        monkeypatch.setattr(sessions, "time", lambda: now + sessions.SECONDS + 60)
        assert await name_of(web) is None

    using(work)


def test_at_sign_in_nothing_is_kept_of_an_earlier_session(using: Using) -> None:
    async def work(web: Web) -> None:
        planted = signed({"browser": "planted", "next": "/planted", "user": 1})
        web.cookies.set("portbook", planted, domain=HOST)
        web.cookies.set("language", "fr", domain=HOST)
        assert await name_of(web) is None
        cookie = cookie_of(await sign_in(web))
        carried = json.loads(b64decode(cookie.partition("=")[2].split(".")[0] + "=="))
        assert set(carried) == {"user", "generation", "since"}
        fixed = await web.get("/who/maybe", headers={"cookie": f"portbook={planted}"})
        assert fixed.json() == {"name": None}
        assert 'lang="fr"' in (await web.get("/account")).text  # the language is the reader's, not the session's

    using(work)


def test_signing_out_takes_the_cookie_away(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        assert (await web.get("/signout")).status_code == 405  # no picture signs anybody out
        assert await name_of(web) == "anna"
        answer = await web.post("/signout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "1970" in cookie_of(answer)
        assert "portbook" not in web.cookies
        assert await name_of(web) is None

    using(work)


def test_signing_out_everywhere_voids_every_cookie(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        kept = web.cookies["portbook"]
        token = await accounts.make_token(web.site.database, await accounts.named(web.site.database, "anna"), "job")
        answer = await web.post("/account/sessions/end")
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
        assert (await web.get("/who/maybe", headers={"cookie": f"portbook={kept}"})).json() == {"name": None}
        bearer = {"authorization": f"Bearer {token}"}
        assert (await web.get("/api/v1/who", headers=bearer)).json() == {"name": "anna"}  # tokens are removed by name
        await sign_in(web)
        assert await name_of(web) == "anna"

    using(work)


def test_a_removed_account_is_out_at_once(using: Using) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        token = await accounts.make_token(web.site.database, await accounts.named(web.site.database, "anna"), "job")
        await accounts.remove(web.site.database, "anna")
        assert await name_of(web) is None
        bearer = {"authorization": f"Bearer {token}"}
        assert (await web.get("/api/v1/who", headers=bearer)).status_code == 401
        await accounts.add(web.site.database, "anna", PASSWORD)  # the same name, another account
        assert (await web.get("/api/v1/who", headers=bearer)).status_code == 401

    using(work)


CHANGES = ("/signin", "/signout", "/account/tokens", "/account/password", "/account/sessions/end", "/setup/x")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": f"http://{HOST}"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {},
    ],
    ids=str,
)
def test_another_sites_page_posts_nothing(using: Using, headers: dict[str, str]) -> None:
    async def work(web: Web) -> None:
        await sign_in(web)
        del web.headers["sec-fetch-site"]
        data = {"name": "anna", "password": PASSWORD, "current": PASSWORD}
        for path in CHANGES:
            answer = await web.post(path, data=data, headers=headers)
            assert answer.status_code == 403, path
            assert "set-cookie" not in answer.headers
        assert await name_of(web) == "anna"
        assert await accounts.tokens_of(web.site.database, await accounts.named(web.site.database, "anna")) == []

    using(work)
