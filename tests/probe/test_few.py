"""A few ports of one address in the caller's event loop: every state, little room, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from typing import Any

import pytest

from portbook.porttest import PortTest
from portbook.probe import few as module
from portbook.probe.few import Few, Told, accepts_everything, as_known
from portbook.probe.reach import ALL_OPEN
from portbook.probe.targets import Target
from portbook.probe.turns import Turns
from tests.hosts import Cable, Host, hosts
from tests.linux.children import in_child

from .test_reach import nft

FAR, FAR6 = "10.66.0.2", "fd66::2"
TCP, UDP = "tcp", "udp"


def target(ip: str) -> Target:
    return Target(ip, ip, ip)


def asked(ip: str, ports: Sequence[tuple[int, str]], **options: Any) -> Few:
    return Few(target(ip), ports, lambda port, transport: f"name-{port}", **{"identify": False, **options})


async def all_of(few: Few) -> list[Told]:
    async with asyncio.timeout(120), aclosing(as_known(few)) as answers:
        return [told async for told in answers]


def answers_of(few: Few) -> dict[tuple[int, str], PortTest]:
    told = asyncio.run(all_of(few))
    final = [one.test for one in told if one.final]
    assert len(final) == len(few.ports)
    return {(test.port, test.transport): test for test in final}


@contextmanager
def listening(ip: str, number: int = 1) -> Iterator[list[int]]:
    with ExitStack() as stack:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        made = [
            stack.enter_context(socket.create_server((ip, 0), family=family, backlog=4096)) for _ in range(number)
        ]
        yield [int(one.getsockname()[1]) for one in made]


def closed_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_open_and_closed(ip: str) -> None:
    with listening(ip) as [port]:
        found = answers_of(asked(ip, [(port, TCP), (1, TCP)]))
    answered, refused = found[port, TCP], found[1, TCP]
    assert (answered.state, answered.reason, answered.service) == ("open", "accepted", f"name-{port}")
    assert (refused.state, refused.reason, refused.ip) == ("closed", "reset", ip)
    assert answered.rtt_ms is not None
    assert refused.attempts == 1


def test_an_open_port_is_told_before_it_is_known_what_speaks_there() -> None:
    with listening("127.0.0.1") as [port]:
        told = asyncio.run(all_of(asked("127.0.0.1", [(port, TCP)], identify=True)))
    assert [(one.test.state, one.final) for one in told] == [("open", False), ("open", True)]


@pytest.fixture
def pair() -> Iterator[tuple[Host, Host]]:
    with hosts(2) as (near, far):
        Cable(near, far)
        yield near, far


@pytest.mark.parametrize("unprivileged", [False, True], ids=["root", "nobody"])
def test_every_door_between_two_hosts(pair: tuple[Host, Host], unprivileged: bool) -> None:
    if unprivileged and os.geteuid():
        pytest.skip("there are no rights to give up")
    near, far = pair
    nft(
        far,
        "meta l4proto { tcp, udp } th dport 81 drop; tcp dport 82 reject with icmpx admin-prohibited;"
        " tcp dport 83 reject with tcp reset;",
    )
    ports = [(80, TCP), (81, TCP), (82, TCP), (83, TCP), (84, TCP), (81, UDP), (84, UDP)]

    def whole() -> dict[str, dict[tuple[int, str], tuple[str, str, str | None]]]:
        return {
            ip: {
                port: (test.state, test.reason, test.icmp_from) for port, test in answers_of(asked(ip, ports)).items()
            }
            for ip in (FAR, FAR6)
        }

    with far.inside():
        server = socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True)
    with server, near.inside():
        found = in_child(whole, unprivileged=unprivileged)
    for ip in (FAR, FAR6):
        told = found[ip]
        assert told[80, TCP] == ("open", "accepted", None)
        assert told[81, TCP] == ("filtered", "silence", None)
        assert told[82, TCP] == ("rejected", "icmp", ip)
        assert told[83, TCP] == ("closed", "reset", None)
        assert told[84, TCP] == ("closed", "reset", None)
        assert told[81, UDP][0] == "open|filtered"
        assert told[84, UDP][0] == "closed"


def test_a_connection_to_itself_is_no_open_port(pair: tuple[Host, Host]) -> None:
    near, _ = pair

    def whole() -> tuple[str, str]:
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
            file.write("40000 40000")
        test = answers_of(asked("127.0.0.1", [(40000, TCP)]))[40000, TCP]
        return test.state, test.reason

    with near.inside():
        assert in_child(whole) == ("closed", "self-connect")


def test_an_address_without_a_way_to_it_is_unreachable(pair: tuple[Host, Host]) -> None:
    near, _ = pair
    with near.inside():
        state = in_child(lambda: answers_of(asked("192.0.2.1", [(80, TCP)]))[80, TCP].state)
    assert state == "unreachable"


def test_little_room_for_files_only_takes_longer() -> None:
    def whole() -> list[str]:
        with listening("127.0.0.1", 40) as ports:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(descriptors()) + 8, hard))
            found = answers_of(asked("127.0.0.1", [(port, TCP) for port in ports]))
        return [test.state for test in found.values()]

    assert in_child(whole) == ["open"] * 40


def test_without_any_file_it_is_an_error_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNTIL_NEXT", 0.001)

    def whole() -> tuple[str, str]:
        async def inside() -> PortTest:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            return (await all_of(asked("127.0.0.1", [(1, TCP)])))[0].test

        test = asyncio.run(inside())
        return test.state, test.reason

    assert in_child(whole) == ("error", "EMFILE")


def test_whoever_leaves_midway_leaves_no_connection(pair: tuple[Host, Host]) -> None:
    near, far = pair
    nft(far, "tcp dport 1-60 drop;")

    async def left() -> bool:
        before = descriptors()
        answers = as_known(asked(FAR, [(port, TCP) for port in (*range(1, 61), 80, 81)], identify=True))
        async for told in answers:
            if not told.final:
                break
        among = descriptors()
        await answers.aclose()
        return len(among) > len(before) and descriptors() == before

    with far.inside():
        server = socket.create_server(("", 80))
    with server, near.inside():
        assert in_child(lambda: asyncio.run(left()))


def test_one_failure_keeps_no_other_port_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = module._reached

    async def fails(ip: str, port: int) -> Any:
        if port == 1:
            raise ValueError
        return await reached(ip, port)

    monkeypatch.setattr(module, "_reached", fails)
    found = answers_of(asked("127.0.0.1", [(1, TCP), (2, TCP)]))
    assert [(test.state, test.note is None) for _, test in sorted(found.items())] == [
        ("error", False),
        ("closed", True),
    ]


def opened(number: int, state: Any = "open", transport: str = TCP) -> list[PortTest]:
    return [PortTest("a", "127.0.0.1", port, transport, state, "accepted") for port in range(1, number + 1)]


def test_a_gateway_that_accepts_everything_is_noticed(pair: tuple[Host, Host]) -> None:
    near, far = pair
    nft(far, "tcp dport 1-65535 counter;")
    redirect = (
        "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 1-65535 redirect to :80; }; }"
    )

    def suspected() -> list[str | None]:
        return [
            asyncio.run(accepts_everything(target(FAR), tests))
            for tests in (opened(8), opened(7), opened(8, "closed"), opened(8, transport=UDP))
        ]

    with far.inside():
        server = socket.create_server(("", 80))
    with server:
        with near.inside():
            assert in_child(suspected) == [None, None, None, None]
        with far.inside():
            subprocess.run(["nft", "-f", "-"], input=redirect, text=True, check=True)
        with near.inside():
            assert in_child(suspected) == [ALL_OPEN, None, None, None]


def test_hundreds_at_once_are_each_told_once() -> None:
    with listening("127.0.0.1", 5) as there:
        ports = [(port, TCP) for port in (*there, *range(1, 20))]

        async def whole() -> list[list[Told]]:
            turns = Turns(50)
            return await asyncio.gather(*(all_of(asked("127.0.0.1", ports, turns=turns)) for _ in range(300)))

        before = descriptors()
        for told in asyncio.run(whole()):
            assert sorted(one.test.port for one in told) == sorted(port for port, _ in ports)
            assert {one.test.port for one in told if one.test.state == "open"} >= set(there)
        assert descriptors() == before


def test_first_ports_come_before_second_ones_and_room_is_kept() -> None:
    order: list[int] = []
    inside = most = 0

    async def one(turns: Turns, place: int) -> None:
        nonlocal inside, most
        async with turns.turn(place):
            inside += 1
            most = max(most, inside)
            order.append(place)
            await turns.pause()
            await asyncio.sleep(0)
            inside -= 1

    async def whole() -> None:
        turns = Turns(3)
        tasks = [asyncio.create_task(one(turns, place)) for place in (2, 1, 0) * 10]
        await asyncio.sleep(0)
        tasks[4].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What was given back is there again.
        await asyncio.gather(*(one(turns, 9) for _ in range(3)))

    asyncio.run(whole())
    assert most == 3
    assert order == [0] * 10 + [1] * 9 + [2] * 10 + [9] * 3


def test_a_late_look_finds_the_answer_that_came_while_the_process_was_busy(
    pair: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = pair
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    async def whole() -> str:
        answers: AsyncGenerator[Told, None] = as_known(asked(FAR, [(80, TCP)]))
        first = asyncio.ensure_future(anext(answers))
        for _ in range(4):
            await asyncio.sleep(0)
        time.sleep(0.2)  # the whole process, as under load
        state = (await first).test.state
        await answers.aclose()
        return state

    with far.inside():
        server = socket.create_server(("", 80))
    work: Callable[[], str] = lambda: asyncio.run(whole())  # noqa: E731
    with server, near.inside():
        assert in_child(work) == "open"
