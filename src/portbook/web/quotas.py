"""How often each address, each network and all together may ask; counted here or, for many workers, in Valkey.

An IPv6 visitor has a whole /64 to choose addresses from, and often a /48, so these are counted too.
"""

from __future__ import annotations

from hashlib import sha256
from ipaddress import ip_network
from math import ceil
from time import time
from typing import NamedTuple

from cachetools import TLRUCache
from limits import parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from portbook.errors import N_
from portbook.web.refused import Refused
from portbook.web.store import counters, within_reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from limits import RateLimitItem

    from portbook.web.metrics import Metrics
    from portbook.web.settings import Settings

MOST_COUNTERS = 50_000
"""In this process; the one that was asked for longest ago makes room for a new one."""

_TOO_OFTEN = N_("too many requests from {who}; try again in {seconds} seconds")
_ALL = N_("this server is busy with many tests; try again in {seconds} seconds")


def networks(ip: str) -> tuple[str, ...]:
    """Return what an address is counted as: an IPv4 address and its /24, an IPv6 /64 and its /48."""
    lengths = (64, 48) if ":" in ip else (32, 24)
    return tuple(str(ip_network(f"{ip}/{length}", strict=False)) for length in lengths)


class _Count(NamedTuple):
    number: int
    until: float


class CountersHere(MemoryStorage):
    """The counters of one process, of bounded number: each in constant time, however many addresses ask."""

    def __init__(self, most: int = MOST_COUNTERS) -> None:
        super().__init__()
        self._counts: TLRUCache[str, _Count] = TLRUCache(most, lambda _, count, __: count.until, time)

    def __len__(self) -> int:
        return len(self._counts)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """As MemoryStorage."""
        known = self._counts.get(key)
        count = _Count(amount, time() + expiry) if known is None else _Count(known.number + amount, known.until)
        self._counts[key] = count
        return count.number

    async def decr(self, key: str, amount: int = 1) -> int:
        """As MemoryStorage."""
        known = self._counts.get(key)
        if known is None:
            return 0
        count = self._counts[key] = known._replace(number=max(0, known.number - amount))
        return count.number

    async def get(self, key: str) -> int:
        """As MemoryStorage."""
        known = self._counts.get(key)
        return 0 if known is None else known.number


class Quotas:
    """The counters of one server, or of all that share a Valkey."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        here = CountersHere()
        # Requests are counted by the worker that answers them: to ask the store would cost as much as most answers.
        self._here = SlidingWindowCounterRateLimiter(here)
        shared = here if settings.shared is None else counters(settings.shared)
        self._shared = SlidingWindowCounterRateLimiter(shared)
        rates = settings.quotas
        self._address, self._network = parse_many(rates.address), parse_many(rates.network)
        self._all = parse_many(rates.all)
        self._requests, self._network_requests = parse_many(rates.requests), parse_many(rates.network_requests)
        self._signin, self._name = parse_many(rates.signin), parse_many(rates.signin_name)

    async def test(self, ip: str) -> None:
        """Count a test of an address. Raises Refused (429) where there were too many."""
        narrow, wide = networks(ip)
        # One after the other: who is refused for its own address uses up nothing that others share.
        await self._count(self._address, "test", narrow, narrow)
        await self._count(self._network, "test", wide, wide)
        await self._count(self._all, "test", "all", None)

    async def request(self, ip: str) -> None:
        """Count a request of any kind. Raises Refused (429)."""
        narrow, wide = networks(ip)
        await self._count(self._requests, "request", narrow, narrow, self._here)
        await self._count(self._network_requests, "request", wide, wide, self._here)

    async def attempt(self, ip: str, name: str) -> None:
        """Count an attempt to sign in, from an address and for a name. Raises Refused (429)."""
        narrow = networks(ip)[0]
        await self._count(self._signin, "signin", narrow, narrow)
        # A visitor may send a name of any length; what is kept of it is as long as any other.
        await self._count(self._name, "name", sha256(name.encode("utf-8", "replace")).hexdigest(), narrow)

    async def _count(
        self,
        rates: list[RateLimitItem],
        kind: str,
        key: str,
        who: str | None,
        limiter: SlidingWindowCounterRateLimiter | None = None,
    ) -> None:
        limiter = limiter or self._shared
        with within_reach():
            for rate in rates:
                if not await limiter.hit(rate, kind, key):
                    self._metrics.quota_refusals.labels(kind).inc()
                    stats = await limiter.get_window_stats(rate, kind, key)
                    seconds = max(1, ceil(stats.reset_time - time()))
                    message = _ALL if who is None else _TOO_OFTEN
                    raise Refused(429, message, retry_after=seconds, seconds=seconds, who=who)
