"""How often may be asked: by an address, by its network, by all together, and in how much memory that is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from portbook.web.metrics import Metrics
from portbook.web.quotas import MOST_COUNTERS, CountersHere, Quotas, networks
from portbook.web.refused import Refused
from portbook.web.settings import read_settings


def quotas(shared: str | None = None, **rates: str) -> Quotas:
    settings = read_settings(None, {"mode": "public", "quotas": rates, "shared": shared})
    return Quotas(settings, Metrics(settings))


def allowed(ask: Callable[[str], Awaitable[None]], ips: Iterator[str] | list[str]) -> list[str]:
    """Return which of some addresses, asking one after the other, are not refused."""

    async def each() -> list[str]:
        found = []
        for ip in ips:
            try:
                await ask(ip)
            except Refused as error:
                refused.append((error.status, error.retry_after or 0))
            else:
                found.append(ip)
        return found

    refused: list[tuple[int, int]] = []
    let_in = asyncio.run(each())
    assert all(status == 429 and retry_after >= 1 for status, retry_after in refused)
    return let_in


def test_what_an_address_is_counted_as() -> None:
    assert networks("8.8.8.8") == ("8.8.8.8/32", "8.8.8.0/24")
    assert networks("2606:4700:1:2:3:4:5:6") == ("2606:4700:1:2::/64", "2606:4700:1::/48")


def test_an_address_is_refused_and_its_neighbour_is_not() -> None:
    made = quotas(address="3/hour")
    assert allowed(made.test, ["8.8.8.8"] * 5 + ["8.8.8.9"]) == ["8.8.8.8"] * 3 + ["8.8.8.9"]


def test_all_addresses_of_an_ipv6_64_count_as_one() -> None:
    made = quotas(address="3/hour")
    assert len(allowed(made.test, [f"2606:4700:0:1:{n:x}::{n:x}" for n in range(1, 50)])) == 3
    assert len(allowed(made.test, ["2606:4700:0:2::1"])) == 1


def test_all_networks_of_an_ipv6_48_count_as_one() -> None:
    made = quotas(address="100/hour", network="5/hour")
    assert len(allowed(made.test, [f"2606:4700:0:{n:x}::1" for n in range(50)])) == 5
    assert len(allowed(made.test, ["2606:4700:1::1"])) == 1


def test_an_ipv4_network_counts_too() -> None:
    made = quotas(address="100/hour", network="5/hour")
    assert len(allowed(made.test, [f"8.8.8.{n}" for n in range(50)])) == 5


def test_all_together_are_bounded_wherever_they_come_from() -> None:
    made = quotas(all="7/hour")
    assert len(allowed(made.test, [f"{n}.{n}.1.1" for n in range(1, 100)])) == 7


def test_requests_are_counted_by_address_and_by_network() -> None:
    assert len(allowed(quotas(requests="4/hour").request, ["8.8.8.8"] * 9)) == 4
    made = quotas(requests="4/hour", network_requests="9/hour")
    assert len(allowed(made.request, [f"2606:4700:0:{n:x}::1" for n in range(50)])) == 9


def test_several_rates_hold_together() -> None:
    assert len(allowed(quotas(address="5/minute;3/day").test, ["8.8.8.8"] * 9)) == 3


def test_attempts_to_sign_in_are_counted_by_address_and_by_name() -> None:
    made = quotas(signin="4/hour", signin_name="6/hour")
    assert len(allowed(lambda ip: made.attempt(ip, "eve"), ["8.8.8.8"] * 9)) == 4
    # A name is guessed at from many addresses.
    assert len(allowed(lambda ip: made.attempt(ip, "ann"), [f"9.9.{n}.1" for n in range(50)])) == 6
    assert len(allowed(lambda ip: made.attempt(ip, "bob"), ["7.7.7.7"])) == 1


def test_a_name_of_any_length_takes_no_more_room_than_another() -> None:
    made = quotas()
    asyncio.run(made.attempt("8.8.8.8", "x" * 1_000_000 + "\udcff/\n"))
    storage: Any = made._shared.storage
    assert max(map(len, storage._counts)) < 200


def test_a_million_addresses_are_counted_in_bounded_memory() -> None:
    async def flood() -> None:
        counters = CountersHere()
        for number in range(1_000_000):
            await counters.incr(f"LIMITER/request/{number}/600/1/minute/28976271", 120)
        assert len(counters) == MOST_COUNTERS
        # The latest are counted right, the oldest were forgotten.
        assert await counters.get("LIMITER/request/999999/600/1/minute/28976271") == 1
        assert await counters.get("LIMITER/request/0/600/1/minute/28976271") == 0

    asyncio.run(flood())


def test_a_flood_from_many_addresses_does_not_reset_the_count_of_all() -> None:
    async def flood() -> int:
        made = quotas(all="100/day", address="1/day", network="1/day")
        made._shared = SlidingWindowCounterRateLimiter(CountersHere(64))
        let_in = 0
        for number in range(1000):
            try:
                await made.test(str(IPv4Address(0x08000000 + number * 256)))
            except Refused:
                continue
            let_in += 1
        return let_in

    assert asyncio.run(flood()) == 100


def test_a_counter_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("portbook.web.quotas.time", lambda: now[0])

    async def count() -> None:
        counters = CountersHere()
        assert [await counters.incr("a", 60), await counters.incr("a", 60), await counters.decr("a")] == [1, 2, 1]
        assert (await counters.get("a"), await counters.decr("never"), len(counters)) == (1, 0, 1)
        now[0] += 61
        assert await counters.get("a") == 0
        assert await counters.incr("a", 60) == 1

    asyncio.run(count())


def test_a_store_that_is_not_there_is_said_and_lets_nobody_in() -> None:
    made = quotas(shared="redis://127.0.0.1:9")

    async def ask() -> int:
        with pytest.raises(Refused) as refused:
            await made.test(str(IPv6Address(0x2606 << 112)))
        return refused.value.status

    assert asyncio.run(ask()) == 503
