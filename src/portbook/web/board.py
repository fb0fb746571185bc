"""Where the results of tests stand for whoever reads them: what a board can do, and the board of one process.

What is written is lines of text; what they mean is runs.py's. That of many workers is shared_board.py's. A board
forgets after a while, and the longest unread first, so memory is bounded.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import NamedTuple, Protocol

from cachetools import TLRUCache, TTLCache

KEPT = 600.0
"""Seconds that a run can be read after its last line."""

MOST_BROWSERS = 16
"""So many browsers of one address are told apart."""
AN_HOUR = 3600.0

_MOST_LINES = 200_000
"""Of all runs together: some 80 MB."""
_MOST_ADDRESSES = 65536


class Lines(NamedTuple):
    """What stands on the board of a run from some line on, and whether that is all there will be."""

    lines: list[str]
    over: bool


class Board(Protocol):
    """What a board can do; every key is a text, every time is in seconds.

    A board that others keep raises Refused (503) while it cannot be reached, but never for a run of this process.
    """

    async def claim(self, address: str, run: str, seconds: float) -> str:
        """Give an address to a run for so long at most, and return the run that has it: this, or one before."""

    async def release(self, address: str, run: str) -> None:
        """Take the address from the run."""

    async def remember(self, key: str, run: str, seconds: float) -> None:
        """Have `recall` return the run for so long; for no time at all, have it forget the run."""

    async def recall(self, key: str) -> str | None:
        """Return the run that is remembered, if one is."""

    async def open(self, run: str, line: str) -> None:
        """Begin a run with its first line: from now on everybody can read it."""

    async def write(self, run: str, line: str, over: bool = False) -> None:
        """Add a line to a run that this process has opened, its last one with `over`."""

    async def read(self, run: str, start: int, wait: float = 0.0) -> Lines | None:
        """Return the lines from `start` on, waiting so long for the first; None where there is no such run."""

    async def unread(self, run: str) -> float:
        """Return how long nobody has read the run."""

    async def browsers(self, address: str, browser: str) -> int:
        """Count a browser of an address, and return how many there were within an hour."""

    async def is_there(self) -> bool:
        """Whether the board can be reached."""

    async def close(self) -> None:
        """Give back what is held."""


class _Held(NamedTuple):
    """Which run an address or a question has, and until when."""

    run: str
    until: float


def _until(_: str, held: _Held, __: float) -> float:
    return held.until


class _Run:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.over = False
        self.changed = asyncio.Event()
        self.read = monotonic()


def _size(run: _Run) -> int:
    return len(run.lines) + 1


class LocalBoard:
    """The board of one process."""

    def __init__(self, most_lines: int = _MOST_LINES, most_addresses: int = _MOST_ADDRESSES) -> None:
        self._runs: TTLCache[str, _Run] = TTLCache(most_lines, KEPT, monotonic, _size)
        self._claims: TLRUCache[str, _Held] = TLRUCache(most_addresses, _until, monotonic)
        self._remembered: TLRUCache[str, _Held] = TLRUCache(most_addresses, _until, monotonic)
        self._browsers: TTLCache[str, set[str]] = TTLCache(most_addresses, AN_HOUR, monotonic)

    async def claim(self, address: str, run: str, seconds: float) -> str:
        """As Board."""
        held = self._claims.get(address)
        if held is None:
            held = self._claims[address] = _Held(run, monotonic() + seconds)
        return held.run

    async def release(self, address: str, run: str) -> None:
        """As Board."""
        held = self._claims.get(address)
        if held is not None and held.run == run:
            del self._claims[address]

    async def remember(self, key: str, run: str, seconds: float) -> None:
        """As Board."""
        self._remembered.pop(key, None)
        if seconds > 0:
            self._remembered[key] = _Held(run, monotonic() + seconds)

    async def recall(self, key: str) -> str | None:
        """As Board."""
        held = self._remembered.get(key)
        return None if held is None else held.run

    async def open(self, run: str, line: str) -> None:
        """As Board."""
        self._runs[run] = _Run()
        await self.write(run, line)

    async def write(self, run: str, line: str, over: bool = False) -> None:
        """As Board."""
        self.add(run, [line], over)

    def add(self, run: str, lines: list[str], over: bool = False) -> None:
        """Add lines to a run, if it is still known."""
        one = self._runs.get(run)
        if one is None:
            return
        one.lines.extend(lines)
        one.over = over
        self._runs[run] = one  # it is longer, and it is kept from now on
        one.changed.set()
        one.changed = asyncio.Event()

    def has(self, run: str) -> bool:
        """Whether a run is known."""
        return run in self._runs

    def is_over(self, run: str) -> bool:
        """Whether nothing more will be said of a run, which may also not be known."""
        one = self._runs.get(run)
        return one is None or one.over

    def lines(self, run: str) -> list[str]:
        """Return all that stands there of a run, and do not take it for read."""
        one = self._runs.get(run)
        return [] if one is None else one.lines

    async def read(self, run: str, start: int, wait: float = 0.0) -> Lines | None:
        """As Board."""
        one = self._runs.get(run)
        if one is None:
            return None
        one.read = monotonic()
        if len(one.lines) <= start and not one.over and wait:
            changed = one.changed
            try:
                async with asyncio.timeout(wait):
                    await changed.wait()
            except TimeoutError:
                pass
            one.read = monotonic()
        return Lines(one.lines[start:], one.over)

    async def unread(self, run: str) -> float:
        """As Board."""
        one = self._runs.get(run)
        return KEPT if one is None else monotonic() - one.read

    async def browsers(self, address: str, browser: str) -> int:
        """As Board."""
        known = self._browsers.get(address)
        if known is None:
            known = self._browsers[address] = set()
        if len(known) < MOST_BROWSERS:
            known.add(browser)
        return len(known)

    async def is_there(self) -> bool:
        """As Board."""
        return True

    async def close(self) -> None:
        """As Board."""
