"""The page in a browser on a host of the lab: its own address, its real services, and firewalls before another."""

from __future__ import annotations

import hmac
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import pytest

from portbook.lab import keeper

from . import page_hosts
from .conftest import eventually, raised
from .page_hosts import (
    BASES,
    CHROMIUM,
    DROPPED,
    FLAGS,
    GUARDED,
    ODD_PORT,
    PORT_UNREACHABLE,
    PROHIBITED,
    ROUTER,
    SERVICES,
    VISITOR,
    receiver,
    web_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Lab

playwright = pytest.importorskip("playwright.sync_api", reason="takes Playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="takes axe-playwright-python")

pytestmark = [
    pytest.mark.lab,
    pytest.mark.servers,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="takes Debian's chromium"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a browser in another network"),
    pytest.mark.skipif(shutil.which("nsenter") is None, reason="takes nsenter"),
]

PHONE = {"width": 360, "height": 740}
NAME, PASSWORD = "ada", "correct horse battery staple"
OPEN_PAGES = ("/", "/ports", "/port/443", "/learn", "/about", "/api", "/signin")
SIGNED_IN_PAGES = ("/account", "/targets", "/host")
STATES = {
    **{(port, "tcp"): "open" for port in SERVICES},
    (53, "udp"): "open",
    **{(port, "udp"): "open|filtered" for port in (67, 68, 514)},  # each may stay silent: DHCP's and the log's
}
"""What the visitor's doors must be; all others are closed."""
REGISTERED = {"dns": "domain"}
"""What the registry calls a service where that differs."""
PRODUCTS = {21: "vsftpd", 22: "OpenSSH", 53: "BIND", 80: "nginx", 3306: "MariaDB"}


class Opened(Protocol):
    """The fixture `opened`: a path of the page, in the browser of a host with these options."""

    def __call__(self, path: str = "/", host: str = "visitor", family: str = "ipv4", **options: Any) -> Any: ...


@pytest.fixture(scope="module")
def state() -> Iterator[Lab]:
    found = raised(page_hosts.plan())
    yield found
    keeper.down(found.state)


@pytest.fixture(scope="module")
def link(state: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one-time link of the server, which runs from now on."""
    with page_hosts.served(state.state, tmp_path_factory.mktemp("serve"), os.environ) as found:
        yield found


@pytest.fixture(scope="module")
def browsers(state: Lab, link: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The browser of each host that visits the server."""
    folder = tmp_path_factory.mktemp("browsers")
    with playwright.sync_playwright() as running:
        found = {}
        for host in ("visitor", "guarded"):
            program = page_hosts.in_network_of(state.state, host, folder)
            found[host] = running.chromium.launch(executable_path=program, args=list(FLAGS))
        yield found
        for browser in found.values():
            browser.close()


@pytest.fixture(scope="module")
def account(browsers: dict[str, Any], link: str) -> Any:
    """The cookies of an account, which was made with the one-time link."""
    context = browsers["visitor"].new_context(locale="en-US")
    page = context.new_page()
    page.goto(link)
    _is_for_everybody(page)  # it works this once
    page.locator("#name").fill(NAME)
    page.locator('[type="password"]').fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/account")
    assert NAME in page.locator(".lead").inner_text()
    found = context.storage_state()
    context.close()
    return found


@pytest.fixture(scope="module")
def target(browsers: dict[str, Any], account: Any) -> str:
    """The path of a target's page, which was tested once."""
    context = browsers["visitor"].new_context(locale="en-US", storage_state=account)
    page = context.new_page()
    page.goto(BASES["ipv4"] + "/targets")
    page.locator("#host").fill("guarded")
    page.locator("#ports").fill("22")
    page.get_by_role("button", name="Add this target").click()
    page.wait_for_url("**/targets/*")
    found: str = urlsplit(page.url).path
    page.get_by_role("button", name="Test now").click()
    page.wait_for_url("**/tests/*")
    page.locator("#over", has_text="The test is over").wait_for()
    context.close()
    return found


@pytest.fixture
def opened(browsers: dict[str, Any]) -> Iterator[Opened]:
    """Return what opens a page; at the end nothing was complained of, and no other host was asked for anything."""
    complaints: list[str] = []
    asked: set[str] = set()
    contexts: list[Any] = []

    def opening(path: str = "/", host: str = "visitor", family: str = "ipv4", **options: Any) -> Any:
        context = browsers[host].new_context(**{"locale": "en-US", "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.goto(BASES[family] + path)
        return page

    yield opening
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked <= {urlsplit(base).netloc for base in BASES.values()}


def door(page: Any, port: int, transport: str = "tcp") -> Any:
    return page.locator(f'[data-door="{port}/{transport}"]')


def answer(page: Any, port: int) -> str:
    door(page, port).locator("summary").click()
    return str(door(page, port).locator(".answer").inner_text())


def ended(page: Any, within: str = "#runs") -> None:
    page.locator(f"{within} .summary", has_text="The test is over").first.wait_for()


def begun(page: Any) -> None:
    page.locator("#test button").click()
    ended(page)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_the_first_screen_tells_every_port_of_the_visitor(opened: Opened, family: str) -> None:
    page = opened("/about", family=family)
    page.get_by_role("link", name="My ports").click()  # an own page led there: the test begins by itself
    page.wait_for_url("**/")
    assert f"to your address {VISITOR[family]}" in page.locator("h1").inner_text()
    ended(page)
    doors = {
        (int(port), transport): one.get_attribute("data-state")
        for one in page.locator("#runs .door").all()
        for port, transport in [one.get_attribute("data-door").split("/")]
    }
    assert len(doors) > 20
    assert set(doors) >= set(STATES)
    may_be_silent = {place for place in STATES if STATES[place] == "open|filtered"}
    for place, state in doors.items():
        allowed = {"closed", "open|filtered"} if place in may_be_silent else {STATES.get(place, "closed")}
        assert state in allowed, place
    for port, kind in SERVICES.items():
        told = door(page, port).locator(".told").inner_text()
        assert REGISTERED.get(kind, kind) in told
        assert PRODUCTS[port] in told
    assert "BIND" in door(page, 53, "udp").locator(".told").inner_text()
    assert "OpenSSH" in answer(page, 22)


def test_a_visit_without_encryption_from_nowhere_does_not_begin_by_itself(opened: Opened) -> None:
    page = opened()  # its browser does not say whose page led there
    assert page.locator('.doors .door:not([data-state="waiting"])').count() == 0
    begun(page)
    assert door(page, 22).get_attribute("data-state") == "open"
    assert page.locator("#test button").inner_text() == "Test again"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_closed_doors_say_who_closed_them(opened: Opened, family: str) -> None:
    page = opened(host="guarded", family=family)
    assert GUARDED[family] in page.locator("h1").inner_text()
    begun(page)
    expected = {22: "open", 23: "closed", DROPPED: "filtered", PORT_UNREACHABLE: "rejected", PROHIBITED: "rejected"}
    assert {port: door(page, port).get_attribute("data-state") for port in expected} == expected
    assert GUARDED[family] in answer(page, PORT_UNREACHABLE)
    words = answer(page, PROHIBITED)
    assert ROUTER[family] in words
    assert GUARDED[family] not in words
    assert "Nothing answered" in answer(page, DROPPED)


def test_more_ports_are_those_that_the_visitor_names(opened: Opened) -> None:
    page = opened()
    page.locator("#ports").fill(f"53,{ODD_PORT},{ODD_PORT + 1}")
    for transport in ("tcp", "udp"):
        page.locator(f'#more [name="transport"][value="{transport}"]').check()
    page.locator("#more button").click()
    ended(page, "#more-runs")
    more = page.locator("#more-runs")
    assert door(more, ODD_PORT).get_attribute("data-state") == "open"
    assert "ssh" in door(more, ODD_PORT).locator(".told").inner_text()
    assert "OpenSSH" in door(more, ODD_PORT).locator(".told").inner_text()
    assert door(more, ODD_PORT + 1).get_attribute("data-state") == "closed"
    assert door(more, 53, "udp").get_attribute("data-state") == "open"
    assert "domain" in door(more, 53, "udp").locator(".told").inner_text()


def test_a_target_is_tested_and_its_change_is_told(state: Lab, opened: Opened, account: Any) -> None:
    visitor = VISITOR["ipv4"]
    page = opened("/targets", storage_state=account)
    with receiver(state.state, "visitor", visitor) as hook:
        with web_server(state.state, "visitor", visitor) as port:
            page.locator("#host").fill(visitor)
            page.locator("#ports").fill(f"22,{port}")
            page.locator("#webhook").fill(hook.url)
            page.get_by_role("button", name="Add this target").click()
            page.wait_for_url("**/targets/*")
            target = page.url
            page.get_by_role("button", name="Test now").click()
            _tested(page, {22: "open", port: "open"})
            assert "http" in page.locator(".answers").inner_text()
            _is_for_everybody(page)
        page.goto(target)
        page.get_by_role("button", name="Test now").click()
        _tested(page, {22: "open", port: "closed"})
        secret = _history(page, target, port)
        changes = [one for one in _messages(hook.told, secret) if any(two["from_state"] for two in one["changes"])]
    change = {"ip": visitor, "port": port, "transport": "tcp", "from_state": "open", "from_service": "http"}
    assert [one["changes"] for one in changes] == [[{**change, "to_state": "closed", "to_service": None}]]
    assert changes[0]["target"] == visitor


def _tested(page: Any, states: dict[int, str]) -> None:
    page.wait_for_url("**/tests/*")
    page.locator("#over", has_text="The test is over").wait_for()
    rows = page.locator(".answers tbody tr")
    assert rows.count() == len(states)
    for port, state in states.items():
        assert state in rows.filter(has_text=f"{port}/tcp").locator(".mark").inner_text()


def _history(page: Any, target: str, port: int) -> str:
    """See that the history tells the change, and that the webhook was told; return the webhook's secret."""

    def told() -> bool:
        page.goto(target)
        return bool(page.locator(".checks tbody tr.changed", has_text="the webhook was told").count())

    assert eventually(told), page.locator("main").inner_text()
    assert page.locator(".checks tbody tr").count() == 2
    newest = page.locator(".checks tbody tr").first.inner_text()
    assert f"{port}/tcp" in newest
    assert "was open, is closed" in newest
    picture = page.locator("main svg").bounding_box()
    assert picture["width"] > 100
    assert picture["height"] > 20
    return str(page.locator(".secret").inner_text())


def _messages(told: list[bytes], secret: str) -> list[Any]:
    """Return the messages that a webhook was told; each must bear the target's signature."""
    found = []
    for one in told:
        head, _, body = one.partition(b"\r\n\r\n")
        signed = "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()
        assert signed.encode() in head
        found.append(json.loads(body))
    return found


def test_this_host_is_that_of_the_server(opened: Opened, account: Any) -> None:
    page = opened("/host", storage_state=account)
    listener = page.locator("#host-listeners tbody tr", has=page.get_by_role("link", name="8080", exact=True))
    assert listener.first.is_visible()
    assert "python" in listener.first.inner_text() or "portbook" in listener.first.inner_text()
    talks = page.locator("#host").inner_text()
    assert VISITOR["ipv4"] in talks
    assert "3306" in talks  # the lab's own client holds a conversation with the visitor's database
    assert "vsftpd" not in talks  # the visitor's listeners are none of this host's


def test_who_is_not_signed_in_sees_no_host_and_no_targets(opened: Opened) -> None:
    page = opened("/host")
    assert urlsplit(page.url).path == "/signin"
    page.goto(BASES["ipv4"] + "/targets")
    assert urlsplit(page.url).path == "/signin"


def test_the_language_changes_and_arabic_runs_from_right_to_left(opened: Opened) -> None:
    page = opened("/about")
    page.locator("#language").select_option("fr")
    page.wait_for_url("**/about?lang=fr")
    assert page.locator("html").get_attribute("lang") == "fr"
    page.locator("#language").select_option("ar")
    page.wait_for_url("**/about?lang=ar")
    page.goto(BASES["ipv4"])
    assert page.locator("html").get_attribute("dir") == "rtl"
    boxes = [page.locator(".doors .door").nth(number).bounding_box() for number in (0, 1)]
    assert boxes[0]["x"] > boxes[1]["x"]
    assert page.locator(".brand").bounding_box()["x"] > page.locator(".language").bounding_box()["x"]
    assert page.locator("h1 .address").last.inner_text() == VISITOR["ipv4"]


def test_without_scripts_a_form_leads_to_the_result(opened: Opened) -> None:
    page = opened(java_script_enabled=False)
    page.locator("#test button").click()
    page.wait_for_url("**/tests/*")
    ended(page)
    assert door(page, 22).get_attribute("data-state") == "open"
    assert door(page, 23).get_attribute("data-state") == "closed"
    assert "OpenSSH" in door(page, 22).locator(".told").inner_text()


@pytest.mark.parametrize("locale", ["en-US", "ar"])
def test_a_phone_needs_no_scrolling_sideways(opened: Opened, account: Any, target: str, locale: str) -> None:
    page = opened("/about", family="ipv6", viewport=PHONE, locale=locale)
    page.goto(BASES["ipv6"])
    page.locator("#test button").click()
    page.locator(".run:not([data-running]) .door[data-state=open]").first.wait_for()
    door(page, 22).locator("summary").click()
    assert _width(page) <= PHONE["width"]
    signed_in = opened("/targets", viewport=PHONE, locale=locale, storage_state=account)
    for path in (*OPEN_PAGES, *SIGNED_IN_PAGES, target):
        signed_in.goto(BASES["ipv4"] + path)
        assert _width(signed_in) <= PHONE["width"], path


def _width(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_nothing_keeps_anybody_out(opened: Opened, account: Any, target: str) -> None:
    page = opened(storage_state=account)
    begun(page)
    door(page, 22).locator("summary").click()
    _is_for_everybody(page)
    with page.expect_navigation():
        page.evaluate("document.getElementById('test').submit()")
    ended(page)
    _is_for_everybody(page)
    for path in (*OPEN_PAGES[1:], *SIGNED_IN_PAGES, target):
        page.goto(BASES["ipv4"] + path)
        _is_for_everybody(page)


def _is_for_everybody(page: Any) -> None:
    """See that axe-core finds no serious or critical fault, in light and in dark colours."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        faults = [
            (one["id"], [node["html"] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert faults == [], (page.url, scheme)
