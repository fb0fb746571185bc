"""Whose turn it is: many tests share the room of one process, and of those that wait, every first port comes before
any second one.

Only a few begin in each pass of the event loop, so that whatever else the process does goes on between them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_A_PASS = 4
"""So many begin in one pass of the event loop."""

_MANY, _NEWCOMERS, _GIVE_WAY, _AGAIN = 200, 0.2, 1.5, 0.02
"""Where more than so many wait, those behind the first of their test give way as long as new tests come, each within
so many seconds of the one before, but no longer than so many seconds; looked at again after so many.
"""


class Turns:
    """Room for so many tests at once."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._inside: deque[asyncio.Future[None]] = deque()
        self._arrivals = count()
        self._is_due = False
        self._first_began = self._giving_way = 0.0

    @asynccontextmanager
    async def turn(self, place: int) -> AsyncIterator[None]:
        """Wait until there is room and nothing of a lower place waits, the earlier first; have the room meanwhile."""
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (place, next(self._arrivals), turn))
        self._go_on()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += 1
                self._go_on()

    async def pause(self) -> None:
        """Let all go first that can begin now; for one that has room."""
        turn = asyncio.get_running_loop().create_future()
        self._inside.append(turn)
        self._go_on()
        await turn

    def _go_on(self) -> None:
        if not self._is_due and ((self._free and self._waiting) or self._inside):
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _gives_way(self, now: float) -> bool:
        """Whether what can begin is to wait for tests that have not begun at all."""
        if len(self._waiting) < _MANY or now - self._first_began > _NEWCOMERS:
            self._giving_way = 0.0
            return False
        self._giving_way = self._giving_way or now
        return now - self._giving_way < _GIVE_WAY

    def _begin_some(self) -> None:
        self._is_due = False
        loop = asyncio.get_running_loop()
        now = loop.time()
        for _ in range(_A_PASS):
            while self._waiting and self._waiting[0][2].done():
                heappop(self._waiting)  # it was cancelled
            is_first = bool(self._waiting) and self._waiting[0][0] == 0
            if is_first:
                self._first_began = now
            elif self._gives_way(now):
                self._is_due = True
                loop.call_later(_AGAIN, self._begin_some)
                return
            if self._free and self._waiting:
                self._free -= 1
                heappop(self._waiting)[2].set_result(None)
            elif self._inside:
                turn = self._inside.popleft()
                if not turn.done():
                    turn.set_result(None)
            else:
                return
        self._go_on()
