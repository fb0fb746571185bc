"""The first screen in a real browser: what a person sees, with scripts and without, and by the keyboard alone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from itsdangerous import URLSafeTimedSerializer

from .conftest import SECRET, Serving

playwright = pytest.importorskip("playwright.sync_api", reason="takes Playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="takes axe-playwright-python")

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PHONE = {"width": 360, "height": 740}
MAIN = (8080, 5432, 5900, 3306, 5060)
"""Main ports that need no rights."""
OVER = ".run:not([data-running]) .door:not([data-state=waiting])"

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="takes Debian's chromium"),
]


class Opened(Protocol):
    """The fixture `opened`: the page at an address, in a browser with these options."""

    def __call__(self, url: str, **options: Any) -> Any: ...


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any) -> Iterator[Opened]:
    """Return what opens a page; at the end nothing was complained of, and no other host was asked for anything."""
    complaints: list[str] = []
    asked: set[str] = set()
    contexts: list[Any] = []

    def opening(url: str, **options: Any) -> Any:
        context = chromium.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.goto(url)
        allowed.add(urlsplit(url).netloc)
        return page

    allowed: set[str] = set()
    yield opening
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked == allowed


@contextmanager
def listening(
    greeting: bytes, ip: str = "127.0.0.1", ports: tuple[int, ...] = (0,), after: float = 0.0
) -> Iterator[int]:
    """Have a server that greets so many seconds late on the first of these ports that is free; yield the port."""
    for port in ports:
        with suppress(OSError):
            made = socket.create_server((ip, port))
            break
    else:
        pytest.skip(f"takes one of the ports {ports}")

    def greet() -> None:
        with suppress(OSError):
            while True:
                connection, _ = made.accept()
                with connection, suppress(OSError):
                    time.sleep(after)
                    connection.sendall(greeting)

    thread = Thread(target=greet, daemon=True)
    thread.start()
    try:
        yield made.getsockname()[1]
    finally:
        with suppress(OSError):
            made.shutdown(socket.SHUT_RDWR)
        made.close()
        thread.join(5)


@pytest.fixture
def main_port() -> Iterator[int]:
    """A main port of this host where a server greets as SSH does."""
    with listening(b"SSH-2.0-OpenSSH_9.9p1\r\n", ports=MAIN) as port:
        yield port


def door(page: Any, port: int) -> Any:
    return page.locator(f'[data-door="{port}/tcp"]')


def ended(page: Any, within: str = "#runs") -> None:
    page.locator(f"{within} .summary", has_text="The test is over").first.wait_for()


def test_the_first_screen_finds_the_open_ports_of_the_visitor(
    serving: Serving, opened: Opened, main_port: int
) -> None:
    base = serving()
    page = opened(base)
    assert (
        page.locator("h1").inner_text().startswith("Testing ports from server portbook (127.0.0.1) to your address")
    )
    assert urlsplit(base).netloc.rpartition(":")[2] in page.locator(".visit").inner_text()
    ended(page)
    found = door(page, main_port)
    assert found.get_attribute("data-state") == "open"
    assert "OpenSSH 9.9p1" in found.inner_text()
    shown = page.locator(".doors .door")
    assert shown.count() == page.locator('.doors .door:not([data-state="waiting"])').count() > 20
    open_ones = page.locator('.doors .door[data-state="open"]').count()
    assert page.locator('.show [data-state="open"] .count').inner_text() == str(open_ones)
    page.get_by_label("open", exact=False).and_(page.locator('[value="open"]')).check()
    assert page.locator(".doors .door:visible").count() == open_ones
    assert page.locator("#test button").inner_text() == "Test again"
    page.locator("#test button").click()
    ended(page)
    assert found.get_attribute("data-state") == "open"


def test_a_door_says_what_its_state_means_and_what_to_do(serving: Serving, opened: Opened, main_port: int) -> None:
    page = opened(serving())
    ended(page)
    found = door(page, main_port)
    found.locator("summary").click()
    words = found.locator(".answer").inner_text()
    assert "A program on this host answered" in words
    assert "SSH-2.0-OpenSSH_9.9p1" in words
    assert page.locator('.meanings [data-state="open"]').is_visible()
    assert not page.locator('.meanings [data-state="rejected"]').is_visible()


def test_a_test_waits_for_the_one_of_other_ports_that_is_running(serving: Serving, opened: Opened) -> None:
    with listening(b"SSH-2.0-slow\r\n", ports=MAIN, after=2.5):
        page = opened(serving())
        page.locator("#ports").fill("1")
        page.locator("#more button").click()
        page.locator("#more-runs > [role=status]", has_text="yours begins when it is over").wait_for()
        ended(page, "#more-runs")
    assert door(page.locator("#more-runs"), 1).get_attribute("data-state") == "closed"
    assert page.locator("#runs .summary").inner_text().startswith("The test is over")


HOSTILE = b"220 <img src=//evil.example/x onerror=alert(1)><script>alert(2)</script>\r\n"


def test_more_ports_are_tested_beside_the_main_ones(serving: Serving, opened: Opened) -> None:
    with listening(HOSTILE) as port:
        page = opened(serving())
        ended(page)
        page.locator("#ports").fill(f"{port}, 1")
        page.locator("#more button").click()
        ended(page, "#more-runs")
        states = [door(page.locator("#more-runs"), one).get_attribute("data-state") for one in (port, 1)]
    assert states == ["open", "closed"]
    assert page.locator("#more-runs img, #more-runs script").count() == 0
    assert page.locator("#runs .door").count() > 20


def test_more_ports_that_are_none_are_told_beside_the_field(serving: Serving, chromium: Any) -> None:
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.goto(serving(quotas={"address": "1/hour"}))
    ended(page)
    page.locator("#ports").fill("0x50")
    page.locator("#more button").click()
    beside = page.locator("#ports-error", has_text="0x50 is no list of ports")
    beside.wait_for()
    assert page.locator("#ports").get_attribute("aria-invalid") == "true"
    page.locator("#ports").fill("1")
    page.locator("#more button").click()
    page.locator("#ports-error", has_text="too many requests from 127.0.0.1").wait_for()
    button = page.locator("#more button")
    assert button.is_disabled()
    assert button.inner_text().endswith(" seconds")
    context.close()


def test_the_other_address_is_tested_beside_the_first(serving: Serving, chromium: Any) -> None:
    origin = "http://ipv4.ports.example"
    token = URLSafeTimedSerializer(SECRET, salt="address").dumps("127.0.0.2")
    with listening(b"220 hello\r\n", "127.0.0.2", MAIN) as port:
        context = chromium.new_context(locale="en-US")
        page = context.new_page()
        page.route(
            f"{origin}/api/v1/me",
            lambda route: route.fulfill(
                json={"ip": "127.0.0.2", "token": token}, headers={"access-control-allow-origin": "*"}
            ),
        )
        page.goto(serving(other_family=(origin,)))
        page.locator("#runs .run").nth(1).wait_for()
        ended(page, "#runs .run:nth-child(2)")
        second = page.locator("#runs .run").nth(1)
        assert second.locator("h2").inner_text() == "The ports of 127.0.0.2"
        assert door(second, port).get_attribute("data-state") == "open"
        assert door(page.locator("#runs .run").nth(0), port).get_attribute("data-state") == "closed"
        context.close()


def test_without_scripts_the_test_works_too(serving: Serving, opened: Opened, main_port: int) -> None:
    page = opened(serving(), java_script_enabled=False)
    assert "Testing ports from server" in page.content()
    page.locator("#test button").click()
    page.wait_for_url("**/tests/*")
    ended(page)
    assert door(page, main_port).get_attribute("data-state") == "open"
    page.locator('[value="open"]').check()
    assert door(page, main_port).is_visible()
    assert not door(page, 1).is_visible()
    assert page.locator('.doors .door[data-state="closed"]:visible').count() == 0
    page.locator("#language").select_option("fr")
    page.locator(".language button").click()
    assert page.locator("html").get_attribute("lang") == "fr"


def test_the_language_changes_at_once_and_stays(serving: Serving, opened: Opened) -> None:
    base = serving()
    page = opened(f"{base}/about")
    assert not page.locator(".language button").is_visible()
    page.locator("#language").select_option("ar")
    page.wait_for_url("**/about?lang=ar")
    assert page.locator("html").get_attribute("dir") == "rtl"
    page.goto(base)
    assert page.locator("html").get_attribute("lang") == "ar"
    boxes = [page.locator(".doors .door").nth(number).bounding_box() for number in (0, 1)]
    assert boxes[0]["x"] > boxes[1]["x"]
    assert page.locator(".brand").bounding_box()["x"] > page.locator(".language").bounding_box()["x"]


@pytest.mark.parametrize("locale", ["en-US", "de", "ar", "ja"])
def test_a_phone_needs_no_scrolling_sideways(serving: Serving, opened: Opened, main_port: int, locale: str) -> None:
    base = serving()
    page = opened(base, viewport=PHONE, locale=locale)
    page.locator(OVER).first.wait_for()
    door(page, main_port).locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for path in ("/about", "/ports", "/port/443", "/learn", "/signin", "/api"):
        page.goto(base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(serving: Serving, opened: Opened, main_port: int, scheme: str) -> None:
    base = serving()
    page = opened(base, color_scheme=scheme)
    ended(page)
    door(page, main_port).locator("summary").click()
    assert _faults(page) == []
    with page.expect_navigation():
        page.evaluate("document.getElementById('test').submit()")
    ended(page)
    assert "/tests/" in page.url
    assert _faults(page) == []
    page.goto(f"{base}/about")
    assert _faults(page) == []


def _faults(page: Any) -> list[str]:
    """Return the serious and critical faults that axe-core finds."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_the_keyboard_alone_is_enough(serving: Serving, opened: Opened, main_port: int) -> None:
    page = opened(serving())
    ended(page)

    def until(is_there: Callable[[], bool], key: str = "Tab") -> None:
        for _ in range(100):
            page.keyboard.press(key)
            if is_there():
                return
        pytest.fail("the keyboard does not lead there")

    def focus_is(selector: str) -> bool:
        return bool(page.evaluate("(selector) => document.activeElement.matches(selector)", selector))

    page.keyboard.press("Tab")
    assert focus_is(".skip")
    until(lambda: focus_is("#test button"))
    until(lambda: focus_is(".show input"))
    page.keyboard.press("ArrowRight")
    assert focus_is('[value="open"]:checked')
    until(lambda: focus_is(f'[data-door="{main_port}/tcp"] summary'))
    page.keyboard.press("Enter")
    assert door(page, main_port).locator(".answer").is_visible()
    until(lambda: focus_is("#ports"))
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    ended(page, "#more-runs")
    assert door(page.locator("#more-runs"), 1).get_attribute("data-state") == "closed"
