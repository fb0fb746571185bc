"""What curl and its like are answered: one line, and no page."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Clients, Serving, visiting

AGENTS = {
    "curl": {"user-agent": "curl/8.14.1", "accept": "*/*"},
    "Wget": {"user-agent": "Wget/1.25.0", "accept": "*/*", "accept-encoding": "identity"},
    "HTTPie": {"user-agent": "HTTPie/3.2.4", "accept": "*/*", "accept-encoding": "gzip, deflate"},
    "PowerShell": {"user-agent": "Mozilla/5.0 (Windows NT; Windows NT 10.0; de-DE) WindowsPowerShell/5.1.26100.1"},
}
BROWSER = {
    "accept": "text/html,*/*;q=0.8",
    "accept-language": "en",
    "sec-fetch-site": "none",
    "sec-fetch-mode": "navigate",
}
LOCAL: dict[str, Any] = {"mode": "local", "ip": "127.0.0.1", "base_url": "http://localhost"}


@pytest.mark.parametrize("headers", AGENTS.values(), ids=AGENTS)
def test_a_program_gets_the_address(client: Clients, headers: Mapping[str, str]) -> None:
    with visiting(client(ip="203.0.113.7")) as ask:
        answer = ask("GET", "/", headers=headers)
        assert (answer.status_code, answer.text) == (200, "203.0.113.7\n")
        assert answer.headers["content-type"].startswith("text/plain")


def test_an_ipv6_address_is_told_as_rfc_5952_has_it(client: Clients) -> None:
    with visiting(client(ip="2001:0db8::0007")) as ask:
        assert ask("GET", "/").text == "2001:db8::7\n"


def test_a_browser_gets_a_page_and_no_test(client: Clients) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, visiting(client(**LOCAL)) as ask:
        port = listening.getsockname()[1]
        answer = ask("GET", f"/port/{port}", headers=BROWSER)
        assert answer.headers["content-type"].startswith("text/html")
        assert ask("GET", "/", headers=BROWSER).headers["content-type"].startswith("text/html")
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_the_state_of_a_port_is_one_word(client: Clients) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with visiting(client(**LOCAL)) as ask:
            assert ask("GET", f"/port/{port}").text == "open\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        gone = listening.getsockname()[1]
    with visiting(client(**LOCAL)) as ask:
        assert ask("GET", f"/port/{gone}").text == "closed\n"


def test_udp_is_asked_for_in_the_query(client: Clients) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    with visiting(client(**LOCAL)) as ask:
        assert ask("GET", f"/port/{port}?transport=udp").text == "closed\n"
        refused = ask("GET", f"/port/{port}?transport=sctp")
        assert (refused.status_code, refused.text) == (400, "a transport is tcp or udp, not sctp\n")


def test_ports_asked_for_together_are_answered_each(client: Clients) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [listening.getsockname()[1] for listening in (one, other)]

        async def both() -> list[str]:
            async with client(**LOCAL) as web:
                answers = await asyncio.gather(*(web.get(f"/port/{port}") for port in ports))
                return [answer.text for answer in answers]

        assert asyncio.run(both()) == ["open\n", "open\n"]


def test_head_is_get_without_a_body(serving: Serving) -> None:
    url = serving()
    for path in ("/", "/healthz"):
        answer = httpx.head(url + path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == httpx.get(url + path).headers["content-length"]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answer = httpx.head(f"{url}/port/{listening.getsockname()[1]}")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "5")


WRONG = ("65536", "-1", "abc", "0x50", "1e3", "٤٤٣", "443;id", "443%0d%0aSet-Cookie:a=b", "9" * 5000, "443.0")


@pytest.mark.parametrize("port", WRONG, ids=range(len(WRONG)))
def test_a_wrong_port_is_refused_in_one_line(client: Clients, port: str) -> None:
    with visiting(client(**LOCAL)) as ask:
        answer = ask("GET", f"/port/{port}")
    assert answer.status_code == 400
    assert answer.text.count("\n") == 1
    assert answer.text.endswith("\n")
    assert "set-cookie" not in answer.headers


def test_any_port_is_answered_in_one_line(client: Clients) -> None:
    with visiting(client(**LOCAL, never_test=range(65536))) as ask:

        @settings(max_examples=60, deadline=None)
        @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=40))
        def asked(text: str) -> None:
            answer = ask("GET", f"http://localhost/port/{quote(text, safe='')}")
            assert answer.status_code in (400, 403, 404)
            assert answer.text.count("\n") == 1
            assert answer.text[:-1].isprintable()

        asked()


def test_what_is_not_tested_is_said_with_its_status(client: Clients) -> None:
    with visiting(client(ip="10.0.0.1")) as ask:
        answer = ask("GET", "/port/443")
    assert answer.status_code == 403
    assert answer.text == "10.0.0.1 is no address of the internet, so it cannot be reached from here\n"


def test_what_is_not_there_is_said_in_one_line(client: Clients) -> None:
    with visiting(client()) as ask:
        assert (ask("GET", "/nowhere").status_code, ask("GET", "/nowhere").text) == (404, "there is no such page\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_itself(serving: Serving) -> None:
    url = serving()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        state = f"{url}/port/{listening.getsockname()[1]}"
        answers = [subprocess.check_output(["curl", "-sS", asked], text=True, timeout=20) for asked in (url, state)]
    assert answers == ["127.0.0.1\n", "open\n"]
