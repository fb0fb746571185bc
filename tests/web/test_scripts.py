"""What scripts add to the registry and the course, in a real browser; and that both stand without them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect, sync_playwright

from .conftest import Serving

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"{CHROMIUM} is missing: apt install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def faults() -> list[str]:
    """What a page complained of, and what it asked of others."""
    return []


@pytest.fixture
def page(browser: Browser, faults: list[str]) -> Iterator[Page]:
    context = browser.new_context(locale="en", viewport={"width": 360, "height": 800})
    opened = context.new_page()
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda asked: None if "://127.0.0.1:" in asked.url else faults.append(asked.url))
    yield opened
    context.close()


def test_ports_are_looked_up_as_one_types(serving: Serving, page: Page, faults: list[str]) -> None:
    url = serving()
    page.goto(f"{url}/ports")
    expect(page.locator(".main-ports li")).to_have_count(26)
    field = page.get_by_role("searchbox")
    field.press_sequentially("imaps")
    expect(page.locator(".entries tbody th").first).to_have_text("993")
    expect(page).to_have_url(f"{url}/ports?q=imaps")
    field.fill("65536")
    expect(page.get_by_role("status")).to_have_text("65536 is no port; ports go from 0 to 65535")
    expect(page.locator(".entries")).to_have_count(0)
    field.fill("")
    expect(page.locator(".main-ports li")).to_have_count(26)
    expect(page).to_have_url(f"{url}/ports")
    assert not faults


def test_a_late_answer_does_not_take_the_place_of_a_newer_one(serving: Serving, page: Page) -> None:
    page.goto(f"{serving()}/ports")
    held: list[Route] = []
    page.route(re.compile("q=ssh&"), lambda route: held.append(route))
    field = page.get_by_role("searchbox")
    with page.expect_request(re.compile("q=ssh&")):
        field.fill("ssh")
    field.fill("443")
    expect(page.locator(".entries tbody th").first).to_have_text("443")
    with suppress(Error):  # nobody waits for it any more
        held[0].fulfill(content_type="text/html", body='<p class="tally">late</p>')
    page.wait_for_timeout(300)
    expect(page.locator(".entries tbody th").first).to_have_text("443")


def test_each_question_has_a_source_port_of_its_own(serving: Serving, page: Page, faults: list[str]) -> None:
    server = serving().removeprefix("http://")
    page.goto(f"http://{server}/learn")
    expect(page.locator(".seen li")).to_have_count(1)
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".seen li")).to_have_count(2)
    page.get_by_role("button", name="Ask three times at once").click()
    expect(page.locator(".seen li")).to_have_count(5)
    pairs = page.locator(".seen li").all_inner_texts()
    assert len(set(pairs)) == 5
    assert all(re.fullmatch(rf"127\.0\.0\.1:\d+ → {re.escape(server)}", pair.strip()) for pair in pairs)
    assert not faults


@pytest.mark.parametrize(
    "path", ["/learn", "/learn?lang=ar", "/ports", "/ports?q=0-300", "/port/443", "/port/443?lang=fa"]
)
def test_nothing_is_wider_than_a_phone(serving: Serving, page: Page, path: str) -> None:
    page.goto(serving() + path)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_without_scripts_a_form_and_links_do(serving: Serving, browser: Browser) -> None:
    context = browser.new_context(locale="en", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{serving()}/ports")
    page.get_by_role("searchbox").fill("imaps")
    page.get_by_role("button", name="Look up").click()
    page.locator(".entries").get_by_role("link", name="993").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Port 993")
    page.get_by_role("navigation").get_by_role("link", name="How ports work").click()
    question = page.locator("#port .quiz")
    expect(question.locator("p")).to_be_hidden()
    question.locator("summary").click()
    expect(question.locator("p")).to_be_visible()
    context.close()
