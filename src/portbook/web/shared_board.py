"""The board of all workers that share a Valkey or Redis.

A run stands in the memory of the worker that tests, where it is written at once, and goes to the store a moment
later, many lines together. A run of another worker is copied from there for as long as somebody here reads it.
The worker says every few seconds that its runs go on; when that has not been heard for a while, the worker is gone:
its runs are over, and the addresses that they held are free.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

from redis.exceptions import RedisError

from portbook.web.board import AN_HOUR, KEPT, MOST_BROWSERS, Lines, LocalBoard
from portbook.web.store import store, within_reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from typing import Any

    from redis.asyncio import Redis

_OVER = ""
"""The last item of a run that is over; no line is empty."""

_SENT_EVERY, _COPIED_EVERY = 0.03, 0.1
_BEATS_EVERY, _BEAT_FOR = 3.0, 10_000
"""Seconds; milliseconds."""

_GONE_AFTER = 4.0
"""Seconds without a word of a worker whose runs are read here: by then one that is there has said it again."""

_LOOKED_EVERY, _LOOK_FOR = 1.0, 60_000
_FOLLOWED = 10.0
"""Seconds for which a run of another worker is copied on after its last reader asked."""

_AGAIN = 1.0
"""Seconds until the store is tried again after it could not be reached."""

_FREE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
"""An address is freed by the run that has it."""

_UNREACHED = (RedisError, OSError, TimeoutError)


class _Copy:
    """What is known of a run of another worker beside its lines."""

    def __init__(self) -> None:
        self.looked = 0.0
        self.beat = monotonic()


class SharedBoard:
    """One worker's view of the board that all share."""

    def __init__(self, url: str) -> None:
        self._store: Redis = store(url)
        self._own, self._others = LocalBoard(), LocalBoard()
        self._unsent: dict[str, list[str]] = {}
        self._live: set[str] = set()
        self._claimed: dict[str, str] = {}
        self._followed: dict[str, _Copy] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()

    async def claim(self, address: str, run: str, seconds: float) -> str:
        """As Board; that of a worker which is gone is free again some seconds later."""
        key = _flight(address)
        with within_reach():
            until = min(int(seconds * 1000), _BEAT_FOR)
            holder = await self._store.set(key, run, nx=True, get=True, px=until)
        if holder is not None:
            return str(holder)
        self._claimed[run] = address
        self._keep_on("beating", self._beat)
        return run

    async def release(self, address: str, run: str) -> None:
        """As Board."""
        self._claimed.pop(run, None)
        with suppress(*_UNREACHED):  # then it is free when it expires
            await self._store.eval(_FREE, 1, _flight(address), run)

    async def remember(self, key: str, run: str, seconds: float) -> None:
        """As Board."""
        with suppress(*_UNREACHED):  # then the question is answered anew
            if seconds > 0:
                await self._store.set(_last(key), run, px=max(1, int(seconds * 1000)))
            else:
                await self._store.delete(_last(key))

    async def recall(self, key: str) -> str | None:
        """As Board."""
        with within_reach():
            found = await self._store.get(_last(key))
        return None if found is None else str(found)

    async def open(self, run: str, line: str) -> None:
        """As Board."""
        with within_reach():
            await asyncio.gather(
                self._store.rpush(_run(run), line),
                self._store.expire(_run(run), int(KEPT)),
                self._store.set(_beat(run), "1", px=_BEAT_FOR),
            )
        await self._own.open(run, line)
        self._live.add(run)
        self._keep_on("beating", self._beat)

    async def write(self, run: str, line: str, over: bool = False) -> None:
        """As Board; only the last line waits for the store."""
        await self._own.write(run, line, over)
        unsent = self._unsent.setdefault(run, [])
        unsent.append(line)
        self._keep_on("sending", self._send)
        if over:
            unsent.append(_OVER)
            self._live.discard(run)
            with suppress(*_UNREACHED):
                await self._sent()

    async def read(self, run: str, start: int, wait: float = 0.0) -> Lines | None:
        """As Board."""
        if self._own.has(run):
            return await self._own.read(run, start, wait)
        if not self._others.has(run) and not await self._copied(run):
            return None
        if not self._others.is_over(run):
            is_new = run not in self._followed
            self._followed.setdefault(run, _Copy())
            if is_new or not wait:
                with within_reach():
                    await self._copy([run])
            self._keep_on("following", self._follow)
        return await self._others.read(run, start, wait)

    async def unread(self, run: str) -> float:
        """As Board."""
        here = await self._own.unread(run)
        if here < _LOOKED_EVERY:
            return here
        try:
            left = await self._store.pttl(_look(run))
        except _UNREACHED:
            return here
        return here if left < 0 else min(here, max(0.0, (_LOOK_FOR - left) / 1000))

    async def browsers(self, address: str, browser: str) -> int:
        """As Board."""
        key = f"portbook:browsers:{address}"
        with within_reach():
            count: int = await self._store.scard(key)
            if count < MOST_BROWSERS and await self._store.sadd(key, browser):
                await self._store.expire(key, int(AN_HOUR))
                count += 1
        return count

    async def is_there(self) -> bool:
        """As Board."""
        try:
            return bool(await self._store.ping())
        except _UNREACHED:
            return False

    async def close(self) -> None:
        """As Board."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        with suppress(*_UNREACHED):
            await self._sent()
        await self._store.aclose()

    def _keep_on(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._tasks.get(name)
        if task is None or task.done():
            self._tasks[name] = asyncio.create_task(work())

    async def _send(self) -> None:
        """Send what has been written, until there is nothing more."""
        while self._unsent:
            await asyncio.sleep(_SENT_EVERY)
            try:
                await self._sent()
            except _UNREACHED:
                await asyncio.sleep(_AGAIN)

    async def _sent(self) -> None:
        """Send what has been written by now."""
        async with self._sending:
            await self._sent_alone()

    async def _sent_alone(self) -> None:
        sending = {run: list(lines) for run, lines in self._unsent.items()}
        if not sending:
            return
        async with self._store.pipeline(transaction=False) as together:
            for run, lines in sending.items():
                together.rpushx(_run(run), *lines)
                together.expire(_run(run), int(KEPT))
            lengths = (await together.execute())[::2]
            lost = [run for run, length in zip(sending, lengths, strict=True) if not length]
            for run, lines in sending.items():
                self._forget_unsent(run, len(lines))
            for run in lost:  # the store has been emptied: all of it again
                whole = [*self._own.lines(run)]
                whole += [_OVER] if self._own.is_over(run) else []
                self._unsent.pop(run, None)
                if whole:
                    together.rpush(_run(run), *whole)
                    together.expire(_run(run), int(KEPT))
            await together.execute()

    def _forget_unsent(self, run: str, count: int) -> None:
        rest = self._unsent[run][count:]
        if rest:
            self._unsent[run] = rest
        else:
            del self._unsent[run]

    async def _beat(self) -> None:
        """Say that the runs of this worker go on, and keep the addresses that they hold."""
        while self._live or self._claimed:
            await asyncio.sleep(_BEATS_EVERY)
            with suppress(*_UNREACHED):
                async with self._store.pipeline(transaction=False) as together:
                    for run in self._live:
                        together.set(_beat(run), "1", px=_BEAT_FOR)
                    for address in self._claimed.values():
                        together.pexpire(_flight(address), _BEAT_FOR)
                    await together.execute()

    async def _follow(self) -> None:
        """Copy what other workers write of runs that are read here, until nobody reads any."""
        while self._followed:
            await asyncio.sleep(_COPIED_EVERY)
            for run in list(self._followed):
                if self._others.is_over(run) or await self._others.unread(run) > _FOLLOWED:
                    del self._followed[run]
            try:
                await self._copy(self._followed)
            except _UNREACHED:
                await asyncio.sleep(_AGAIN)
                for copy in self._followed.values():
                    copy.beat = monotonic()  # nobody can have been heard

    async def _copied(self, run: str) -> bool:
        """Return whether there is such a run of another worker, after copying what it has said."""
        with within_reach():
            lines = [str(line) for line in await self._store.lrange(_run(run), 0, -1)]
        if not lines:
            return False
        if not self._others.has(run):
            await self._others.open(run, lines[0])
            self._others.add(run, lines[1:-1] if lines[-1] == _OVER else lines[1:], lines[-1] == _OVER)
        return True

    async def _copy(self, runs: Iterable[str]) -> None:
        """Copy what is new of some runs; those whose worker is not heard of any more are over."""
        now = monotonic()
        asked = {run: (len(self._others.lines(run)), self._followed[run]) for run in runs}
        looked = [run for run, (_, copy) in asked.items() if now - copy.looked > _LOOKED_EVERY]
        if not asked:
            return
        for run in looked:
            asked[run][1].looked = now
        questions: list[Awaitable[Any]] = [
            self._store.lrange(_run(run), length, -1) for run, (length, _) in asked.items()
        ]
        questions += [self._store.exists(_beat(run)) for run in looked]
        questions += [self._store.set(_look(run), "1", px=_LOOK_FOR) for run in looked]
        answers = await asyncio.gather(*questions)
        for run, beats in zip(looked, answers[len(asked) :], strict=False):
            if beats:
                asked[run][1].beat = now
        for (run, (length, copy)), lines in zip(asked.items(), answers, strict=False):
            if len(self._others.lines(run)) != length or self._others.is_over(run):
                continue  # somebody else has just copied it
            over = bool(lines) and lines[-1] == _OVER
            gone = now - copy.beat > _GONE_AFTER
            if lines or gone:
                self._others.add(run, lines[:-1] if over else lines, over or gone)


def _run(run: str) -> str:
    return f"portbook:run:{run}"


def _beat(run: str) -> str:
    return f"portbook:beat:{run}"


def _look(run: str) -> str:
    return f"portbook:look:{run}"


def _flight(address: str) -> str:
    return f"portbook:flight:{address}"


def _last(key: str) -> str:
    return f"portbook:last:{key}"
