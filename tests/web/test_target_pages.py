"""Targets as a person's pages show them, tested for real on this host's loopback."""

from __future__ import annotations

import asyncio
import re
from xml.etree import ElementTree

from portbook.web.languages import languages

from .conftest import Web
from .tested_targets import Using, add, check_of, closed_port, open_port, using

__all__ = ["closed_port", "open_port", "using"]


def test_a_person_adds_tests_looks_changes_and_removes(using: Using, open_port: int, closed_port: int) -> None:
    async def work(web: Web) -> None:
        del web.headers["authorization"]
        page = await web.get("/targets")
        assert "You have no targets yet." in page.text
        assert "127.0.0.1, localhost" in page.text
        form = {"host": "127.0.0.1", "ports": f"{open_port},{closed_port}", "every": "", "transport": "tcp"}
        wrong = await web.post("/targets", data={**form, "host": "192.0.2.1<b>"})
        assert wrong.status_code == 400
        assert "192.0.2.1&lt;b&gt;" in wrong.text
        assert "<b>" not in wrong.text
        added = await web.post("/targets", data=form)
        assert added.status_code == 303
        place = added.headers["location"]
        assert "This target has not been tested yet." in (await web.get(place)).text
        begun = await web.post(f"{place}/tests")
        assert begun.status_code == 303
        run = begun.headers["location"]
        assert run.startswith(f"{place}/tests/")
        first = await web.get(run)
        assert first.status_code == 200
        assert str(open_port) in first.text
        events = (await web.get(f"{run}/events")).text
        assert events.count("event: row") >= 2
        assert "event: over" in events
        async with asyncio.timeout(30):
            while "The test is over." not in (shown := (await web.get(run)).text):
                assert '<meta http-equiv="refresh"' in shown
                await asyncio.sleep(0.02)
        assert "OpenSSH" in shown
        assert "http-equiv" not in shown
        async with asyncio.timeout(30):
            while "<svg" not in (page := await web.get(place)).text:
                await asyncio.sleep(0.02)
        svg = re.search(r"<svg class=\"history\".*?</svg>", page.text, re.DOTALL)
        assert svg is not None
        ElementTree.fromstring(svg[0])
        assert "closed" in svg[0]
        assert "style=" not in page.text
        wrong = await web.post(place, data={"every": "60", "webhook": ""})
        assert wrong.status_code == 400
        changed = await web.post(place, data={"every": "3600", "webhook": ""})
        assert changed.status_code == 303
        assert "every 1 hour" in (await web.get(place)).text
        assert (await web.post(f"{place}/delete")).headers["location"] == "/targets"
        assert (await web.get(place)).status_code == 404

    using(work)


def test_where_nothing_is_allowed_the_page_says_so(using: Using) -> None:
    async def work(web: Web) -> None:
        page = await web.get("/targets")
        assert "The operator of this server allows no targets." in page.text
        assert 'name="host"' not in page.text
        answered = await web.post("/api/v1/targets", json={"host": "127.0.0.1"})
        assert answered.status_code == 403

    using(work, targets=())


def test_the_pages_in_every_language(using: Using, closed_port: int) -> None:
    async def work(web: Web) -> None:
        made = await add(web, ports=str(closed_port), every=86400)
        await check_of(web, made["id"])
        for code in languages():
            for path in ("/targets", f"/targets/{made['id']}"):
                page = await web.get(f"{path}?lang={code}")
                assert page.status_code == 200
                assert f'lang="{code.replace("_", "-")}"' in page.text

    using(work)
