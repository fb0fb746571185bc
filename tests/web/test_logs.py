"""What is written of requests: enough for an operator, and of visitors no more than was set."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.web import logs
from portbook.web.database import Database
from portbook.web.logs import Line
from portbook.web.settings import Logs

from .conftest import Clients, Serving, visiting

PUBLIC = "203.0.113.77"
SECRETS = ("s3cret", "abcdefghijklmnop", "agent/7", "Bearer", "cookie-value", PUBLIC)


@pytest.fixture
def written() -> Iterator[Callable[..., io.StringIO]]:
    """Have what this process logs written to a stream, as it was before after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn.access", "httpx", "httpcore")}

    def configured(**given: Any) -> io.StringIO:
        stream = io.StringIO()
        logs.configure(Logs(**given), stream)
        return stream

    yield configured
    root.handlers, root.level = handlers, level
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def asked(client: Clients, ip: str = PUBLIC, **given: Any) -> None:
    with visiting(client(ip=ip, **given)) as ask:
        headers = {"user-agent": "agent/7", "authorization": "Bearer x", "cookie": "a=cookie-value"}
        ask("GET", "/api/v1/tests/abcdefghijklmnop?q=s3cret", headers=headers)
        ask("GET", "/s3cret/abcdefghijklmnop")
        ask("POST", "/api/v1/tests", json={"ports": "s3cret"})


def test_a_request_is_one_json_object(client: Clients, written: Callable[..., io.StringIO]) -> None:
    stream = written()
    asked(client)
    found = [record for record in records(stream) if record["event"] == "request"]
    assert [(one["method"], one["route"], one["status"]) for one in found] == [
        ("GET", "/api/v1/tests/{id}", 404),
        ("GET", "", 404),
        ("POST", "/api/v1/tests", 403),
    ]
    for one in found:
        assert set(one) == {"time", "level", "event", "logger", "method", "route", "status", "seconds", "bytes"}
        assert one["time"].endswith("Z")
        assert one["seconds"] >= 0
        assert one["bytes"] > 0


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_of_a_visitor_is_written_unless_it_is_set(
    client: Clients, written: Callable[..., io.StringIO], form: str
) -> None:
    stream = written(format=form, level="debug")
    asked(client)
    assert "/api/v1/tests/{id}" in stream.getvalue()
    assert [secret for secret in SECRETS if secret in stream.getvalue()] == []


@pytest.mark.parametrize(
    ("addresses", "ip", "shown"),
    [
        ("network", PUBLIC, "203.0.113.0/24"),
        ("network", "2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("full", PUBLIC, PUBLIC),
        ("full", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
    ],
)
def test_of_an_address_is_written_what_is_set(
    client: Clients, written: Callable[..., io.StringIO], addresses: str, ip: str, shown: str
) -> None:
    stream = written()
    asked(client, ip=ip, logs={"addresses": addresses})
    assert {record.get("address") for record in records(stream) if record["event"] == "request"} == {shown}


def test_who_is_refused_at_the_entrance_is_written_too(client: Clients, written: Callable[..., io.StringIO]) -> None:
    stream = written()
    with visiting(client(base_url="http://foreign.example")) as ask:
        assert ask("GET", "/").status_code == 421
    assert [record["status"] for record in records(stream) if record["event"] == "request"] == [421]


async def _fails(self: Database) -> bool:
    raise RuntimeError(f"broken for {PUBLIC}\n\x1b[2J")


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_has_its_traceback_in_the_log_alone(
    client: Clients, written: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(Database, "is_there", _fails)
    stream = written(format=form)
    with visiting(client(ip=PUBLIC)) as ask:
        answer = ask("GET", "/healthz")
    assert answer.status_code == 500
    assert "broken" not in answer.text
    assert "Traceback" not in answer.text
    told = stream.getvalue()
    assert "Traceback (most recent call last)" in told
    assert "RuntimeError: broken for (address)" in told
    assert PUBLIC not in told
    assert "\x1b" not in told
    assert told.count("RuntimeError: ") == 1, "it is written once"


def test_the_servers_own_words_have_the_same_form(serving: Serving, written: Callable[..., io.StringIO]) -> None:
    stream = written(level="debug")
    url = serving()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        source = raw.getsockname()
        raw.sendall(b"NOT HTTP AT ALL\r\n\r\n")
        while raw.recv(4096):
            pass
    assert httpx.get(url).status_code == 200
    assert "uvicorn.error" in {record["logger"] for record in records(stream)}
    assert f"{source[0]}:{source[1]}" not in stream.getvalue()
    assert str(source) not in stream.getvalue()


@given(st.text(), st.text(), st.text())
def test_a_record_is_one_line_whatever_is_in_it(method: str, route: str, words: str) -> None:
    line = Line(method, route, 200, 0.1, 5, None)
    record = logging.LogRecord("name", logging.INFO, "", 0, "%s", (words,), None)
    record.line = line
    as_json = logs.Json().format(record)
    assert as_json.isprintable() or "\x7f" in as_json
    assert json.loads(as_json)["event"] == words
    assert logs.Text().format(record).isprintable()


def test_the_level_is_the_operators(client: Clients, written: Callable[..., io.StringIO]) -> None:
    stream = written(level="warning")
    asked(client)
    assert stream.getvalue() == ""
