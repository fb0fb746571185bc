"""When targets are tested again: every worker looks now and then what is due, and what one claims no other has.

A claim moves the time of the next test on in the database at once; a worker that dies has lost that one test.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from random import random
from time import time

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from portbook.errors import PortbookError
from portbook.web import webhooks
from portbook.web.allowed import NoAddress
from portbook.web.checks import Outcome, followed, keep, prune
from portbook.web.database import targets
from portbook.web.targets import begin_test, target_numbered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from starlette.requests import Request

    from portbook.web.database import Database
    from portbook.web.site import Site
    from portbook.web.targets import WatchedTarget

_log = logging.getLogger(__name__)

LOOK = 3.0
"""Seconds between two looks for what is due."""
AT_ONCE = 16
"""Targets that a worker tests at the same time."""
_SPREAD, _WIDEST = 0.04, 60.0
_PRUNE = 3600.0
_TO_KEEP = 2.0
"""Seconds in which what was broken off is kept."""


def following(every: float, now: float, chance: float) -> float:
    """Return when a target that is tested now is due next; `chance`, 0 to 1, spreads those of one moment a little.

    However long ago it was due, it is tested once: what was missed is not caught up on.
    """
    spread = min(every * _SPREAD, _WIDEST)
    return now + every + spread * (chance - 0.5)


async def claim(database: Database, now: float, most: int) -> list[int]:
    """Return the targets that are due and that this worker is to test, by number, the longest due first."""
    wanted = select(targets.c.id, targets.c.due, targets.c.every)
    wanted = wanted.where(targets.c.due <= now).order_by(targets.c.due).limit(most)
    async with database.reading() as connection:
        due = (await connection.execute(wanted)).all()
    mine = []
    for number, moment, every in due:
        again = None if every is None else following(every, now, random())  # noqa: S311 - nobody's secret
        moved = update(targets).where(targets.c.id == number, targets.c.due == moment).values(due=again)
        async with database.writing() as connection:
            if (await connection.execute(moved)).rowcount:
                mine.append(number)
    return mine


class Schedule:
    """The tests and messages of one worker that nobody waits for."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tests: set[asyncio.Task[None]] = set()
        self._messages: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._pruned = 0.0

    def start(self) -> None:
        """Begin to look for what is due."""
        self._looking = asyncio.create_task(self._look_always())

    async def stop(self) -> None:
        """End what is under way: tests are broken off, messages are another worker's after a while."""
        self._ending.set()
        if self._looking is not None:
            await self._looking
        await self._site.runs.end()
        if self._tests:
            await asyncio.wait(self._tests, timeout=_TO_KEEP)
        tasks = [*self._tests, *self._messages]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def keep(self, target: WatchedTarget, run: str) -> None:
        """Have the run, which tests the target, kept when it is over."""
        self._begin(self._tests, self._kept(target, run))

    async def look(self, now: float) -> None:
        """Begin what is due and what there is room for."""
        for number in await claim(self._site.database, now, max(0, AT_ONCE - len(self._tests))):
            self._begin(self._tests, self._test(number))
        for number in await webhooks.claim(self._site, now, max(0, webhooks.AT_ONCE - len(self._messages))):
            self._begin(self._messages, webhooks.tell(self._site, number))
        if now - self._pruned >= _PRUNE:
            self._pruned = now
            await prune(self._site)

    async def _look_always(self) -> None:
        while not self._ending.is_set():
            try:
                await self.look(time())
            except (SQLAlchemyError, OSError):
                _log.warning("the database does not answer", exc_info=True)
            pause = LOOK * (0.5 + random())  # noqa: S311 - so that workers do not look together
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def _begin(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_tell_failure)

    async def _test(self, number: int) -> None:
        """Test a target, and keep what it came to, be it only why it could not be tested."""
        target = await target_numbered(self._site, number)
        if target is None:
            return
        begun = time()
        try:
            run, joined = await begin_test(self._site, target, by_hand=False)
        except PortbookError as error:
            outcome = Outcome(begun, time() - begun, (), error, whole=isinstance(error, NoAddress))
            await keep(self._site, target, outcome)
            return
        if not joined:  # else whoever began it keeps it
            await self._kept(target, run)

    async def _kept(self, target: WatchedTarget, run: str) -> None:
        await keep(self._site, target, await followed(self._site, run))


def schedule_of(request: Request) -> Schedule:
    """Return the schedule of the worker that answers a request."""
    found: Schedule = request.app.state.schedule
    return found


def _tell_failure(task: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        error = task.exception()
        if error is not None:
            _log.error("a test of a target, or a message of one, failed", exc_info=error)
