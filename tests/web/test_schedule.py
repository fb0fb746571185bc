"""When targets are tested: each once however many workers look, what was missed once, what is old forgotten."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from tenacity import wait_none

from portbook.errors import N_, PortbookError
from portbook.web import accounts, webhooks
from portbook.web.checks import Answer as Said
from portbook.web.checks import Check, Outcome, changes_between, checks_of, keep, prune
from portbook.web.database import checks, targets, users
from portbook.web.runs import NAMES
from portbook.web.schedule import Schedule, claim, following
from portbook.web.settings import Settings
from portbook.web.site import Site
from portbook.web.targets import LONGEST, SHORTEST, WatchedTarget, target_numbered

from .conftest import SECRET
from .test_webhooks import answer, receiver

Made = Callable[..., Settings]
NOW = 1_790_000_000.0


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port that a socket holds without listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Site]:
    """Give what one worker has, without its web server."""
    site = Site(settings, SECRET)
    await site.database.prepare()
    try:
        yield site
    finally:
        await site.runs.end()
        await site.board.close()
        await site.database.close()


async def person(site: Site, name: str = "anna") -> int:
    async with site.database.writing() as connection:
        made = insert(users).values(name=name, password="none that fits", generation=0, made=NOW)
        number: int = (await connection.execute(made.returning(users.c.id))).scalar_one()
    return number


async def watched(site: Site, user: int, **given: Any) -> WatchedTarget:
    """Keep a target that is due, as it is given."""
    values = {"host": "127.0.0.1", "ports": "9", "transports": "", "every": 300.0, "due": NOW, "secret": "s"}
    async with site.database.writing() as connection:
        made = insert(targets).values(user_id=user, made=NOW, **{**values, **given}).returning(targets.c.id)
        number = (await connection.execute(made)).scalar_one()
    found = await target_numbered(site, number)
    assert found is not None
    return found


async def due_of(site: Site, target: WatchedTarget) -> float | None:
    found = await target_numbered(site, target.id)
    assert found is not None
    return found.due


async def all_done(schedule: Schedule) -> None:
    """Wait for what a look began."""
    await asyncio.gather(*schedule._tests, *schedule._messages)


def row(port: int, state: str, service: str | None = None) -> dict[str, Any]:
    known = {"ip": "127.0.0.1", "port": port, "transport": "tcp", "state": state, "service": service}
    return {**dict.fromkeys(NAMES), **known}


def outcome(*rows: dict[str, Any], whole: bool = True, begun: float = NOW) -> Outcome:
    return Outcome(begun, 1.0, rows, None, whole)


@given(st.floats(SHORTEST, LONGEST), st.floats(0, 4e9), st.floats(0, 1, exclude_max=True))
def test_the_next_test_is_about_so_long_after_this_one(every: float, now: float, chance: float) -> None:
    after = following(every, now, chance) - now
    assert 0.97 * every <= after <= 1.03 * every
    assert abs(after - every) <= 31


def test_those_of_one_moment_drift_apart() -> None:
    moments = {round(following(300, NOW, chance / 100)) for chance in range(100)}
    assert len(moments) > 8


def test_many_workers_claim_each_target_once(made_settings: Made) -> None:
    async def work() -> None:
        async with worker(made_settings()) as one, worker(made_settings()) as two, worker(made_settings()) as three:
            user = await person(one)
            made = {(await watched(one, user, ports=str(port))).id for port in range(1, 41)}
            workers = (one, two, three)
            claimed = await asyncio.gather(*(claim(site.database, NOW, 100) for site in workers for _ in range(3)))
            assert sorted(number for mine in claimed for number in mine) == sorted(made)
            assert await claim(one.database, NOW, 100) == []

    asyncio.run(work())


def test_what_was_due_often_is_tested_once(made_settings: Made) -> None:
    async def work() -> None:
        async with worker(made_settings()) as site:
            target = await watched(site, await person(site), due=NOW - 50 * 300)
            assert await claim(site.database, NOW, 10) == [target.id]
            assert await claim(site.database, NOW + 200, 10) == []
            due = await due_of(site, target)
            assert due is not None
            assert due > NOW + 290

    asyncio.run(work())


def test_the_longest_due_come_first_and_no_more_than_there_is_room_for(made_settings: Made) -> None:
    async def work() -> None:
        async with worker(made_settings()) as site:
            user = await person(site)
            late = await watched(site, user, ports="1", due=NOW - 5)
            later = await watched(site, user, ports="2", due=NOW - 9)
            await watched(site, user, ports="3", due=NOW + 1)
            await watched(site, user, ports="4", every=None, due=None)
            assert await claim(site.database, NOW, 0) == []
            assert await claim(site.database, NOW, 1) == [later.id]
            assert await claim(site.database, NOW, 9) == [late.id]

    asyncio.run(work())


def test_two_schedules_test_each_target_once_and_keep_what_it_came_to(made_settings: Made, closed_port: int) -> None:
    settings = {"targets": ("127.0.0.1",)}

    async def work(port: int) -> None:
        async with worker(made_settings(**settings)) as one, worker(made_settings(**settings)) as two:
            target = await watched(one, await person(one), ports=f"{port},{port}")
            schedules = (Schedule(one), Schedule(two))
            await asyncio.gather(*(schedule.look(NOW) for schedule in schedules))
            await asyncio.gather(*map(all_done, schedules))
            (found,) = await checks_of(two, target, 10)
            assert [(one["port"], one["state"]) for one in found.rows] == [(port, "closed")]
            assert not found.changed

    asyncio.run(work(closed_port))


def test_a_worker_that_dies_loses_that_one_test(made_settings: Made, closed_port: int) -> None:
    async def work(port: int) -> None:
        settings = made_settings(targets=("127.0.0.1",))
        async with worker(settings) as site:
            target = await watched(site, await person(site), ports=str(port))
            schedule = Schedule(site)
            await schedule.look(NOW)
            for task in schedule._tests:
                task.cancel()
            await asyncio.gather(*schedule._tests, return_exceptions=True)
        async with worker(settings) as site:
            assert await checks_of(site, target, 10) == []
            schedule = Schedule(site)
            await schedule.look(NOW + 1)
            assert not schedule._tests
            await schedule.look(NOW + 320)
            await all_done(schedule)
            assert len(await checks_of(site, target, 10)) == 1

    asyncio.run(work(closed_port))


def test_a_test_that_is_broken_off_says_so_and_nothing_of_the_ports(made_settings: Made) -> None:
    async def work(port: int) -> None:
        async with worker(made_settings(targets=("127.0.0.1",))) as site:
            target = await watched(site, await person(site), ports=str(port))
            await keep(site, target, outcome(row(port, "closed")))
            schedule = Schedule(site)
            schedule.start()
            async with asyncio.timeout(20):
                while not site.runs.running:
                    await asyncio.sleep(0.01)
            await schedule.stop()
            found, _ = await checks_of(site, target, 10)
            assert "the server stopped" in str(found.note)
            assert not found.changed

    with socket.create_server(("127.0.0.1", 0)) as silent:  # which takes long to identify
        asyncio.run(work(silent.getsockname()[1]))


def test_why_a_target_could_not_be_tested_is_kept(made_settings: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with worker(made_settings(targets=("www.example.org",))) as site:
            target = await watched(site, await person(site), host="127.0.0.1")
            await keep(site, target, outcome(row(9, "open")))
            schedule = Schedule(site)
            await schedule.look(NOW)
            await all_done(schedule)
            found = (await checks_of(site, target, 10))[0]
            assert found.note is not None
            assert str(found.note) == "the operator of this server does not allow 127.0.0.1"
            assert not found.changed  # nothing is known of its ports

    asyncio.run(work())


ENDPOINTS = st.tuples(
    st.sampled_from(["192.0.2.7", "2001:db8::7"]), st.integers(1, 9), st.sampled_from(["tcp", "udp"])
)
ANSWERS = st.dictionaries(
    ENDPOINTS, st.builds(Said, st.sampled_from(["open", "closed", "filtered"]), st.none() | st.just("ssh"))
)


@given(ANSWERS, ANSWERS)
def test_what_changed_leads_from_the_one_to_the_other(
    before: dict[tuple[str, int, str], Said], after: dict[tuple[str, int, str], Said]
) -> None:
    found = changes_between(before, after)
    assert bool(found) == (before != after)
    replayed = dict(before)
    for one in found:
        endpoint = (one.ip, one.port, one.transport)
        was = replayed.pop(endpoint, None)
        assert (None if was is None else was.state) == one.from_state
        assert (None if was is None else was.service) == one.from_service
        if one.to_state is not None:
            replayed[endpoint] = Said(one.to_state, one.to_service)
    assert replayed == after


def test_a_change_is_held_against_the_last_whole_check(made_settings: Made) -> None:
    async def kept(site: Site, target: WatchedTarget, what: Outcome) -> Check:
        await keep(site, target, what)
        return (await checks_of(site, target, 1))[0]

    async def work() -> None:
        async with worker(made_settings(retention_days=1)) as site:
            target = await watched(site, await person(site))
            assert not (await kept(site, target, outcome(row(22, "open", "ssh"), row(80, "open")))).changed
            assert not (await kept(site, target, outcome(row(80, "open"), row(22, "open", "ssh")))).changed
            assert not (await kept(site, target, outcome(row(80, "open"), whole=False))).changed
            await prune(site)  # which takes them all, and not what the next one is compared with
            assert await checks_of(site, target, 10) == []
            found = await kept(site, target, outcome(row(22, "open", "ftp"), row(80, "closed")))
            assert [(one.port, one.from_state, one.to_state) for one in found.changes] == [
                (22, "open", "open"),
                (80, "open", "closed"),
            ]
            gone = await kept(site, target, Outcome(NOW, 1.0, (), PortbookError(N_("gone")), whole=True))
            assert [one.to_state for one in gone.changes] == [None, None]

    asyncio.run(work())


def test_what_is_older_than_it_is_kept_is_forgotten(made_settings: Made) -> None:
    async def work() -> None:
        async with worker(made_settings(retention_days=7)) as site:
            target = await watched(site, await person(site))
            for days in (0.5, 6.9, 7.1, 700):
                await keep(site, target, outcome(begun=time() - days * 86400))
            schedule = Schedule(site)
            await schedule.look(NOW - 1)
            left = await checks_of(site, target, 10)
            assert [round((time() - check.begun) / 86400, 1) for check in left] == [6.9, 0.5]

    asyncio.run(work())


def test_a_target_that_was_removed_meanwhile_is_not_kept(made_settings: Made) -> None:
    async def work() -> None:
        async with worker(made_settings()) as site:
            target = await watched(site, await person(site))
            await accounts.remove(site.database, "anna")
            await keep(site, target, outcome(row(22, "open")))
            async with site.database.reading() as connection:
                assert (await connection.execute(select(checks.c.id))).all() == []
            assert await target_numbered(site, target.id) is None

    asyncio.run(work())


def test_many_workers_tell_a_webhook_once(made_settings: Made) -> None:
    async def work() -> None:
        async with receiver(answer(200)) as hook:
            given = {"webhooks": ("127.0.0.1",)}
            async with worker(made_settings(**given)) as one, worker(made_settings(**given)) as two:
                url = f"http://127.0.0.1:{hook.port}/"
                target = await watched(one, await person(one), due=None, every=None, webhook=url, secret="key")
                await keep(one, target, outcome(row(22, "open")))
                await keep(one, target, outcome(row(22, "closed")))
                schedules = (Schedule(one), Schedule(two))
                await asyncio.gather(*(schedule.look(NOW + 1e9) for schedule in schedules))
                await asyncio.gather(*map(all_done, schedules))
                (told,) = hook.told
                assert told.headers["x-portbook-signature"] == webhooks.signature("key", told.body)
                (change,) = json.loads(told.body)["changes"]
                assert (change["from_state"], change["to_state"]) == ("open", "closed")
                newest, oldest = await checks_of(two, target, 10)
                assert str(newest.told) == "the webhook was told"
                assert oldest.told is None

    asyncio.run(work())


def test_a_message_of_a_worker_that_died_is_sent_by_another(made_settings: Made) -> None:
    async def work() -> None:
        async with receiver(answer(200)) as hook, worker(made_settings(webhooks=("127.0.0.1",))) as site:
            url = f"http://127.0.0.1:{hook.port}/"
            target = await watched(site, await person(site), due=None, every=None, webhook=url)
            await keep(site, target, outcome(row(22, "open")))
            await keep(site, target, outcome(row(22, "closed")))
            now = NOW + 1e9
            assert len(await webhooks.claim(site, now, 9)) == 1  # and dies
            assert await webhooks.claim(site, now + 60, 9) == []
            (number,) = await webhooks.claim(site, now + 3600, 9)
            await webhooks.tell(site, number)
            assert len(hook.told) == 1
            assert await webhooks.claim(site, now + 1e6, 9) == []

    asyncio.run(work())


def test_what_became_of_a_message_is_kept(made_settings: Made) -> None:
    async def work() -> None:
        async with receiver(answer(500)) as hook, worker(made_settings(webhooks=("127.0.0.1",))) as site:
            url = f"http://127.0.0.1:{hook.port}/"
            target = await watched(site, await person(site), due=None, every=None, webhook=url)
            await keep(site, target, outcome(row(22, "open")))
            await keep(site, target, outcome(row(22, "closed")))
            (number,) = await webhooks.claim(site, NOW + 1e9, 9)
            await webhooks.tell(site, number, wait_none())
            assert str((await checks_of(site, target, 1))[0].told) == "the webhook answered with status 500"
            # No webhook any more: nobody is told, and nothing is left to be.
            await keep(site, target, outcome(row(22, "open")))
            async with site.database.writing() as connection:
                await connection.execute(update(targets).values(webhook=None))
            (number,) = await webhooks.claim(site, NOW + 1e9, 9)
            await webhooks.tell(site, number, wait_none())
            assert (await checks_of(site, target, 1))[0].told is None
            assert await webhooks.claim(site, NOW + 2e9, 9) == []

    asyncio.run(work())


def test_a_look_that_fails_is_not_the_last(made_settings: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portbook.web.schedule.LOOK", 0.001)
    looks: list[float] = []

    async def work() -> None:
        async with worker(made_settings()) as site:
            schedule = Schedule(site)
            done = asyncio.Event()

            async def look(now: float) -> None:
                looks.append(now)
                if len(looks) == 1:
                    raise OSError("the database went away")
                done.set()

            monkeypatch.setattr(schedule, "look", look)
            schedule.start()
            await asyncio.wait_for(done.wait(), 10)
            await schedule.stop()

    asyncio.run(work())
    assert len(looks) >= 2
