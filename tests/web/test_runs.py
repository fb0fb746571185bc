"""Tests of addresses as their readers see them, on both boards, with answers that each test gives itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from portbook.porttest import PortTest
from portbook.probe.few import Few, Told
from portbook.probe.reach import ALL_OPEN
from portbook.web import runs as module
from portbook.web.board import Board, LocalBoard
from portbook.web.metrics import Metrics
from portbook.web.refused import Refused
from portbook.web.runs import CUT_OFF, LEFT, OUT_OF_TIME, Asked, Event, Runs, table_of
from portbook.web.settings import Settings, read_settings
from portbook.web.shared_board import SharedBoard

from .. import servers
from .boards import tell, url

ASKED = Asked("192.0.2.7", ((22, "tcp"), (80, "tcp"), (53, "udp")))


class Played:
    """Stands for as_known: tells what is put into it, and notes that it was closed."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Told | None] = asyncio.Queue()
        self.begun = 0
        self.closed = 0

    async def __call__(self, few: Few) -> AsyncGenerator[Told, None]:
        self.begun += 1
        try:
            while (answer := await self.answers.get()) is not None:
                yield answer
        finally:
            self.closed += 1

    def tell(self, port: int, transport: str, state: Any = "closed", final: bool = True) -> None:
        self.answers.put_nowait(Told(PortTest(ASKED.ip, ASKED.ip, port, transport, state, "reset"), final))

    def tell_all(self) -> None:
        for port, transport in ASKED.ports:
            self.tell(port, transport)
        self.answers.put_nowait(None)


@pytest.fixture(scope="module")
def store() -> Iterator[servers.Server]:
    with servers.redis() as server:
        yield server


@pytest.fixture(params=["local", pytest.param("shared", marks=pytest.mark.servers)])
def where(request: pytest.FixtureRequest) -> str | None:
    if request.param == "local":
        return None
    store: servers.Server = request.getfixturevalue("store")
    tell(store, "flushall")
    return url(store)


Work = Callable[[Runs, Played, Board], Coroutine[Any, Any, None]]
Playing = Callable[..., None]


@pytest.fixture
def playing(where: str | None, monkeypatch: pytest.MonkeyPatch) -> Playing:
    """Return what runs a test with runs of a server of these quotas."""

    def played(work: Work, **quotas: Any) -> None:
        settings: Settings = read_settings(None, {"mode": "public", "data": "/nonexistent", "quotas": quotas})

        async def whole() -> None:
            play = Played()
            monkeypatch.setattr(module, "as_known", play)
            board: Board = LocalBoard() if where is None else SharedBoard(where)
            runs = Runs(settings, board, lambda *_: None, Metrics(settings))
            try:
                async with asyncio.timeout(60):
                    await work(runs, play, board)
            finally:
                await runs.end()
                await board.close()
            assert runs.running == 0
            assert play.closed == play.begun

        asyncio.run(whole())

    return played


async def heard(runs: Runs, run: str, start: int = 0) -> list[Event]:
    return [event async for event in runs.follow(run, start) if event is not None]


def test_events_come_in_order_and_from_any_on(playing: Playing) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        assert not begun.joined
        play.tell(80, "tcp", "open", final=False)
        play.tell_all()
        events = await heard(runs, begun.run)
        assert events[0].asked == ASKED
        told = [(event.row["port"], event.final) for event in events[1:-1] if event.row]
        assert told == [(80, False), (22, True), (80, True), (53, True)]
        assert (events[-1].over, events[-1].note) == (True, None)
        assert await heard(runs, begun.run, 4) == events[4:]
        assert await runs.so_far(begun.run) == events
        assert [(row.port, row.state) for row in table_of(events)] == [(22, "closed"), (80, "closed"), (53, "closed")]

    playing(work)


def test_one_test_of_an_address_at_a_time(playing: Playing) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        for _ in range(3):
            assert await runs.begin(ASKED._replace(ports=((443, "tcp"),))) == (begun.run, True)
        assert runs.running == 1
        play.tell_all()
        await heard(runs, begun.run)
        await runs.end()
        again = await runs.begin(ASKED._replace(identify=False))
        assert again.run != begun.run
        play.answers.put_nowait(None)
        await heard(runs, again.run)

    playing(work)


def test_an_equal_question_is_answered_from_memory_for_a_while(playing: Playing) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        assert await runs.begin(ASKED) == (begun.run, True)
        play.tell_all()
        await heard(runs, begun.run)
        await runs.end()
        assert await runs.begin(ASKED) == (begun.run, True)
        other = await runs.begin(ASKED._replace(identify=False))
        assert not other.joined
        play.answers.put_nowait(None)
        await heard(runs, other.run)

    playing(work, cached=60.0)


def test_what_is_not_permitted_leaves_nothing_behind(playing: Playing) -> None:
    async def refuse() -> None:
        raise Refused(429, "no")

    async def work(runs: Runs, play: Played, board: Board) -> None:
        with pytest.raises(Refused):
            await runs.begin(ASKED, permit=refuse)
        assert runs.running == 0
        begun = await runs.begin(ASKED)
        assert not begun.joined
        # Nobody asks for leave to read what is there.
        assert await runs.begin(ASKED, permit=refuse) == (begun.run, True)
        play.tell_all()
        await heard(runs, begun.run)

    playing(work)


def test_a_test_that_nobody_reads_is_ended(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)

    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        while runs.running:
            await asyncio.sleep(0.02)
        assert play.closed == 1
        last = (await heard(runs, begun.run))[-1]
        assert (last.over, last.note) == (True, LEFT)
        assert not (await runs.begin(ASKED)).joined

    playing(work)


def test_a_test_with_a_reader_is_not_ended(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    monkeypatch.setattr(module, "_HEARTBEAT", 0.05)

    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        reading = asyncio.create_task(heard(runs, begun.run))
        await asyncio.sleep(1.5)
        assert runs.running == 1
        play.tell_all()
        assert (await reading)[-1].note is None

    playing(work)


def test_a_test_that_takes_too_long_is_ended(playing: Playing) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        play.tell(22, "tcp")
        events = await heard(runs, begun.run)
        assert (events[-1].over, events[-1].note) == (True, OUT_OF_TIME)
        assert len(events) == 3

    playing(work, seconds=0.3)


def test_the_end_of_the_server_is_told_to_readers(playing: Playing) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        reading = asyncio.create_task(heard(runs, begun.run))
        await asyncio.sleep(0.05)
        await runs.end()
        assert (await reading)[-1] == Event(over=True, note=CUT_OFF)

    playing(work)


def test_a_gateway_that_accepts_everything_is_said_to(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    async def suspected(*_: object) -> str:
        return ALL_OPEN

    monkeypatch.setattr(module, "accepts_everything", suspected)

    async def work(runs: Runs, play: Played, board: Board) -> None:
        begun = await runs.begin(ASKED)
        play.tell_all()
        assert (await heard(runs, begun.run))[-1].note == ALL_OPEN

    playing(work)


def test_an_address_is_free_when_its_test_cannot_begin(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        async def fails(run: str, line: str) -> None:
            raise OSError("no room")

        with monkeypatch.context() as patched:
            patched.setattr(board, "open", fails)
            with pytest.raises(OSError, match="no room"):
                await runs.begin(ASKED)
        assert not (await runs.begin(ASKED)).joined

    playing(work)


def test_an_unknown_run_says_nothing(playing: Playing) -> None:
    async def work(runs: Runs, play: Played, board: Board) -> None:
        assert await runs.so_far("none") is None
        assert await heard(runs, "none") == []

    playing(work)
