"""Takes the pictures of the page in docs/pictures: `python -m scripts.screenshots [NAME...]`, as root.

Raises the lab of the page's tests with more services, and lets Chromium visit from a host in it. The tests of the
target are made one after the other and then dated six hours apart. It takes what tests/lab/test_page.py takes.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from portbook.lab import keeper
from portbook.lab.scenario import ClientPlan, Rule, ServicePlan
from tests.lab import page_hosts
from tests.lab.page_hosts import BASES, VISITOR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal

    from playwright.sync_api import Browser, Page

    from portbook.lab.scenario import Scenario
    from portbook.lab.state import LabState

    Scheme = Literal["light", "dark"]

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
BASE = BASES["ipv4"]
WIDE, PHONE = (1120, 900), (390, 844)
_SIX_HOURS = 6 * 3600
_IS_UP = (True, True, False, True, True, True, False, False, True, True)
"""Whether the target's web server is up at each test."""


def plan() -> Scenario:
    """Return the lab: the page's own, with a firewall before the visitor and more to see on the server's host."""
    made = page_hosts.plan()
    kinds = {"http": 80, "ssh": 22, "postgresql": 5432, "redis": 6379}
    return replace(
        made,
        services=(*made.services, *(ServicePlan(f"page-{kind}", "page", kind, kinds[kind]) for kind in kinds)),
        clients=(
            *made.clients,
            *(ClientPlan("visitor", kind, "page", kinds[kind], count=2) for kind in kinds),
            ClientPlan("guarded", "postgresql", "page", 5432, count=3),
            ClientPlan("page", "dns", "visitor", 53, transport="tcp"),
        ),
        rules=(
            *made.rules,
            Rule("visitor", "input", "tcp", 25, "drop"),
            Rule("visitor", "input", "tcp", 23, "admin-prohibited"),
            Rule("visitor", "input", "tcp", 3389, "drop"),
        ),
    )


class Camera:
    """Visits of the page from one host, each with a size, colours and a language, and the pictures of them."""

    def __init__(self, browser: Browser, link: str) -> None:
        self.browser = browser
        with self.visit(WIDE) as page:
            page.goto(link)
            page.locator("#name").fill("ada")
            page.locator('[type="password"]').fill("correct horse battery staple")
            page.locator("main button").click()
            page.wait_for_url("**/account")
            self.account = page.context.storage_state()

    @contextmanager
    def visit(
        self, size: tuple[int, int], scheme: Scheme = "light", locale: str = "en-US", **more: Any
    ) -> Iterator[Page]:
        """Open a page of this size, as a signed-in person where `storage_state` is given."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            locale=locale,
            reduced_motion="reduce",
            **more,
        )
        yield context.new_page()
        context.close()


def first_screen(
    camera: Camera, name: str, size: tuple[int, int], scheme: Scheme = "light", locale: str = "en-US"
) -> None:
    """Take the first screen once the test is over."""
    with camera.visit(size, scheme, locale) as page:
        page.goto(BASE)
        page.locator("#test button").click()
        page.locator("#runs .run:not([data-running]) .door:not([data-state=waiting])").first.wait_for()
        page.evaluate("document.activeElement.blur()")
        taken(page, name)


def taken(page: Page, name: str) -> None:
    """Take what is in view, when all that moves has come to rest."""
    page.mouse.move(0, 0)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def course(camera: Camera) -> None:
    """Take the part of the course with the visitor's own socket pair."""
    with camera.visit(WIDE) as page:
        page.goto(f"{BASE}/learn")
        page.locator(".conversation").first.evaluate("one => scrollTo(0, one.closest('section').offsetTop - 16)")
        taken(page, "course")


def ports(camera: Camera) -> None:
    """Take the registry."""
    with camera.visit(WIDE) as page:
        page.goto(f"{BASE}/ports")
        taken(page, "ports")


def host(camera: Camera) -> None:
    """Take the host of the server, with the picture of its conversations."""
    with camera.visit((1120, 820), storage_state=camera.account) as page:
        page.goto(f"{BASE}/host")
        page.locator("#host-picture").evaluate("one => scrollTo(0, one.offsetTop - 16)")
        taken(page, "host")


def target(camera: Camera, state: LabState, database: Path) -> None:
    """Take a target with its history."""
    with camera.visit((1120, 1000), storage_state=camera.account) as page:
        page.goto(f"{BASE}/targets")
        page.locator("#host").fill("visitor")
        page.locator("#ports").fill(f"22,25,80,{page_hosts.STOPPABLE}")
        page.get_by_role("button", name="Add this target").click()
        page.wait_for_url("**/targets/*")
        address = page.url
        for is_up in _IS_UP:
            with ExitStack() as running:
                if is_up:
                    running.enter_context(page_hosts.web_server(state, "visitor", VISITOR["ipv4"]))
                page.goto(address)
                page.get_by_role("button", name="Test now").click()
                page.locator("#over", has_text="The test is over").wait_for()
        page.goto(address)
        page.wait_for_function(f"document.querySelectorAll('.checks tbody tr').length == {len(_IS_UP)}")
        with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
            last = time.time() // _SIX_HOURS * _SIX_HOURS
            number = "(SELECT count(*) FROM checks AS later WHERE later.id > checks.id)"
            connection.execute(f"UPDATE checks SET begun = ? - {_SIX_HOURS} * {number}", (last,))
        page.goto(address)
        taken(page, "target")


def main() -> None:
    """Take all pictures, or those that are named."""
    PICTURES.mkdir(exist_ok=True)
    state, _ = keeper.up(plan(), name=f"pictures-{os.getpid()}")
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            page_hosts.served(state, Path(folder), os.environ) as link,
            sync_playwright() as running,
        ):
            program = page_hosts.in_network_of(state, "visitor", Path(folder))
            browser = running.chromium.launch(executable_path=program, args=list(page_hosts.FLAGS))
            camera = Camera(browser, link)
            pictures = {
                "page": lambda: first_screen(camera, "page", WIDE),
                "page-dark": lambda: first_screen(camera, "page-dark", WIDE, "dark"),
                "page-phone": lambda: first_screen(camera, "page-phone", PHONE),
                "page-ar": lambda: first_screen(camera, "page-ar", WIDE, locale="ar"),
                "course": lambda: course(camera),
                "ports": lambda: ports(camera),
                "host": lambda: host(camera),
                "target": lambda: target(camera, state, Path(folder) / "serve" / "portbook.sqlite"),
            }
            for name in sys.argv[1:] or pictures:
                pictures[name]()
            browser.close()
    finally:
        keeper.down(state)


if __name__ == "__main__":
    main()
