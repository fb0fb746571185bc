"""The course: whole in every language, and with the reader's real socket pair in it."""

from __future__ import annotations

import re
import socket
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from portbook.locale import page_languages

from .conftest import SERVER, Clients, Serving, visiting

BROWSER = {"accept": "text/html", "accept-language": "en"}
LANGUAGES = page_languages()


CLOSED = (
    *("article", "section", "figure", "svg", "g", "text", "p", "a", "bdi", "details", "summary"),
    *("table", "td", "dl", "dd"),
)
"""Elements whose ends this page never leaves out."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_course_is_whole_in_every_language(client: Clients, language: str) -> None:
    with visiting(client()) as ask:
        answer = ask("GET", f"/learn?lang={language}", headers=BROWSER)
        assert answer.status_code == 200
        page = answer.text
        assert f'dir="{LANGUAGES[language]}"' in page
        for tag in CLOSED:
            assert len(re.findall(rf"<{tag}[\s>]", page)) == page.count(f"</{tag}>") > 0
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        chapters = re.findall(r'href="#([^"]+)"', page)
        referred = " ".join(re.findall(r'aria-labelledby="([^"]+)"', page)).split()
        assert {*chapters, *referred} <= set(ids)
        # One is the link over the head of the page.
        assert page.count('<details class="quiz">') == len(chapters) - 1 == 13
        # The page's policy forbids them.
        assert not re.search(r'<[^>]*\s(style|on[a-z]+)="', page)


def test_every_picture_is_named_described_and_well_formed(client: Clients) -> None:
    with visiting(client()) as ask:
        page = ask("GET", "/learn", headers=BROWSER).text
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 9
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        title, description = root.attrib["aria-labelledby"].split()
        assert root.attrib["role"] == "img"
        for tag, name in (("title", title), ("desc", description)):
            found = root.find(tag)
            assert found is not None
            assert found.attrib["id"] == name
            assert found.text
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        # On a phone's 360 pixels nothing is drawn smaller than it says.
        assert width <= 340
        for text in root.iter("text"):
            assert 0 < float(text.attrib["x"]) < width
            assert 0 < float(text.attrib["y"]) <= height


def test_the_reader_s_own_socket_pair_is_drawn(client: Clients) -> None:
    with visiting(client(ip="203.0.113.7", port=50123)) as ask:
        for path in ("/learn", "/learn/pair"):
            page = ask("GET", path, headers=BROWSER).text
            assert f'data-client="203.0.113.7:50123" data-server="{SERVER[0]}:{SERVER[1]}"' in page
            assert "50123 → 80" in page
            assert "80 → 50123" in page
            assert "proxy" not in page


def test_the_address_of_ipv6_stands_in_brackets(client: Clients) -> None:
    with visiting(client(ip="2001:db8:0::7", port=50123)) as ask:
        assert 'data-client="[2001:db8::7]:50123"' in ask("GET", "/learn/pair").text


def test_behind_a_proxy_what_is_not_known_is_said(client: Clients) -> None:
    given: dict[str, Any] = {"trusted_proxies": ("192.0.2.0/24",), "ip": "192.0.2.9"}
    with visiting(client(**given)) as ask:
        headers = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", **BROWSER}
        page = ask("GET", "/learn", headers=headers).text
        assert 'data-client="203.0.113.7:?" data-server="ports.example:443"' in page
        assert "A proxy stands between you and this server" in page
        assert "data-again" not in page


def test_each_request_is_a_conversation_of_its_own(serving: Serving) -> None:
    server = urlsplit(serving())
    seen = set()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port or 0), timeout=20) as connection:
            own = connection.getsockname()[1]
            connection.sendall(b"GET /learn/pair HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # The end comes although nobody asked for it: the server closes.
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert f'data-client="127.0.0.1:{own}" data-server="127.0.0.1:{server.port}"'.encode() in answer
            seen.add(own)
    assert len(seen) == 3


def test_every_main_port_is_led_to(client: Clients) -> None:
    with visiting(client()) as ask:
        page = ask("GET", "/learn", headers=BROWSER).text
        linked = {int(port) for port in re.findall(r'href="/port/(\d+)"', page)}
        site_registry = ask("GET", "/ports", headers=BROWSER).text
        assert linked == {int(port) for port in re.findall(r'href="/port/(\d+)"', site_registry)}
        assert len(linked) == 26
