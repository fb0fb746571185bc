"""Who does not come in by OpenID Connect: who is not allowed, and a provider or a browser that lies."""

from __future__ import annotations

import json

import pytest
from joserfc.jwk import OctKey

from portbook.web import accounts

from .conftest import Web
from .provider import (
    BROWSER,
    CLIENT,
    MAIL,
    OTHER_KEY,
    SECRET,
    Claims,
    Provider,
    Using,
    come_back,
    is_in,
    provider,
    using,
    way,
)

__all__ = ["provider", "using"]

LIES: list[Claims] = [
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another client"},
    {"aud": "another client", "azp": CLIENT},
    {"aud": None},
    {"aud": [CLIENT, "another client"], "azp": "another client"},
    {"iss": "https://id.example"},
    {"iss": None},
    {"exp": 1},
    {"exp": None},
    {"iat": 4_000_000_000, "nbf": 4_000_000_000},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 256},
    {"sub": "7\n8"},
    {"at_hash": "another"},
]


def test_an_id_token_that_proves_nothing_lets_nobody_in(using: Using, provider: Provider) -> None:
    true = provider.claims

    async def work(web: Web) -> None:
        for lie in LIES:
            provider.claims = {**true, **lie}
            answer = await come_back(web)
            assert answer.status_code == 403, lie
            assert "did not confirm who you are" in answer.text
            assert not await is_in(web)
        assert len(await accounts.accounts(web.site.database)) == 0
        provider.claims = true
        assert (await come_back(web)).status_code == 303

    using(work, allowed=(MAIL, "7", ""))


@pytest.mark.parametrize("how", ["another key", "none", "HS256 of the secret", "HS256 of the public key", "no token"])
def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(using: Using, provider: Provider, how: str) -> None:
    provider.metadata["id_token_signing_alg_values_supported"] = ["none", "HS256", "RS256"]
    if how == "another key":
        provider.signed_by = OTHER_KEY
    elif how == "none":
        provider.how = "none"
    elif how == "HS256 of the secret":
        provider.how, provider.signed_by = "HS256", OctKey.import_key(SECRET)
    elif how == "HS256 of the public key":
        public = json.dumps(provider.key.as_dict(private=False))
        provider.how, provider.signed_by = "HS256", OctKey.import_key(public)
    else:
        provider.without_id_token = True

    async def work(web: Web) -> None:
        assert (await come_back(web)).status_code == 403
        assert not await is_in(web)

    using(work)


NOT_ALLOWED: list[Claims] = [
    {"email": "bo@mail.example"},
    {"email_verified": False},
    {"email_verified": None},
    {"email_verified": "true"},
    {"email": None},
    {"email": ["anna@mail.example"]},
    {"email": None, "sub": MAIL},
]


def test_who_is_not_allowed_stays_out(using: Using, provider: Provider) -> None:
    true = provider.claims

    async def work(web: Web) -> None:
        for claims in NOT_ALLOWED:
            provider.claims = {**true, **claims}
            answer = await come_back(web)
            assert answer.status_code == 403, claims
            assert "not among those who may sign in" in answer.text
            assert provider.claims["sub"] in answer.text  # what they can tell the operator
            assert not await is_in(web)
        assert len(await accounts.accounts(web.site.database)) == 0

    using(work)


def test_with_nobody_allowed_nobody_comes_in(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        assert (await come_back(web)).status_code == 403

    using(work, allowed=())


def test_a_forged_state_lets_nobody_in(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        back = await way(web)
        for query in (
            {"code": back.params["code"], "state": "forged"},
            {"code": back.params["code"]},
            {"state": back.params["state"]},
            {},
            {"error": "access_denied", "error_description": "call +1 555 0100", "state": back.params["state"]},
        ):
            answer = await web.get("/signin/openid/back", params=query)
            assert answer.status_code == 403, query
            assert "555" not in answer.text.partition("<main")[2]  # a link can have anything there
            assert not await is_in(web)

    using(work)


def test_the_way_back_is_for_the_browser_that_set_out(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        back = await way(web)
        other = web.coming_from("198.51.100.9")
        other.headers.update(BROWSER)
        assert (await other.get(back)).status_code == 403  # nobody is signed in as somebody else by a link
        assert not await is_in(other)
        assert (await web.get(back)).status_code == 303
        assert (await web.get(back)).status_code == 403  # once

    using(work)


def test_a_code_of_another_way_does_not_fit(using: Using, provider: Provider) -> None:
    async def work(web: Web) -> None:
        other = web.coming_from("198.51.100.9")
        other.headers.update(BROWSER)
        stolen, own = await way(other), await way(web)
        answer = await web.get(own.copy_set_param("code", stolen.params["code"]))
        assert answer.status_code == 403  # PKCE: its verifier is in the other browser
        assert not await is_in(web)

    using(work)


@pytest.mark.parametrize("metadata", [{"issuer": "https://id.example"}, {"issuer": None}], ids=str)
def test_a_provider_that_is_another_is_not_believed(using: Using, provider: Provider, metadata: Claims) -> None:
    provider.metadata = metadata

    async def work(web: Web) -> None:
        assert (await web.get("/signin/openid")).status_code == 503
        provider.metadata = {}
        assert (await come_back(web)).status_code == 303

    using(work)
