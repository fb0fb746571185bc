from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from portbook import socket as domain
from portbook.columns import Table
from portbook.web import api_host, host_pages, this_host
from portbook.web.this_host import FRESH, Now, Shared, Wanted, narrowed

from .conftest import Clients
from .seen_host import API, HTML, signed_in


def test_all_who_ask_at_once_share_one_reading(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    threads = []

    def counted(registry: Any) -> Now:
        readings.append(registry)
        threads.append(threading.current_thread())
        return this_host.seen_now(registry)

    monkeypatch.setattr(host_pages, "seen_now", counted)
    monkeypatch.setattr(api_host, "seen_now", counted)
    monkeypatch.setattr(this_host, "FRESH", 60.0)

    async def body() -> None:
        async with signed_in(client) as web:
            paths = ["/host", "/host?port=22", "/host?lang=fr", *API[1:]] * 3
            answers = await asyncio.gather(*(web.get(path, headers=HTML) for path in paths))
            assert {answer.status_code for answer in answers} == {200}
        assert len(readings) == 1
        assert threads[0] is not threading.main_thread()

    asyncio.run(body())


def test_an_answer_is_found_anew_when_it_is_no_longer_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_host, "FRESH", 0.0)
    found: list[int] = []

    def find() -> int:
        found.append(len(found))
        return found[-1]

    async def body() -> None:
        shared = Shared()
        assert await shared.get("a", find) == 0
        for _ in range(3):
            await asyncio.sleep(0)
        assert await shared.get("a", find) == 1

    asyncio.run(body())


def test_who_leaves_does_not_take_the_answer_away() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def find() -> str:
        begun.set()
        assert go_on.wait(20)
        return "found"

    async def body() -> None:
        shared = Shared()
        leaving = asyncio.create_task(shared.get("a", find))
        staying = asyncio.create_task(shared.get("a", find))
        await asyncio.to_thread(begun.wait, 20)
        leaving.cancel()
        go_on.set()
        assert await staying == "found"
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(body())


def shown_ports(table: Table) -> list[int]:
    return [row.local_port for row in table]


def test_a_table_is_narrowed_by_every_field_together() -> None:
    columns = tuple(
        next(column for column in domain.COLUMNS if column.name == name)
        for name in ("transport", "state", "local_port", "remote_port", "process", "pids")
    )
    table = Table.from_rows(
        columns,
        [
            ("tcp", "LISTEN", 1, None, "nginx", (10, 11)),
            ("tcp", "ESTABLISHED", 2, 1, "Nginx: worker", (11,)),
            ("udp", "UNCONNECTED", 3, None, None, None),
            ("raw", "UNCONNECTED", 1, None, "ping", (12,)),
        ],
    )
    assert narrowed(table, Wanted()) is table
    assert shown_ports(narrowed(table, Wanted(ports=frozenset({1})))) == [1, 2]
    assert shown_ports(narrowed(table, Wanted(states=frozenset({"UNCONNECTED"})))) == [3, 1]
    assert shown_ports(narrowed(table, Wanted(transports=frozenset({"udp", "raw"})))) == [3, 1]
    assert shown_ports(narrowed(table, Wanted(process="nginx"))) == [1, 2]
    assert shown_ports(narrowed(table, Wanted(process="11"))) == [1, 2]
    assert shown_ports(narrowed(table, Wanted(process="1"))) == []
    both = Wanted(frozenset({1}), frozenset({"LISTEN"}), frozenset({"tcp"}), "nginx")
    assert shown_ports(narrowed(table, both)) == [1]
    assert shown_ports(narrowed(table.ordered([1, 0]), Wanted(process="nginx"))) == [2, 1]


def test_fresh_is_shorter_than_a_look() -> None:
    assert FRESH < host_pages.EVERY / 2
