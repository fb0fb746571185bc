from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys

import pytest

from portbook.web import host_pages

from .conftest import Clients
from .seen_host import API, EVIL, HTML, Page, many_talks, process_name, row_count, signed_in, talking


def test_who_is_not_signed_in_is_led_to_the_sign_in_and_the_api_refuses(client: Clients) -> None:
    async def body() -> None:
        async with client() as web:
            answer = await web.get("/host?port=22&process=a%26b", headers=HTML)
            assert answer.status_code == 303
            assert answer.headers["location"] == "/signin?next=%2Fhost%3Fport%3D22%26process%3Da%2526b"
            answer = await web.get("/host/events", headers={**HTML, "sec-fetch-mode": "cors"})
            assert answer.status_code == 401
            for path in (*API, *(f"{path}?format=csv&limit=1" for path in API)):
                for headers in ({}, {"authorization": "Bearer portbook_wrong"}, {"cookie": "portbook=forged"}):
                    answer = await web.get(path, headers=headers)
                    assert answer.status_code == 401, path
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                    assert set(answer.json()) == {"detail"}

    asyncio.run(body())


def test_the_page_shows_listeners_with_owners_and_conversations_once(client: Clients) -> None:
    async def body() -> None:
        with talking() as (port, source), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            async with signed_in(client) as web:
                answer = await web.get(f"/host?port={port},{other.getsockname()[1]}", headers=HTML)
                assert answer.status_code == 200
                page = Page(answer.text)
                row = page.row(str(port))
                assert {"tcp", "loopback", "127.0.0.1"} <= set(row)
                assert str(os.getpid()) in row
                assert any(cell.startswith(process_name()) for cell in row)
                assert "udp" in page.row(str(other.getsockname()[1]))
                (talk,) = [row for row in page.rows if f"127.0.0.1:{source}" in row]
                assert f"127.0.0.1:{port}" in talk
                assert "1.2 kB" in talk
                assert talk.count(f"{process_name()} -> {process_name()}") == 1
                drawn = [attributes for tag, attributes in page.tags if tag == "svg"]
                assert len(drawn) == 1
                assert drawn[0]["role"] == "img"
                assert drawn[0]["aria-labelledby"] == "host-picture-title"
                again = [attributes["href"] for tag, attributes in page.tags if attributes.get("id") == "host-again"]
                assert again == [str(answer.url).removeprefix(str(web.base_url)).replace(",", "%2C")]

    asyncio.run(body())


def test_the_form_leaves_what_is_asked_for(client: Clients) -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            first, second = one.getsockname()[1], two.getsockname()[1]
            async with signed_in(client) as web:
                for query, shown in (
                    (f"port={first}", True),
                    (f"port={first}-{first}&transport=tcp&state=listening&process={os.getpid()}", True),
                    (f"port={second}", False),
                    (f"port={first}&transport=udp", False),
                    (f"port={first}&state=ESTABLISHED", False),
                    (f"port={first}&process=nothing-is-called-so", False),
                ):
                    answer = await web.get(f"/host?{query}", headers=HTML)
                    page = Page(answer.text)
                    assert page.has(str(first)) is shown, query
                    typed = [attributes for tag, attributes in page.tags if attributes.get("id") == "host-port"]
                    assert str(typed[0]["value"]) in query

    asyncio.run(body())


@pytest.mark.parametrize("query", ["port=66000", "port=no", "state=SLEEPING", "transport=carrier-pigeon"])
def test_what_is_none_is_said_in_words(client: Clients, query: str) -> None:
    async def body() -> None:
        async with signed_in(client) as web:
            answer = await web.get(f"/host?{query}", headers=HTML)
            assert answer.status_code == 400
            assert 'role="alert"' in answer.text
            assert "<table" not in answer.text
            assert query.partition("=")[2] in answer.text
            for path in API:
                answer = await web.get(f"{path}?{query}")
                assert answer.status_code == 400
                assert query.partition("=")[2] in answer.json()["detail"]
            answer = await web.get("/host/events?" + query)
            assert answer.status_code == 400

    asyncio.run(body())


def test_a_hostile_process_is_harmless(client: Clients) -> None:
    code = (
        "import socket, sys\n"
        "open('/proc/self/comm', 'w').write(sys.argv[1])\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "accepted = server.accept()[0]\n"
        "accepted.send(b'x')\n"
        "sys.stdin.read()\n"
    )
    long = "<script>alert(1)</script>\u202e" + "\x1b]0;x\x07" + "x" * 5000
    with subprocess.Popen(
        [sys.executable, "-c", code, EVIL, long], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as hostile:
        try:
            assert hostile.stdout is not None
            port = int(hostile.stdout.readline())
            with socket.create_connection(("127.0.0.1", port)) as talk:
                assert talk.recv(1) == b"x"
                asyncio.run(_harmless(client, port))
        finally:
            hostile.kill()


async def _harmless(client: Clients, port: int) -> None:
    async with signed_in(client) as web:
        answer = await web.get(f"/host?port={port}&process=%3Cb%3E", headers=HTML)
        assert answer.status_code == 200
        assert not set("\x1b\x07\u202e") & set(answer.text)
        page = Page(answer.text)
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all(str(one["src"]).startswith("/static/") for one in scripts)
        assert "b" not in [tag for tag, _ in page.tags]
        owner = next(cell for cell in page.row(str(port)) if cell.startswith("<b>"))
        assert owner.startswith("<b>\\x1b[31m&'\"")
        assert len(owner) < 1000
        for path in API:
            answer = await web.get(f"{path}?port={port}&process=%3Cb%3E")
            assert EVIL in str(answer.json()[0]["process"])
            assert "\x1b" not in answer.text
            answer = await web.get(f"{path}?port={port}&process=%3Cb%3E&format=csv")
            assert "\x1b" not in answer.text


def test_the_rest_is_counted_with_links_that_leave_less(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    now = many_talks(20_000)
    monkeypatch.setattr(host_pages, "seen_now", lambda _: now)

    async def body() -> None:
        async with signed_in(client) as web:
            answer = await web.get("/host?port=443", headers=HTML)
            assert row_count(answer.text) == host_pages.MOST_ROWS
            assert "1 service listens" in answer.text
            answer = await web.get("/host", headers=HTML)
            assert row_count(answer.text) == host_pages.MOST_ROWS
            assert len(answer.text) < 500_000
            assert "19,900 more are not shown" in answer.text
            assert "14 of 61 owners hidden; run as root to see them" in answer.text
            links = [attributes["href"] for tag, attributes in Page(answer.text).tags if tag == "a"]
            assert {"/host?transport=udp", "/host?state=CONNECTED"} <= set(links)
            answer = await web.get("/host?transport=udp", headers=HTML)
            assert "10,000 conversations" in answer.text

    asyncio.run(body())


def test_a_page_from_right_to_left_has_its_picture_mirrored(client: Clients) -> None:
    async def body() -> None:
        with talking() as (port, _):
            async with signed_in(client) as web:
                usual = await web.get(f"/host?port={port}&lang=en", headers=HTML)
                mirrored = await web.get(f"/host?port={port}&lang=ar", headers=HTML)
                assert 'dir="rtl"' in mirrored.text
                assert drawn(usual.text) == sorted(drawn(mirrored.text), reverse=True)
                assert drawn(usual.text) != drawn(mirrored.text)

    asyncio.run(body())


def drawn(html: str) -> list[str]:
    """Return where the boxes of the picture begin: first what is here."""
    return re.findall(r'<rect x="([\d.]+)"', html)
