from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from portbook.web import host_pages, this_host
from portbook.web.database import Database, tokens
from portbook.web.settings import Settings
from portbook.web.this_host import Now

from .conftest import Clients, Serving
from .seen_host import HTML, Message, Page, called, many_talks, signed_in, token_in


def events_of(pieces: list[bytes]) -> list[tuple[str, str, str]]:
    """Return the events of a stream: the mark, the name and the data of each."""
    found = []
    for block in b"".join(pieces).decode().split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.split("\n") if line and not line.startswith(":")]
        data = "\n".join(value for name, value in fields if name == "data")
        named = dict(fields)
        if "event" in named:
            found.append((named["id"], named["event"], data))
    return found


def stream(
    client: Clients, path: str, wanted: Callable[[list[tuple[str, str, str]]], bool], **headers: str
) -> list[tuple[str, str, str]]:
    """Follow the events of a path, leave when they are as wanted, and return them."""

    async def body() -> list[tuple[str, str, str]]:
        async with signed_in(client) as web:
            given = {"authorization": web.headers["authorization"], **headers}

            def enough(sent: list[Message]) -> bool:
                return wanted(events_of([message.get("body", b"") for message in sent]))

            sent = await called(web.app, path, given, enough)
            assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
            return events_of([message.get("body", b"") for message in sent])

    return asyncio.run(body())


def test_the_stream_ends_when_the_visitor_leaves(client: Clients) -> None:
    # `called` fails if the app goes on for longer than 30 seconds, which is half of what it would.
    got = stream(client, "/host/events?port=1", lambda events: len(events) == 4)
    assert [name for _, name, _ in got] == ["notes", "picture", "listeners", "talks"]


def test_a_watcher_has_to_ask_again_and_may_no_longer(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_pages, "seen_now", lambda _: many_talks(1))
    monkeypatch.setattr(host_pages, "WATCHED", 0.2)
    monkeypatch.setattr(host_pages, "EVERY", 0.05)

    async def body() -> None:
        async with signed_in(client) as web:
            given = {"authorization": web.headers["authorization"]}
            sent = await called(web.app, "/host/events", given, lambda _: False)
            assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
            pieces = [message.get("body", b"") for message in sent]
            assert len(events_of(pieces)) == 4
            assert b": \n\n" in pieces
            async with web.site.database.writing() as connection:
                await connection.execute(delete(tokens))
            again = {**given, "accept": "text/event-stream", "sec-fetch-mode": "cors"}
            assert (await web.get("/host/events", headers=again)).status_code == 401

    asyncio.run(body())


def test_what_was_seen_is_not_sent_again(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_pages, "seen_now", lambda _: many_talks(3))
    first = stream(client, "/host/events?port=1", lambda events: len(events) == 4)
    mark = first[-1][0]
    old = mark.split("-")
    changed = "-".join([*old[:2], "0" * 12, old[3]])
    for headers in ({"last-event-id": changed}, {}):
        path = "/host/events?port=1" + ("" if headers else f"&seen={changed}")
        again = stream(client, path, lambda events: bool(events), **headers)
        assert again == [(mark, "listeners", first[2][2])]


@pytest.mark.parametrize("mark", ["", "x", "-", "0" * 5000, "\udcff", "1-2-3-4", "0" * 12])
def test_a_mark_that_is_none_has_everything_sent(client: Clients, mark: str) -> None:
    path = (
        f"/host/events?port=1&seen={mark.encode('utf-8', 'surrogateescape').hex() if mark == chr(0xDCFF) else mark}"
    )
    got = stream(client, path, lambda events: len(events) == 4)
    assert len(got) == 4


@contextmanager
def watched(
    serving: Serving, made_settings: Callable[..., Settings], path: str, **headers: str
) -> Iterator[Iterator[tuple[str, str]]]:
    """Follow the events of a real server; give the names and data as they come."""
    url = serving()
    header = asyncio.run(_token(made_settings(mode="local")))

    def events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
        name, data = "", []
        for line in lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif not line and name:
                yield name, "\n".join(data)
                name, data = "", []

    with httpx.stream("GET", url + path, headers={**header, **headers}, timeout=20) as answer:
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        yield events(answer.iter_lines())


async def _token(settings: Settings) -> dict[str, str]:
    database = Database(settings)
    try:
        return await token_in(database)
    finally:
        await database.close()


def test_a_listener_that_appears_is_sent_while_the_page_is_open(
    serving: Serving, made_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_pages, "EVERY", 0.05)
    monkeypatch.setattr(this_host, "FRESH", 0.02)
    with ExitStack() as stack:
        held = socket.socket()
        stack.callback(held.close)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        events = stack.enter_context(watched(serving, made_settings, f"/host/events?port={port}"))
        first = next(data for name, data in events if name == "listeners")
        assert not Page(first).has(str(port))
        held.listen()
        shown = next(data for name, data in events if name == "listeners")
        assert Page(shown).has(str(port))
        assert "127.0.0.1" in Page(shown).row(str(port))
        held.close()
        gone = next(data for name, data in events if name == "listeners")
        assert not Page(gone).has(str(port))


def test_the_page_lives_in_a_browser(serving: Serving, made_settings: Callable[..., Settings]) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="takes axe-playwright-python")
    sync_playwright = pytest.importorskip("playwright.sync_api", reason="takes playwright").sync_playwright
    url = serving()
    header = asyncio.run(_token(made_settings(mode="local")))
    said: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright, ExitStack() as stack:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"],
        )
        stack.callback(browser.close)
        page = browser.new_context(extra_http_headers=header, viewport={"width": 360, "height": 740}).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))

        def appears() -> str:
            """Listen on a port, wait until the page shows it, and return it."""
            made = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = str(made.getsockname()[1])
            page.get_by_role("link", name=port, exact=True).wait_for()
            return port

        page.goto(f"{url}/host?process={os.getpid()}")
        page.locator("#host-picture summary").click()
        first = appears()
        page.get_by_role("link", name=first, exact=True).focus()
        appears()
        assert page.evaluate("document.activeElement.textContent") == first
        assert page.locator("#host-picture details").get_attribute("open") is not None
        assert page.locator("#host-watching").is_visible()
        assert not page.locator("#host-lost").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        faults = [(found["id"], found["impact"]) for found in axe.Axe().run(page).response["violations"]]
        assert [fault for fault in faults if fault[1] in ("serious", "critical")] == []
        page.get_by_role("button", name="Pause").click()
        assert not page.locator("#host-watching").is_visible()
    assert said == []
    assert all(one.startswith(url) for one in asked)


def test_a_reading_that_fails_is_said_and_the_stream_goes_on(
    client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portbook.errors import N_, Unavailable

    tries = []

    def failing(registry: Any) -> Now:
        tries.append(registry)
        if len(tries) == 1:
            raise Unavailable(N_("only Linux has network namespaces"))
        return many_talks(1)

    monkeypatch.setattr(host_pages, "seen_now", failing)
    monkeypatch.setattr(host_pages, "EVERY", 0.05)
    monkeypatch.setattr(this_host, "FRESH", 0.0)

    async def body() -> None:
        async with signed_in(client) as web:
            given = {"authorization": web.headers["authorization"]}
            sent = await called(web.app, "/host/events", given, lambda sent: len(sent) > 6)
            text = b"".join(message.get("body", b"") for message in sent)
            assert b"event: failed\ndata: only Linux has network namespaces\n" in text
            assert b"event: talks\n" in text
            tries.clear()
            answer = await web.get("/host", headers=HTML)
            assert answer.status_code == 503

    asyncio.run(body())
