"""What an operator's Prometheus reads, who may read it, and whether this server says that it is well."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from portbook.web import metrics
from portbook.web.board import LocalBoard
from portbook.web.database import Database
from portbook.web.metrics import Metrics
from portbook.web.refused import Refused
from portbook.web.settings import Settings

from .conftest import Clients, Serving, visiting

LOCAL: dict[str, Any] = {"mode": "local", "ip": "127.0.0.1", "base_url": "http://localhost"}


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((name, frozenset(labels.items())))


def test_requests_are_counted_by_template_and_never_by_what_was_asked(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        ask("GET", "/api/v1/tests/abcdefghijkl")
        ask("GET", "/api/v1/tests/mnopqrstuvwx?q=secret")
        ask("GET", "/made-up-path")
        ask("GET", "/static/page.css")
        ask("BREW", "/")
        told = ask("GET", "/metrics").text
    requests = {labels: count for (name, labels), count in samples(told).items() if name == "portbook_requests_total"}
    assert requests == {
        frozenset({("method", "GET"), ("route", "/api/v1/tests/{id}"), ("status", "404")}): 2.0,
        frozenset({("method", "GET"), ("route", ""), ("status", "404")}): 1.0,
        frozenset({("method", "GET"), ("route", "/static/{path}"), ("status", "200")}): 1.0,
        frozenset({("method", "other"), ("route", "/"), ("status", "405")}): 1.0,
    }
    assert value(told, "portbook_request_seconds_count", route="/api/v1/tests/{id}") == 2.0
    assert not [word for word in ("abcdefghijkl", "secret", "made-up", "BREW", "127.0.0.1") if word in told]


def test_tests_and_what_their_ports_came_to_are_counted(client: Clients) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket() as taken,
        visiting(client(**LOCAL)) as ask,
    ):
        taken.bind(("127.0.0.1", 0))  # and does not listen
        ports = f"{listening.getsockname()[1]},{taken.getsockname()[1]}"
        for _ in range(2):
            answer = ask("POST", "/api/v1/tests", json={"ports": ports, "identify": False})
            assert answer.status_code == 200
        told = ask("GET", "/metrics").text
    assert value(told, "portbook_tests_total", event="begun") == 1.0
    assert value(told, "portbook_tests_total", event="joined") == 1.0
    assert value(told, "portbook_tests_total", event="ended") == 1.0
    assert value(told, "portbook_ports_total", transport="tcp", state="open") == 1.0
    assert value(told, "portbook_ports_total", transport="tcp", state="closed") == 1.0
    assert value(told, "portbook_tests_running") == 0.0


def test_what_runs_and_who_listens_is_shown_while_it_does(serving: Serving) -> None:
    url = serving()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # so that it takes long to find out what speaks there
        wish = {"ports": silent.getsockname()[1]}
        begun = httpx.post(f"{url}/api/v1/tests", json=wish, headers={"prefer": "respond-async"}).json()
        with httpx.stream("GET", url + begun["events"], timeout=20) as events:
            lines = events.iter_lines()  # which ends the stream when it is gone
            assert next(lines) == "event: asked"
            told = httpx.get(f"{url}/metrics").text
            assert (value(told, "portbook_tests_running"), value(told, "portbook_event_streams")) == (1.0, 1.0)


def test_a_quota_that_refuses_is_counted(client: Clients) -> None:
    limits = {"address": "1/hour", "network": "9/hour"}

    async def asked() -> str:
        async with client(mode="public", ip="8.8.8.8", metrics="all", quotas=limits) as web:
            await web.site.quotas.test("203.0.113.7")
            with pytest.raises(Refused, match="too many requests"):
                await web.site.quotas.test("203.0.113.7")
            return (await web.get("/metrics")).text

    assert value(asyncio.run(asked()), "portbook_quota_refusals_total", quota="test") == 1.0


@pytest.mark.parametrize(
    ("shown", "ip", "headers", "status"),
    [
        ("local", "127.0.0.1", {}, 200),
        ("local", "203.0.113.7", {}, 404),
        ("local", "127.0.0.1", {"x-forwarded-for": "203.0.113.7"}, 404),
        ("local", "127.0.0.1", {"via": "1.1 proxy"}, 404),
        ("all", "203.0.113.7", {}, 200),
        ("off", "127.0.0.1", {}, 404),
    ],
)
def test_who_may_read_the_counters(
    client: Clients, shown: str, ip: str, headers: dict[str, str], status: int
) -> None:
    with visiting(client(ip=ip, metrics=shown)) as ask:
        assert ask("GET", "/metrics", headers=headers).status_code == status


def test_behind_a_trusted_proxy_its_visitors_are_strangers(client: Clients) -> None:
    with visiting(client(ip="127.0.0.1", trusted_proxies=["127.0.0.0/8"])) as ask:
        assert ask("GET", "/metrics", headers={"x-forwarded-for": "203.0.113.7"}).status_code == 404
        assert ask("GET", "/metrics").status_code == 200


def test_apps_of_one_process_count_for_themselves(client: Clients, made_settings: Callable[..., Settings]) -> None:
    one, other = Metrics(made_settings()), Metrics(made_settings())
    one.joined()
    assert value(one.text().decode(), "portbook_tests_total", event="joined") == 1.0
    assert value(other.text().decode(), "portbook_tests_total", event="joined") is None


COUNTING = """
import sys
from portbook.web.metrics import Metrics
from portbook.web.settings import Settings
counters = Metrics(Settings(data=sys.argv[1], workers=2))
counters.begun()
if sys.argv[2] == "ends":
    sys.exit()
counters.joined()
sys.stdout.buffer.write(counters.text())
"""


def test_workers_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # what prepare sets is undone with the test
    settings = Settings(data=str(tmp_path), workers=2)
    metrics.prepare(settings)
    ended = subprocess.Popen([sys.executable, "-c", COUNTING, str(tmp_path), "ends"])
    assert ended.wait(30) == 0
    command = [sys.executable, "-c", COUNTING, str(tmp_path), "tells"]
    told = subprocess.check_output(command, text=True, timeout=30)
    assert value(told, "portbook_tests_total", event="begun") == 2.0
    assert value(told, "portbook_tests_total", event="joined") == 1.0
    assert value(told, "portbook_tests_running") == 2.0
    metrics.worker_ended(settings, ended.pid)
    told = subprocess.check_output(command, text=True, timeout=30)
    assert value(told, "portbook_tests_total", event="begun") == 3.0
    assert value(told, "portbook_tests_running") == 2.0, "the ended worker runs nothing, the two that told do"
    metrics.prepare(settings)
    assert list((tmp_path / "metrics").iterdir()) == []


def test_one_worker_needs_no_folder(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    metrics.prepare(settings)
    Metrics(settings).begun()
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_well_says_so(client: Clients) -> None:
    with visiting(client()) as ask:
        assert (ask("GET", "/healthz").status_code, ask("GET", "/healthz").text) == (200, "ok\n")


def test_a_server_that_is_not_well_says_what_is_away(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> bool:
        return False

    async def broken(*_: object) -> str:
        raise ConnectionError

    with visiting(client()) as ask:
        monkeypatch.setattr(Database, "is_there", away)
        assert (ask("GET", "/healthz").status_code, ask("GET", "/healthz").text) == (503, "database\n")
        monkeypatch.setattr(LocalBoard, "recall", broken)
        assert ask("GET", "/healthz").text == "database board\n"
