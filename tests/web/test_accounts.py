"""Accounts in a real database: names, passwords, tokens and one-time links."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from portbook.errors import BadQuestion
from portbook.web import accounts, passwords
from portbook.web.accounts import User
from portbook.web.database import Database, links, tokens, users
from portbook.web.refused import Refused

from .databases import OTHER, PASSWORD, Made, done


def test_a_password_is_kept_as_argon2id_and_known_again(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        await accounts.add(database, "Anna", PASSWORD)
        async with database.reading() as connection:
            kept = await connection.scalar(select(users.c.password))
        assert kept is not None
        assert kept.startswith("$argon2id$")
        assert PASSWORD not in kept
        session = await accounts.sign_in(database, " ANNA ", PASSWORD)
        assert session is not None
        assert session.user.name == "anna"
        assert await accounts.sign_in(database, "anna", PASSWORD + " ") is None
        assert await accounts.sign_in(database, "anna", "") is None
        assert await accounts.sign_in(database, "an\0na", PASSWORD) is None

    done(made_settings(), work)


@pytest.mark.parametrize("name", ["nobody", "provided", "anna"])
def test_a_wrong_sign_in_costs_the_same_work_for_every_name(
    made_settings: Made, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    checked = []
    verify = passwords._verify

    def watched(kept: str, password: str) -> bool:
        checked.append(kept)
        return verify(kept, password)

    async def work(database: Database) -> None:
        await accounts.add(database, "anna", PASSWORD)
        await accounts.vouched_for(database, "https://id.example 1", "provided")
        monkeypatch.setattr(passwords, "_verify", watched)
        assert await accounts.sign_in(database, name, OTHER) is None

    done(made_settings(), work)
    assert len(checked) == 1
    costs = [kept.rsplit("$", 2)[0] for kept in (*checked, passwords._hasher.hash(PASSWORD))]
    assert costs[0] == costs[1]


def test_nobody_knows_the_password_of_nobody(made_settings: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_verify", lambda kept, password: True)

    async def work(database: Database) -> None:
        assert await accounts.sign_in(database, "nobody", PASSWORD) is None

    done(made_settings(), work)


def test_what_was_kept_at_other_costs_is_kept_anew(made_settings: Made) -> None:
    from argon2 import PasswordHasher

    async def work(database: Database) -> None:
        await accounts.add(database, "anna", PASSWORD)
        cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        async with database.writing() as connection:
            await connection.execute(update(users).values(password=cheap))
        session = await accounts.sign_in(database, "anna", PASSWORD)
        assert session is not None
        assert session.generation == 0
        async with database.reading() as connection:
            kept = await connection.scalar(select(users.c.password))
        assert kept is not None
        assert kept != cheap
        assert not passwords.is_outdated(kept)
        assert await accounts.sign_in(database, "anna", PASSWORD) is not None

    done(made_settings(), work)


@pytest.mark.parametrize("password", ["", "nine char", "x" * 1001])
def test_a_password_is_neither_short_nor_endless(made_settings: Made, password: str) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(BadQuestion, match="10 to 1000"):
            await accounts.add(database, "anna", password)
        user = await accounts.add(database, "anna", "ten chars!")
        with pytest.raises(BadQuestion, match="10 to 1000"):
            await accounts.set_password(database, user, password)
        assert await accounts.sign_in(database, "anna", "ten chars!") is not None

    done(made_settings(), work)


def test_an_accent_may_be_composed_or_not(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        await accounts.add(
            database, "Zoe\N{COMBINING DIAERESIS}", "cre\N{COMBINING GRAVE ACCENT}me bru\u0302le\u0301e"
        )
        assert (
            await accounts.sign_in(database, "ZO\N{LATIN CAPITAL LETTER E WITH DIAERESIS}", "crème brûlée")
            is not None
        )

    done(made_settings(), work)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\tb", "a\nb", "a\0b", "\x1b[2J", "x" * 65, "a\N{RIGHT-TO-LEFT OVERRIDE}b"]
)
def test_a_name_is_one_printable_word(name: str) -> None:
    with pytest.raises(BadQuestion, match="1 to 64"):
        accounts.known_as(name)


@given(st.text(max_size=80))
def test_a_name_that_is_taken_stays_the_same_when_typed_again(name: str) -> None:
    try:
        known = accounts.known_as(name)
    except BadQuestion:
        return
    assert accounts.known_as(known) == known
    assert accounts.folded(name) == known
    assert accounts.folded(f" {known} ") == known
    assert "\0" not in known


def test_a_name_is_taken_once_in_whatever_case(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        await accounts.add(database, "Straße", PASSWORD)
        with pytest.raises(BadQuestion, match="already an account strasse"):
            await accounts.add(database, "STRASSE", OTHER)
        assert await accounts.sign_in(database, "strasse", OTHER) is None

    done(made_settings(), work)


def test_with_an_account_goes_what_is_its_own(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        anna = await accounts.add(database, "anna", PASSWORD)
        bo = await accounts.add(database, "bo", PASSWORD)
        for user in (anna, bo):
            await accounts.make_token(database, user, "backup")
        await accounts.remove(database, "ANNA")
        async with database.reading() as connection:
            assert (await connection.execute(select(tokens.c.user_id))).scalars().all() == [bo.id]
        with pytest.raises(BadQuestion, match="no account anna"):
            await accounts.remove(database, "anna")
        with pytest.raises(BadQuestion, match="no account anna"):
            await accounts.set_password(database, anna, OTHER)
        table = await accounts.accounts(database)
        assert [table.vector(name)[0] for name in ("name", "by_password", "by_openid", "tokens")] == [
            "bo",
            True,
            False,
            1,
        ]

    done(made_settings(), work)


def test_a_token_is_long_and_kept_as_a_digest_only(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        anna = await accounts.add(database, "anna", PASSWORD)
        made = [await accounts.make_token(database, anna, f"job {number}") for number in range(3)]
        assert len(set(made)) == 3
        assert all(re.fullmatch(r"portbook_[\w-]{43}", token) for token in made)  # 32 bytes in base64
        async with database.reading() as connection:
            rows = (await connection.execute(select(tokens))).all()
        assert not any(token in str(row) for token in made for row in rows)
        assert [token.name for token in await accounts.tokens_of(database, anna)] == ["job 2", "job 1", "job 0"]

    done(made_settings(), work)


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "\x1b[2J", "x" * 65])
def test_a_token_has_a_printable_name(made_settings: Made, label: str) -> None:
    async def work(database: Database) -> None:
        anna = await accounts.add(database, "anna", PASSWORD)
        with pytest.raises(BadQuestion, match="name of a token"):
            await accounts.make_token(database, anna, label)
        assert await accounts.tokens_of(database, anna) == []

    done(made_settings(), work)


def test_a_token_is_removed_by_its_owner_only(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        anna = await accounts.add(database, "anna", PASSWORD)
        bo = await accounts.add(database, "bo", PASSWORD)
        await accounts.make_token(database, anna, "backup")
        token = (await accounts.tokens_of(database, anna))[0].id
        with pytest.raises(Refused, match="no such token"):
            await accounts.remove_token(database, bo, token)
        assert len(await accounts.tokens_of(database, anna)) == 1
        await accounts.remove_token(database, anna, token)
        assert await accounts.tokens_of(database, anna) == []

    done(made_settings(), work)


def test_a_one_time_link_makes_one_account(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        secret = await accounts.first_link(database)
        assert secret is not None
        async with database.reading() as connection:
            assert secret not in str((await connection.execute(select(links))).all())
        with pytest.raises(BadQuestion):
            await accounts.use_link(database, secret, "anna", "short")
        made = await accounts.use_link(database, secret, "Anna", PASSWORD)  # still good after the mistake
        assert made.user.name == "anna"
        with pytest.raises(Refused, match="used already") as refused:
            await accounts.use_link(database, secret, "bo", PASSWORD)
        assert refused.value.status == 404
        with pytest.raises(Refused):
            await accounts.check_link(database, secret)
        assert await accounts.first_link(database) is None

    done(made_settings(), work)


def test_two_who_use_a_link_at_once_make_one_account(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        await accounts.add(database, "root", PASSWORD)
        secret = await accounts.make_link(database)
        tried = [accounts.use_link(database, secret, name, PASSWORD) for name in ("anna", "bo", "cy")]
        found = await asyncio.gather(*tried, return_exceptions=True)
        assert sorted(type(one).__name__ for one in found) == ["Refused", "Refused", "Session"]
        assert len(await accounts.accounts(database)) == 2

    done(made_settings(), work)


def test_the_first_account_voids_every_link_and_a_later_one_its_own(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        first, spare = await accounts.make_link(database), await accounts.make_link(database)
        await accounts.use_link(database, first, "anna", PASSWORD)
        with pytest.raises(Refused):
            await accounts.check_link(database, spare)
        one, two = await accounts.make_link(database), await accounts.make_link(database)
        await accounts.use_link(database, one, "bo", PASSWORD)
        await accounts.use_link(database, two, "cy", PASSWORD)

    done(made_settings(), work)


def test_a_name_that_is_taken_leaves_the_link_good(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        await accounts.add(database, "anna", PASSWORD)
        secret = await accounts.make_link(database)
        with pytest.raises(BadQuestion, match="already an account"):
            await accounts.use_link(database, secret, "anna", OTHER)
        await accounts.check_link(database, secret)
        assert await accounts.sign_in(database, "anna", OTHER) is None

    done(made_settings(), work)


def test_a_link_is_good_for_an_hour(made_settings: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(database: Database) -> None:
        now = time.time()
        secret = await accounts.make_link(database)
        monkeypatch.setattr(accounts, "time", lambda: now + 3590)
        await accounts.check_link(database, secret)
        monkeypatch.setattr(accounts, "time", lambda: now + 3610)
        with pytest.raises(Refused, match="older than an hour"):
            await accounts.use_link(database, secret, "anna", PASSWORD)
        await accounts.make_link(database)
        async with database.reading() as connection:
            assert len((await connection.execute(select(links))).all()) == 1  # the old one is gone

    done(made_settings(), work)


def test_a_subject_has_one_account_whatever_it_is_called(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        local = await accounts.add(database, "anna@mail.example", PASSWORD)
        first = await accounts.vouched_for(database, "https://id.example 7", "anna@mail.example")
        assert first.user.id != local.id
        assert first.user.name.startswith("anna@mail.example ")
        again = await accounts.vouched_for(database, "https://id.example 7", "renamed@mail.example")
        assert again == first
        other = await accounts.vouched_for(database, "https://id.example 8", "anna@mail.example")
        assert other.user.id not in (local.id, first.user.id)
        for mail in ("bo", "anna@mail.example"):
            subject = f"https://id.example {mail}"
            once = await asyncio.gather(*[accounts.vouched_for(database, subject, mail) for _ in range(4)])
            assert len({one.user for one in once}) == 1
        long = await accounts.vouched_for(database, "https://id.example " + "9" * 255, "x" * 300)
        assert len(long.user.name) <= 200

    done(made_settings(), work)


def test_a_new_password_ends_the_sessions_there_are(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        anna = await accounts.add(database, "anna", PASSWORD)
        bo = await accounts.add(database, "bo", PASSWORD)
        assert await accounts.set_password(database, anna, OTHER) == (anna, 1)
        await accounts.end_sessions(database, anna)
        assert await accounts.sign_in(database, "anna", OTHER) == (anna, 2)
        assert await accounts.sign_in(database, "anna", PASSWORD) is None
        assert await accounts.sign_in(database, "bo", PASSWORD) == (bo, 0)

    done(made_settings(), work)


def test_what_a_removed_account_was_changing_is_told(made_settings: Made) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(BadQuestion, match="no account ghost"):
            await accounts.end_sessions(database, User(99, "ghost"))
        async with database.writing() as connection:
            await connection.execute(
                insert(users).values(name="x", password=None, subject="https://id.example 1", generation=0, made=0.0)
            )
        table = await accounts.accounts(database)
        assert [table.vector(name)[0] for name in ("by_password", "by_openid")] == [False, True]

    done(made_settings(), work)
