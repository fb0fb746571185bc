"""The API: who you are, the test of your ports, the registry; its formats, its errors, and its page."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.columns import Column
from portbook.porttest import COLUMNS as TEST_COLUMNS
from portbook.service import COLUMNS as SERVICE_COLUMNS
from portbook.web.api_page import DOCUMENT, routes_of
from portbook.web.languages import languages
from portbook.web.models import row_model

from .conftest import SERVER, Clients, Serving, Visited, visiting

ROOT = "/api/v1"
LOCAL: dict[str, Any] = {"mode": "local", "ip": "127.0.0.1", "base_url": "http://localhost"}
TEST_NAMES = [column.name for column in TEST_COLUMNS]
PORT_NAMES = [column.name for column in SERVICE_COLUMNS[:7]]


@contextmanager
def doors() -> Iterator[tuple[int, int]]:
    """Give an open port of 127.0.0.1 and a closed one that nobody else can take."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield listening.getsockname()[1], taken.getsockname()[1]


def states(tests: list[dict[str, Any]]) -> dict[int, str]:
    return {row["port"]: row["state"] for row in tests}


def test_me_is_the_socket_pair(client: Clients) -> None:
    with visiting(client(ip="203.0.113.7", port=41234)) as ask:
        told = ask("GET", f"{ROOT}/me").json()
    assert told.pop("token")
    assert told == {"ip": "203.0.113.7", "port": 41234, "server_ip": SERVER[0], "server_port": SERVER[1]}


def test_behind_a_proxy_the_pair_is_not_known_whole(client: Clients) -> None:
    with visiting(client(ip="192.0.2.9", trusted_proxies=["192.0.2.0/24"])) as ask:
        told = ask("GET", f"{ROOT}/me", headers={"x-forwarded-for": "203.0.113.7"}).json()
    assert (told["ip"], told["port"], told["server_ip"], told["server_port"]) == ("203.0.113.7", None, None, None)


def test_a_test_is_waited_for(client: Clients) -> None:
    with doors() as (opened, closed), visiting(client(**LOCAL)) as ask:
        answer = ask("POST", f"{ROOT}/tests", json={"ports": f"{opened},{closed}", "identify": False})
        told = answer.json()
        assert answer.status_code == 200
        assert states(told["tests"]) == {opened: "open", closed: "closed"}
        assert [list(row) for row in told["tests"]] == [TEST_NAMES] * 2
        assert (told["ip"], told["over"], told["note"]) == ("127.0.0.1", True, None)
        assert sorted(told["ports"]) == sorted([f"{opened}/tcp", f"{closed}/tcp"])
        again = ask("GET", f"{ROOT}/tests/{told['id']}").json()
        assert again == told


def test_what_speaks_is_told(client: Clients) -> None:
    async def told() -> list[dict[str, Any]]:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-Harbour_1.0 \xe2\x80\xaeevil\x1b[2J\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server, client(**LOCAL) as web:
            answer = await web.post(f"{ROOT}/tests", json={"ports": server.sockets[0].getsockname()[1]})
            assert "\x1b" not in answer.text
            assert "\u202e" not in answer.text
            tests: list[dict[str, Any]] = answer.json()["tests"]
            return tests

    row = asyncio.run(told())[0]
    assert (row["state"], row["service"], row["service_by"]) == ("open", "ssh", "payload")


def test_a_test_need_not_be_waited_for(client: Clients) -> None:
    with doors() as (opened, closed), visiting(client(**LOCAL)) as ask:
        wish = {"ports": f"{opened},{closed}", "identify": False}
        answer = ask("POST", f"{ROOT}/tests", json=wish, headers={"prefer": "respond-async, wait=5"})
        begun = answer.json()
        assert answer.status_code == 202
        assert answer.headers["preference-applied"] == "respond-async"
        assert answer.headers["location"] == begun["result"] == f"{ROOT}/tests/{begun['id']}"
        assert begun["joined"] is False
        events = ask("GET", begun["events"])
        result = ask("GET", begun["result"]).json()
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.headers["x-accel-buffering"] == "no"
    told = parsed(events.text)
    assert [(number, name) for number, name, _ in told] == [(1, "asked"), (2, "test"), (3, "test"), (4, "over")]
    assert told[0][2]["id"] == begun["id"]
    assert {data["test"]["port"]: data["test"]["state"] for _, name, data in told if name == "test"} == {
        opened: "open",
        closed: "closed",
    }
    assert all(data["final"] for _, name, data in told if name == "test")
    assert told[-1][2] == {"note": None}
    assert states(result["tests"]) == {opened: "open", closed: "closed"}


def parsed(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    told = []
    for event in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.split("\n") if line and not line.startswith(":"))
        if fields:
            told.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return told


def test_events_go_on_after_the_last_that_was_read(client: Clients) -> None:
    with doors() as (opened, closed), visiting(client(**LOCAL)) as ask:
        wish = {"ports": f"{opened},{closed}", "identify": False}
        run = ask("POST", f"{ROOT}/tests", json=wish).json()["id"]
        for said, first in (("2", 3), ("", 1), ("-1", 1), ("x", 1), ("٣", 1), ("999999999", 1)):
            headers = {"last-event-id": said.encode()}
            told = parsed(ask("GET", f"{ROOT}/tests/{run}/events", headers=headers).text)
            assert [number for number, _, _ in told] == list(range(first, 5)), said
        assert parsed(ask("GET", f"{ROOT}/tests/{run}/events", headers={"last-event-id": "4"}).text) == []


def test_events_come_as_they_happen(serving: Serving) -> None:
    url = serving()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it is not known soon what speaks there
        headers = {"prefer": "respond-async", "accept-encoding": "gzip"}
        begun = httpx.post(f"{url}{ROOT}/tests", json={"ports": silent.getsockname()[1]}, headers=headers).json()
        with httpx.stream("GET", url + begun["events"], timeout=20) as events:
            lines = events.iter_lines()
            seen = [next(lines) for _ in range(8)]
            result = httpx.get(url + begun["result"]).json()
    assert [line for line in seen if line.startswith("event:")] == ["event: asked", "event: test"]
    assert '"final":false' in "".join(seen)
    assert (result["over"], states(result["tests"])) == (False, {silent_port(result): "open"})


def silent_port(result: dict[str, Any]) -> int:
    return int(result["ports"][0].split("/")[0])


def test_other_ports_of_a_busy_address_are_tested_next(client: Clients) -> None:
    async def both(wishes: list[dict[str, Any]]) -> list[httpx.Response]:
        async with client(**LOCAL) as web:
            return await asyncio.gather(*(web.post(f"{ROOT}/tests", json=wish) for wish in wishes))

    with doors() as (opened, closed):
        answers = asyncio.run(both([{"ports": port, "identify": False} for port in (opened, closed)]))
    assert [states(answer.json()["tests"]) for answer in answers] == [{opened: "open"}, {closed: "closed"}]


def test_an_equal_question_is_answered_by_the_same_test(client: Clients) -> None:
    with doors() as (opened, _), visiting(client(**LOCAL)) as ask:
        wish = {"ports": opened, "transports": ["tcp", "tcp"], "identify": False}
        runs = {ask("POST", f"{ROOT}/tests", json=wish).json()["id"] for _ in range(3)}
    assert len(runs) == 1


@pytest.mark.parametrize("accept", ["text/csv", "text/csv;q=0.9, application/json;q=0.1", "*/*;q=0.1, TEXT/CSV"])
def test_rows_are_csv_for_who_asks_for_it(client: Clients, accept: str) -> None:
    with doors() as (opened, closed), visiting(client(**LOCAL)) as ask:
        wish = {"ports": f"{opened},{closed}", "identify": False}
        answer = ask("POST", f"{ROOT}/tests", json=wish, headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == TEST_NAMES
    assert {int(row["port"]): row["state"] for row in rows} == {opened: "open", closed: "closed"}


def test_rows_are_lines_of_json_for_who_asks_for_it(client: Clients) -> None:
    with visiting(client()) as ask:
        answer = ask("GET", f"{ROOT}/ports?q=440-450", headers={"accept": "application/x-ndjson"})
        same = ask("GET", f"{ROOT}/ports?q=440-450").json()
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == same


@pytest.mark.parametrize(
    "accept", ["", "image/png", "*/*", "text/csv;q=0", "text/csv;q=many", ",;,", "application/*"]
)
def test_whatever_else_is_accepted_is_json(client: Clients, accept: str) -> None:
    with visiting(client()) as ask:
        answer = ask("GET", f"{ROOT}/ports?q=443", headers={"accept": accept})
    assert answer.headers["content-type"] == "application/json"


def test_the_registry_has_its_columns_and_says_nothing_of_this_host(client: Clients) -> None:
    with visiting(client()) as ask:
        rows = ask("GET", f"{ROOT}/ports?q=443/tcp").json()
        main = ask("GET", f"{ROOT}/ports?limit=1000").json()
        words = ask("GET", f"{ROOT}/ports", params={"q": "mail submission", "limit": 3}).json()
    assert [list(row) for row in rows] == [PORT_NAMES] * len(rows)
    assert (rows[0]["service"], rows[0]["range"], rows[0]["assigned"]) == ("https", "system", "iana")
    assert {22, 443, 5432} <= {row["port"] for row in main}
    assert len(words) == 3


def test_a_row_model_has_the_declared_columns() -> None:
    column = Column("seen", "number", "Seen", "epoch", foreign=True)
    schema = row_model("Seen", (column, Column("names", "texts", "Names"))).model_json_schema()
    assert list(schema["properties"]) == schema["required"] == ["seen", "names"]
    assert [part["type"] for part in schema["properties"]["seen"]["anyOf"]] == ["number", "null"]
    assert "seconds since the epoch" in schema["properties"]["seen"]["description"]


WRONG: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/tests", {"json": {"host": "192.0.2.1"}}, 422),
    ("POST", "/tests", {"json": {"target": "192.0.2.1", "ports": "80"}}, 422),
    ("POST", "/tests", {"json": {"ports": "65536"}}, 400),
    ("POST", "/tests", {"json": {"ports": 65536}}, 422),
    ("POST", "/tests", {"json": {"ports": ""}}, 400),
    ("POST", "/tests", {"json": {"ports": "1-65535"}}, 422),
    ("POST", "/tests", {"json": {"transports": ["sctp"]}}, 422),
    ("POST", "/tests", {"json": {"consent": "yes"}}, 422),
    ("POST", "/tests", {"json": {"token": "forged"}}, 403),
    ("POST", "/tests", {"content": b"{"}, 422),
    ("POST", "/tests", {"content": b"\xff\xfe", "headers": {"content-type": "application/json"}}, 422),
    ("POST", "/tests", {"content": b"x" * 70_000}, 413),
    ("GET", "/tests/unknown", {}, 404),
    ("GET", "/tests/unknown/events", {}, 404),
    ("GET", "/ports?q=70000", {}, 400),
    ("GET", "/ports?limit=0", {}, 422),
    ("GET", "/ports?limit=1001", {}, 422),
    ("GET", f"/ports?q={'x' * 201}", {}, 422),
    ("GET", "/nothing", {}, 404),
    ("PUT", "/tests", {}, 405),
]


@pytest.mark.parametrize(("method", "path", "given_", "status"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said_as_a_problem(
    client: Clients, method: str, path: str, given_: dict[str, Any], status: int
) -> None:
    with visiting(client(**LOCAL)) as ask:
        answer = ask(method, ROOT + path, **given_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["detail"]
    assert answer.json()["detail"]


def test_problems_are_said_in_the_readers_language(client: Clients) -> None:
    with visiting(client()) as ask:
        said = {
            tag: ask("GET", f"{ROOT}/ports?q=70000", headers={"accept-language": tag}).json()["detail"]
            for tag in ("en", "fr", "uk")
        }
    assert len(set(said.values())) == 3


def test_a_path_names_every_method_that_it_takes(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        assert ask("PUT", f"{ROOT}/tests").headers["allow"] == "POST"
        assert ask("DELETE", f"{ROOT}/tests/x").headers["allow"] == "GET"


def test_a_foreign_address_is_not_tested(client: Clients) -> None:
    with visiting(client(ip="192.168.1.5")) as ask:
        answer = ask("POST", f"{ROOT}/tests", json={"ports": 443})
    assert answer.status_code == 403


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
BODY = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("ports", "transports", "consent", "identify", "token", "host"), JSON),
)


def test_any_json_is_answered(client: Clients) -> None:
    with visiting(client(**LOCAL, never_test=range(65536))) as ask:

        @settings(max_examples=80, deadline=None)
        @given(JSON | BODY)
        def asked(body: Any) -> None:
            content = json.dumps(body).encode()
            answer = ask("POST", f"{ROOT}/tests", content=content, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 403, 422), answer.text
            assert list(answer.json()) == ["detail"]

        asked()


def test_any_text_of_ports_is_answered(client: Clients) -> None:
    with visiting(client(**LOCAL, never_test=range(65536))) as ask:

        @settings(max_examples=80, deadline=None)
        @given(st.text(max_size=60) | st.text("0123456789,- \tmainop", max_size=60))
        def asked(ports: str) -> None:
            answer = ask("POST", f"{ROOT}/tests", json={"ports": ports})
            assert answer.status_code in (400, 403, 422), answer.text

        asked()


def test_any_question_to_the_registry_is_answered(client: Clients) -> None:
    with visiting(client()) as ask:

        @settings(max_examples=20, deadline=None)
        @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
        def asked(question: str) -> None:
            answer = ask("GET", f"{ROOT}/ports", params={"q": question, "limit": 5})
            assert answer.status_code in (200, 400), answer.text

        asked()


class Reader(HTMLParser):
    """What a page says, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loaded += [found[name] or "" for name in ("src",) if name in found]
        if tag == "link":
            self.loaded.append(found.get("href") or "")
        self.inline += [name for name in found if name == "style" or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def document_of(ask: Visited) -> dict[str, Any]:
    answer = ask("GET", DOCUMENT)
    assert answer.headers["content-type"] == "application/json"
    told: dict[str, Any] = answer.json()
    return told


def test_the_document_says_who_and_what(client: Clients) -> None:
    with visiting(client(name="Harbour", contact="abuse@harbour.example")) as ask:
        told = document_of(ask)
    assert told["info"]["title"] == "Harbour"
    assert told["info"]["contact"]["email"] == "abuse@harbour.example"
    assert told["info"]["license"]["identifier"] == "Apache-2.0"
    rows = told["components"]["schemas"]["Test"]["properties"]
    assert list(rows) == TEST_NAMES
    for path, methods in told["paths"].items():
        assert path.startswith(f"{ROOT}/")
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            problems = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
            assert {"400", "403", "422", "429", "500"} <= set(problems)
            for answer in problems.values():
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_the_page_shows_every_route_with_an_example_that_works(client: Clients) -> None:
    with visiting(client()) as ask:
        told = document_of(ask)
        page = Reader(ask("GET", "/api", headers={"accept-language": "en"}).text)
        shown = list(routes_of(told, "http://ports.example"))
        assert len(shown) == sum(len(methods) for methods in told["paths"].values())
        for route in shown:
            assert f"{route.method} {route.path}" in page.text
            assert route.example in page.text
            words = shlex.split(route.example)
            assert words[0] == "curl"
            assert "{" not in words[-1]
            if "-d" in words:
                assert isinstance(json.loads(words[words.index("-d") + 1]), dict)
            if route.method == "GET":
                url = words[-1].removeprefix("http://ports.example")
                assert ask("GET", url).status_code in (200, 401, 404), route.example
    assert page.inline == []
    assert all(re.match(r"/static/\w", loaded) for loaded in page.loaded)


def test_the_page_is_there_in_every_language(client: Clients) -> None:
    with visiting(client()) as ask:
        for language in languages().values():
            answer = ask("GET", "/api", params={"lang": language.code})
            assert (answer.status_code, answer.headers["content-language"]) == (200, language.tag)
