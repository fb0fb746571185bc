"""One suite for both boards; then what only the shared one does, with a real store and two workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from portbook.web import board as boards
from portbook.web.board import MOST_BROWSERS, Board, Lines, LocalBoard
from portbook.web.refused import Refused
from portbook.web.shared_board import SharedBoard

from .. import servers
from .boards import eventually, hasty, tell, url

__all__ = ["hasty"]

Making = Callable[[], AbstractAsyncContextManager[Board]]


@pytest.fixture(scope="module")
def store() -> Iterator[servers.Server]:
    with servers.redis() as server:
        yield server


@pytest.fixture(params=["local", pytest.param("shared", marks=pytest.mark.servers)])
def making(request: pytest.FixtureRequest) -> Making:
    where = None
    if request.param == "shared":
        store: servers.Server = request.getfixturevalue("store")
        tell(store, "flushall")
        where = url(store)

    @asynccontextmanager
    async def made() -> AsyncIterator[Board]:
        board: Board = LocalBoard() if where is None else SharedBoard(where)
        try:
            yield board
        finally:
            await board.close()

    return made


def run(making: Making, work: Callable[[Board], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with making() as board:
            await work(board)

    asyncio.run(whole())


def test_an_address_is_one_runs_until_it_is_released(making: Making) -> None:
    async def work(board: Board) -> None:
        assert await board.claim("a", "one", 60) == "one"
        assert await board.claim("a", "two", 60) == "one"
        assert await board.claim("b", "two", 60) == "two"
        await board.release("a", "two")
        assert await board.claim("a", "three", 60) == "one"
        await board.release("a", "one")
        assert await board.claim("a", "three", 60) == "three"

    run(making, work)


def test_a_claim_and_a_memory_end_with_their_time(making: Making) -> None:
    async def work(board: Board) -> None:
        await board.claim("a", "one", 0.05)
        await board.remember("question", "one", 0.05)
        assert await eventually(lambda: _is(board.recall("question"), None))
        assert await eventually(lambda: _is(board.claim("a", "two", 60), "two"))

    run(making, work)


async def _is(asked: Coroutine[Any, Any, object], expected: object) -> bool:
    return await asked == expected


def test_a_question_is_remembered_until_it_is_to_be_forgotten(making: Making) -> None:
    async def work(board: Board) -> None:
        assert await board.recall("question") is None
        await board.remember("question", "one", 60)
        assert await board.recall("question") == "one"
        await board.remember("question", "one", 0.0)
        assert await board.recall("question") is None

    run(making, work)


def test_lines_are_read_from_any_of_them_on(making: Making) -> None:
    async def work(board: Board) -> None:
        assert await board.read("none", 0) is None
        await board.open("one", "first")
        await board.write("one", "second")
        assert await board.read("one", 0) == Lines(["first", "second"], False)
        assert await board.read("one", 1) == Lines(["second"], False)
        assert await board.read("one", 2, wait=0.01) == Lines([], False)
        await board.write("one", "last", over=True)
        assert await board.read("one", 2, wait=60) == Lines(["last"], True)
        assert await board.read("one", 9, wait=60) == Lines([], True)

    run(making, work)


def test_every_reader_who_waits_gets_the_line(making: Making) -> None:
    async def work(board: Board) -> None:
        await board.open("one", "first")
        waiting = [asyncio.create_task(board.read("one", 1, wait=60)) for _ in range(5)]
        await asyncio.sleep(0)
        await board.write("one", "second")
        assert await asyncio.gather(*waiting) == [Lines(["second"], False)] * 5

    run(making, work)


def test_it_is_known_how_long_nobody_has_read(making: Making) -> None:
    async def work(board: Board) -> None:
        assert await board.unread("none") >= boards.KEPT
        await board.open("one", "first")
        before = await board.unread("one")
        await asyncio.sleep(0.05)
        assert await board.unread("one") > before
        await board.read("one", 0)
        assert await board.unread("one") < 0.05

    run(making, work)


def test_browsers_are_counted_for_each_address_and_not_for_ever(making: Making) -> None:
    async def work(board: Board) -> None:
        assert [await board.browsers("a", name) for name in "xyx"] == [1, 2, 2]
        assert await board.browsers("b", "x") == 1
        for number in range(3 * MOST_BROWSERS):
            most = await board.browsers("c", str(number))
        assert most == MOST_BROWSERS

    run(making, work)


def test_the_board_is_there(making: Making) -> None:
    async def work(board: Board) -> None:
        assert await board.is_there()

    run(making, work)


def test_the_memory_of_one_process_is_bounded() -> None:
    async def work() -> None:
        board = LocalBoard(most_lines=100, most_addresses=10)
        for number in range(1000):
            name = str(number)
            assert await board.claim(name, name, 3600) == name
            await board.remember(name, name, 3600)
            await board.browsers(name, name)
            await board.open(name, "first")
            for _ in range(8):
                await board.write(name, "line")
        for kept in (board._claims, board._remembered, board._browsers):
            assert len(kept) == 10
        assert sum(len(one.lines) for one in board._runs.values()) <= 100
        assert await board.read("999", 0) == Lines(["first", *["line"] * 8], False)
        assert await board.read("0", 0) is None
        await board.write("0", "line")
        assert await board.read("0", 0) is None

    asyncio.run(work())


def test_a_long_run_is_known_as_long_as_it_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(boards, "monotonic", lambda: now)

    async def work() -> None:
        nonlocal now
        board = LocalBoard()
        await board.open("one", "first")
        for _ in range(5):
            now += 0.9 * boards.KEPT
            await board.write("one", "line")
        assert await board.read("one", 5) == Lines(["line"], False)
        now += 1.1 * boards.KEPT
        assert await board.read("one", 0) is None

    asyncio.run(work())


def two(store: servers.Server, work: Callable[[SharedBoard, SharedBoard], Coroutine[Any, Any, None]]) -> None:
    """Have two workers share an empty store."""
    tell(store, "flushall")

    async def whole() -> None:
        here, there = SharedBoard(url(store)), SharedBoard(url(store))
        try:
            await work(here, there)
        finally:
            await here.close()
            await there.close()

    asyncio.run(whole())


@pytest.mark.servers
def test_a_run_is_read_at_every_worker(store: servers.Server) -> None:
    async def work(here: SharedBoard, there: SharedBoard) -> None:
        names = [f"run {number}" for number in range(20)]

        async def said(name: str) -> None:
            for number in range(1, 40):
                await here.write(name, str(number))
                await asyncio.sleep(0.01 if number % 9 == 0 else 0)
            await here.write(name, "40", over=True)

        async def heard(name: str) -> list[str]:
            lines: list[str] = []
            found: Lines | None = Lines([], False)
            while found is not None and not found.over:
                found = await there.read(name, len(lines), wait=1.0)
                lines += [] if found is None else found.lines
            return lines

        await asyncio.gather(*(here.open(name, "0") for name in names))
        saying = asyncio.gather(*(said(name) for name in names))
        # Three readers of each: none gets a line twice, or misses one.
        told = await asyncio.gather(*(heard(name) for name in names * 3))
        await saying
        assert all(lines == [str(number) for number in range(41)] for lines in told)

    two(store, work)


@pytest.mark.servers
def test_whoever_has_seen_the_end_at_one_worker_finds_all_at_another(store: servers.Server) -> None:
    async def work(here: SharedBoard, there: SharedBoard) -> None:
        await here.open("one", "first")
        assert await there.read("one", 0) == Lines(["first"], False)
        await here.write("one", "second")
        await here.write("one", "last", over=True)
        assert await there.read("one", 0) == Lines(["first", "second", "last"], True)

    two(store, work)


@pytest.mark.servers
def test_claims_and_questions_are_everybodys(store: servers.Server) -> None:
    async def work(here: SharedBoard, there: SharedBoard) -> None:
        assert await here.claim("a", "one", 60) == "one"
        assert await there.claim("a", "two", 60) == "one"
        await here.remember("question", "one", 60)
        assert await there.recall("question") == "one"
        assert [await here.browsers("a", "x"), await there.browsers("a", "y")] == [1, 2]

    two(store, work)


@pytest.mark.servers
@pytest.mark.usefixtures("hasty")
def test_a_reader_elsewhere_keeps_a_run_from_being_left(store: servers.Server) -> None:
    async def work(here: SharedBoard, there: SharedBoard) -> None:
        await here.open("one", "first")
        for _ in range(10):
            await asyncio.sleep(0.05)
            await there.read("one", 1, wait=0.05)
        assert await here.unread("one") < 0.4

    two(store, work)


@pytest.mark.servers
@pytest.mark.usefixtures("hasty")
def test_what_a_worker_holds_is_free_and_over_when_it_is_gone(store: servers.Server) -> None:
    async def work(here: SharedBoard, there: SharedBoard) -> None:
        await here.claim("a", "one", 3600)
        await here.open("one", "first")
        # Longer than any claim lasts by itself: the worker says that it is there.
        for _ in range(4):
            await asyncio.sleep(0.5)
            assert await there.claim("a", "two", 60) == "one"
            assert await there.read("one", 0, wait=0.1) == Lines(["first"], False)
        here._tasks["beating"].cancel()  # as kill -9 does

        async def over() -> bool:
            found = await there.read("one", 1, wait=0.1)
            return found == Lines([], True)

        assert await eventually(over)
        assert await eventually(lambda: _is(there.claim("a", "two", 60), "two"))

    two(store, work)


@pytest.mark.servers
@pytest.mark.usefixtures("hasty")
def test_a_store_that_was_emptied_gets_the_whole_run_again(store: servers.Server) -> None:
    async def work(here: SharedBoard, there: SharedBoard) -> None:
        await here.open("one", "first")
        await here.write("one", "second")
        tell(store, "flushall")
        await here.write("one", "last", over=True)
        assert await there.read("one", 0) == Lines(["first", "second", "last"], True)

    two(store, work)


@pytest.mark.servers
@pytest.mark.usefixtures("hasty")
def test_without_its_store_a_board_refuses_and_its_own_runs_go_on() -> None:
    async def work(board: SharedBoard, stop: Callable[[], None]) -> None:
        await board.claim("a", "one", 60)
        await board.open("one", "first")
        stop()
        for asked in (
            board.claim("b", "two", 60),
            board.recall("question"),
            board.open("two", "first"),
            board.browsers("a", "x"),
            board.read("elsewhere", 0),
        ):
            with pytest.raises(Refused) as refused:
                await asked
            assert (refused.value.status, refused.value.retry_after) == (503, 5)
        assert not await board.is_there()
        await board.write("one", "second")
        await board.release("a", "one")
        await board.remember("question", "one", 60)
        await board.write("one", "last", over=True)
        assert await board.read("one", 0) == Lines(["first", "second", "last"], True)
        assert await board.unread("one") < 60
        await board.close()

    with servers.redis() as server:
        asyncio.run(work(SharedBoard(url(server)), lambda: tell(server, "shutdown", "nosave")))
