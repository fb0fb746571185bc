"""Tests of visitors' own addresses, and of targets: begun once for each, written down, ended when nobody looks.

What a port comes to is probe/few.py's; who may ask, and how often, has been decided before.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import aclosing
from time import time
from typing import NamedTuple

from portbook.columns import Table
from portbook.errors import N_
from portbook.porttest import COLUMNS
from portbook.probe.few import Few, accepts_everything, as_known
from portbook.probe.targets import Target
from portbook.probe.turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from typing import Any

    from portbook.porttest import PortTest
    from portbook.probe.testing import ServiceName
    from portbook.web.board import Board, Lines
    from portbook.web.metrics import Metrics
    from portbook.web.settings import Settings

NAMES = tuple(column.name for column in COLUMNS)
_NOTHING_KNOWN = dict.fromkeys(NAMES)

_PATIENCE = 8.0
"""Seconds after which a run that nobody reads has been left."""
_HEARTBEAT = 2.0
_IN_FLIGHT = 10.0
"""Seconds for which a question is remembered before it is answered: its worker may be gone by then."""
_GATHERED, _MOST_GATHERED, _MANY = 0.15, 0.6, 80
"""Seconds in which what is said after the first answer is told together, since each telling costs more than words:
at least, at most, and as many times as long as there are so many tests.
"""

OUT_OF_TIME = N_("the test took too long and was ended; the ports without an answer were not tested")
LEFT = N_("nobody waited for the answers any more, so the test was ended")
CUT_OFF = N_("the server stopped during the test; the ports without an answer were not tested")


class Begun(NamedTuple):
    """A run: its name, which nobody can guess, and whether it stood there before."""

    run: str
    joined: bool


class Asked(NamedTuple):
    """The address to be tested and the ports, as (port, transport).

    A target that somebody named has its name in `target`, and its `other` addresses are tested too.
    """

    ip: str
    ports: tuple[tuple[int, str], ...]
    identify: bool = True
    target: str | None = None
    other: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that is tested."""
        return (self.ip, *self.other)

    @property
    def key(self) -> str:
        """What equal questions have in common."""
        ports = ",".join(f"{port}/{transport}" for port, transport in self.ports)
        return f"{self.target or ''} {' '.join(self.addresses)} {self.identify} {ports}"


class Event(NamedTuple):
    """What a run says: what was `asked` first, then the `row` of a port, by column; `over` at the end.

    `final` is whether that is all that will be known of the port. `note` is a message id.
    """

    asked: Asked | None = None
    begun: float | None = None
    row: dict[str, Any] | None = None
    final: bool = False
    over: bool = False
    note: str | None = None


class Runs:
    """The runs of one worker."""

    def __init__(self, settings: Settings, board: Board, service_name: ServiceName, metrics: Metrics) -> None:
        self._quotas = settings.quotas
        self._board = board
        self._service_name = service_name
        self._metrics = metrics
        self._turns = Turns(settings.quotas.at_once)
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._running)

    async def begin(
        self, asked: Asked, flight: str | None = None, permit: Callable[[], Awaitable[None]] | None = None
    ) -> Begun:
        """Begin a run, or return the one that has just answered the same question, or has the same `flight`.

        A visitor has one flight for each address. Where the run is for a `flight` of its own, an earlier answer does
        not count. `permit` is asked before anything is begun. Raises what it raises, Refused (503) where the board
        cannot be reached.
        """
        run = secrets.token_urlsafe(16)
        mine = asked.ip if flight is None else flight
        try:
            # Both at once, since a board may be far.
            holder, known = await asyncio.gather(
                self._board.claim(mine, run, self._quotas.seconds + _PATIENCE),
                self._board.recall(asked.key) if flight is None else _nothing(),
            )
            if known is not None or holder != run:
                await self._board.release(mine, run)
                self._metrics.joined()
                return Begun(holder if known is None else known, joined=True)
            if permit is not None:
                await permit()
            await self._board.open(run, _line(Event(asked, time())))
            await self._board.remember(asked.key, run, min(_IN_FLIGHT, self._quotas.seconds))
        except BaseException:
            await self._board.release(mine, run)
            raise
        task = asyncio.create_task(self._run(run, asked, mine))
        self._running[run] = task
        self._metrics.begun()
        task.add_done_callback(lambda _: self._running.pop(run, None))
        return Begun(run, joined=False)

    async def follow(self, run: str, start: int = 0) -> AsyncIterator[Event | None]:
        """Yield what a run says from its event `start` on as it says it, and None now and then while it is silent."""
        async for events in self.together(run, start, gather=False):
            for event in events:
                yield event
            if not events:
                yield None

    async def together(self, run: str, start: int = 0, *, gather: bool = True) -> AsyncIterator[list[Event]]:
        """Yield the same, all that was said at the same time together, and nothing while it is silent.

        With `gather` what is said soon after an answer counts as the same time.
        """
        before = await self.so_far(run) if start else None
        over = bool(before and before[-1].over and len(before) <= start)  # who comes back has read the end
        while not over:
            found = await self._board.read(run, start, _HEARTBEAT)
            if found is None:
                return
            over = found.over
            start += len(found.lines)
            events = _events(found)
            yield events
            if gather and any(event.row is not None for event in events) and not over:
                await asyncio.sleep(min(_MOST_GATHERED, _GATHERED * (1 + self.running / _MANY)))

    async def so_far(self, run: str) -> list[Event] | None:
        """Return what a run has said, None where there is no such run."""
        found = await self._board.read(run, 0)
        return None if found is None else _events(found)

    async def end(self) -> None:
        """End what runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, run: str, asked: Asked, flight: str) -> None:
        note: str | None = CUT_OFF
        testing = asyncio.create_task(self._test(run, asked))
        leaving = asyncio.create_task(self._left(run))
        try:
            done, _ = await asyncio.wait(
                (testing, leaving), timeout=self._quotas.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if testing in done:
                note = await testing
                await self._board.remember(asked.key, run, self._quotas.cached)
            else:
                note = LEFT if leaving in done else OUT_OF_TIME
                await self._board.remember(asked.key, run, 0.0)
        finally:
            for task in (testing, leaving):
                task.cancel()
            await asyncio.gather(testing, leaving, return_exceptions=True)
            await self._write(run, Event(over=True, note=note))
            await self._board.release(flight, run)

    async def _test(self, run: str, asked: Asked) -> str | None:
        """Test every address, and return what is to be said of the first of which something is."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._test_address(run, asked, ip)) for ip in asked.addresses]
        return next((note for note in (task.result() for task in tasks) if note is not None), None)

    async def _test_address(self, run: str, asked: Asked, ip: str) -> str | None:
        name = asked.target or ip
        target = Target(name, name, ip)
        tests: list[PortTest] = []
        few = Few(target, asked.ports, self._service_name, asked.identify, turns=self._turns)
        async with aclosing(as_known(few)) as answers:
            async for test, final in answers:
                await self._write(run, Event(row=dict(zip(NAMES, test.row(), strict=True)), final=final))
                if final:
                    tests.append(test)
        return await accepts_everything(target, tests)

    async def _left(self, run: str) -> None:
        """Return when nobody has read the run for a while."""
        while (unread := await self._board.unread(run)) < _PATIENCE:
            await asyncio.sleep(max(0.5, _PATIENCE - unread))

    async def _write(self, run: str, event: Event) -> None:
        self._metrics.said(event)
        await self._board.write(run, _line(event), over=event.over)


async def _nothing() -> None:
    """Remember nothing."""


def rows_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return what is known of each port by now, by column, in the order in which ports were asked for."""
    asked = next(event.asked for event in events if event.asked is not None)
    rows = {(row["ip"], row["port"], row["transport"]): row for row in (event.row for event in events) if row}
    endpoints = [(ip, *port) for ip in asked.addresses for port in asked.ports]
    return [rows[endpoint] for endpoint in endpoints if endpoint in rows]


def table_of(events: Sequence[Event]) -> Table:
    """Return the same as a table."""
    return Table.from_rows(COLUMNS, ([_cell(row[name]) for name in NAMES] for row in rows_of(events)))


def _cell(value: Any) -> object:
    return tuple(value) if isinstance(value, list) else value


def _line(event: Event) -> str:
    said = {name: value for name, value in event._asdict().items() if value}
    if event.row is not None:
        said["row"] = {name: value for name, value in event.row.items() if value is not None}
    return json.dumps(said, separators=(",", ":"))


def _events(found: Lines) -> list[Event]:
    """Return what lines say; a run that ended without saying so was cut off."""
    events = [_event(line) for line in found.lines]
    if found.over and not (events and events[-1].over):
        events.append(Event(over=True, note=CUT_OFF))
    return events


def _event(line: str) -> Event:
    said = json.loads(line)
    if "asked" in said:
        ip, ports, identify, target, other = said["asked"]
        named = tuple((port, transport) for port, transport in ports)
        said["asked"] = Asked(ip, named, identify, target, tuple(other))
    if "row" in said:
        said["row"] = _NOTHING_KNOWN | said["row"]
    return Event(**said)
