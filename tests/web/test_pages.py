"""The pages for a person, as they are written: what stands on them, and what never does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.web.doors import DOORS
from portbook.web.languages import languages
from portbook.web.runs import NAMES, Asked, Event, _line
from tests.web.conftest import Clients, Web, visiting

pytestmark = pytest.mark.anyio

PERSON = {"accept": "text/html", "accept-language": "en", "sec-fetch-site": "same-origin"}
SCRIPT = {**PERSON, "accept": "application/json"}
LOCAL: dict[str, Any] = {"ip": "127.0.0.1", "base_url": "http://localhost", "mode": "local"}
PUBLIC_IP = "9.9.9.9"
NOBODY = 1
"""A port of this host where nobody listens."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Shape(HTMLParser):
    """Whether the elements of a page close as they opened, and the ids that stand in it."""

    VOID = frozenset({"meta", "link", "input", "img", "br", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str] = []
        self.styled = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "script":
            self.scripts.append(str(given.get("src")))
        self.styled |= "style" in given or tag == "style" or any(name.startswith("on") for name in given)
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def row(port: int, state: str, **told: object) -> dict[str, Any]:
    known = {"ip": "127.0.0.1", "target": "127.0.0.1", "port": port, "transport": "tcp", "state": state}
    return {**dict.fromkeys(NAMES), **known, **told}


async def told(web: Web, rows: Sequence[dict[str, Any]], *, over: bool = True, note: str | None = None) -> str:
    """Have the board say of a run that it found these rows; return its name."""
    board = web.site.board
    asked = Asked("127.0.0.1", tuple((one["port"], one["transport"]) for one in rows))
    await board.open("a-run", _line(Event(asked, 1_700_000_000.0)))
    for one in rows:
        await board.write("a-run", _line(Event(row=one, final=True)))
    if over:
        await board.write("a-run", _line(Event(over=True, note=note)), over=True)
    return "a-run"


async def test_every_page_is_whole_in_every_language(client: Clients) -> None:
    async with client(ip=PUBLIC_IP) as web:
        result = f"/tests/{await told(web, [row(number, state, rtt_ms=0.5) for number, state in enumerate(DOORS)])}"
        for path, (code, language) in product(("/", "/about", result), languages().items()):
            answer = await web.get(path, headers=PERSON, params={"lang": code})
            assert answer.status_code == 200
            assert answer.headers["content-language"] == language.tag
            assert f'<html lang="{language.tag}" dir="{language.direction}">' in answer.text
            assert f'<option value="{code}" lang="{language.tag}" selected>{language.name}</option>' in answer.text
            assert all(one.name in answer.text for one in languages().values())
            shape = Shape(answer.text)
            assert shape.stack == []
            assert len(shape.ids) == len(set(shape.ids))
            assert not shape.styled
            assert all(source.startswith("/static/") for source in shape.scripts)


async def test_the_first_screen_says_who_tests_whom(client: Clients) -> None:
    async with client(ip=PUBLIC_IP, port=51234, name="Harbour <1>") as web:
        page = (await web.get("/", headers=PERSON)).text
    words = text_of(page)
    assert f"Testing ports from server Harbour <1> ( 192.0.2.1 ) to your address {PUBLIC_IP}" in words
    assert "source port 51234" in words
    assert "port 80" in words
    numbers = [int(port) for port in re.findall(r'data-door="(\d+)/', page)]
    assert numbers == sorted(numbers)
    assert {22, 25, 80, 443, 8080} <= set(numbers)
    assert page.count('data-state="waiting"') == len(numbers)


async def test_ports_that_are_never_tested_have_no_door(client: Clients) -> None:
    async with client(ip=PUBLIC_IP, never_test=(25,)) as web:
        page = (await web.get("/", headers=PERSON)).text
        about = text_of((await web.get("/about", headers=PERSON)).text)
    assert 'data-door="25/tcp"' not in page
    assert 'data-door="22/tcp"' in page
    assert "It never tests these ports: 25" in about


@pytest.mark.parametrize(
    ("site", "begins"), [("none", True), ("same-origin", True), ("cross-site", False), ("same-site", False)]
)
async def test_a_test_begins_by_itself_only_where_the_person_opened_the_page(
    client: Clients, site: str, begins: bool
) -> None:
    async with client(ip=PUBLIC_IP) as web:
        page = (await web.get("/", headers={**PERSON, "sec-fetch-site": site})).text
    assert ("data-begin" in page) is begins
    assert "<button>Test my ports</button>" in page


async def test_an_address_that_others_may_share_is_asked_for_consent_first(client: Clients) -> None:
    async with client(**LOCAL) as web:
        page = (await web.get("/", headers={**PERSON, "via": "1.1 somebody"})).text
        assert "data-begin" not in page
        assert '<p class="consent"><label>' in page
        refused = await web.post("/tests", headers={**PERSON, "via": "1.1 somebody"}, data={"ports": "main"})
        assert refused.status_code == 403
        assert "say that you may have it tested" in text_of(refused.text)
        data = {"ports": str(NOBODY), "consent": "yes"}
        begun = await web.post("/tests", headers={**PERSON, "via": "1.1 somebody"}, data=data)
        assert begun.status_code == 303
        plain = (await web.get("/", headers=PERSON)).text
        assert '<p class="consent" hidden>' in plain


async def test_behind_a_proxy_the_page_says_what_is_not_known(client: Clients) -> None:
    async with client(ip="192.0.2.8", trusted_proxies=("192.0.2.8",), addresses=("198.51.100.2",)) as web:
        page = (await web.get("/", headers={**PERSON, "x-forwarded-for": PUBLIC_IP})).text
    words = text_of(page)
    assert f"( 198.51.100.2 ) to your address {PUBLIC_IP}" in words
    assert "source port unknown" in words
    assert "A proxy stands before this server" in words


@pytest.mark.parametrize("ip", ["10.1.2.3", "100.64.0.9", "127.0.0.1", "fe80::1"])
async def test_an_address_that_cannot_be_tested_is_told_why(client: Clients, ip: str) -> None:
    async with client(ip=ip) as web:
        page = (await web.get("/", headers=PERSON)).text
    assert "Your ports cannot be tested from here" in text_of(page)
    assert 'class="error"' in page
    assert 'action="/tests"' not in page
    assert "data-door" not in page


@pytest.mark.parametrize(
    ("ports", "status", "words"),
    [
        ("99999", 400, "99999 is no list of ports"),
        ("-1x", 400, "-1x is no list of ports"),
        ("80-22", 400, "the first port is beyond the last"),
        ("1-65535", 422, "65535 ports are too many for one test"),
        ("  ", 400, "say which ports are to be tested"),
        ('"><script>alert(1)</script>', 400, "is no list of ports"),
    ],
)
async def test_an_error_stands_in_words_beside_the_field(
    client: Clients, ports: str, status: int, words: str
) -> None:
    async with client(**LOCAL) as web:
        answer = await web.post("/tests", headers=PERSON, data={"ports": ports, "transport": "udp"})
        said = await web.post("/tests", headers=SCRIPT, data={"ports": ports})
    assert answer.status_code == said.status_code == status
    beside = answer.text.partition('id="ports-error">')[2].partition("</p>")[0]
    assert words in unescape(beside).replace(",", "")
    assert 'aria-invalid="true"' in answer.text
    assert 'value="udp" checked' in answer.text
    assert "<script>alert" not in answer.text
    assert Shape(answer.text).stack == []
    assert words in said.json()["detail"].replace(",", "")


def test_no_text_breaks_the_page(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:

        @settings(max_examples=40, deadline=None)
        @given(ports=st.text(max_size=80))
        def holds(ports: str) -> None:
            answer = ask("POST", "/tests", headers=PERSON, data={"ports": f"x{ports}"})
            assert answer.status_code == 400
            assert Shape(answer.text).stack == []

        holds()


async def test_one_who_asks_too_often_is_told_when_to_come_again(client: Clients) -> None:
    async with client(**LOCAL, quotas={"address": "1/hour"}) as web:
        first = await web.post("/tests", headers=SCRIPT, data={"ports": str(NOBODY)})
        assert first.status_code == 202
        assert first.json()["other"] is False
        # While it runs another request joins it, which is no test.
        assert [event async for event in web.site.runs.follow(first.json()["run"]) if event and event.over]
        for headers in (PERSON, SCRIPT):
            second = await web.post("/tests", headers=headers, data={"ports": str(NOBODY + 1)})
            assert second.status_code == 429
            assert 0 < int(second.headers["retry-after"]) <= 3600
            assert f"try again in {second.headers['retry-after']} seconds" in second.text


async def test_who_joins_a_test_of_other_ports_is_told_so(client: Clients) -> None:
    async with client(**LOCAL) as web:
        await web.site.board.claim("127.0.0.1", await told(web, [row(22, "closed")]), 60)
        answer = await web.post("/tests", headers=PERSON, data={"ports": str(NOBODY)})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/tests/a-run?other=1"
        page = (await web.get(answer.headers["location"], headers=PERSON)).text
        assert "A test of your address was running already" in text_of(page)
        script = await web.post("/tests", headers=SCRIPT, data={"ports": "22"})
        assert script.json() == {"run": "a-run", "other": False}


async def test_the_result_says_each_state_in_words(client: Clients) -> None:
    rows = [row(1000 + number, state, rtt_ms=12.34, icmp_from=None) for number, state in enumerate(DOORS)]
    async with client(**LOCAL) as web:
        page = (await web.get(f"/tests/{await told(web, rows)}", headers=PERSON)).text
    assert Shape(page).stack == []
    assert "The test is over: 1 open, 1 closed, 1 rejected" in text_of(page)
    assert "http-equiv" not in page
    for number, (state, words) in enumerate(DOORS.items()):
        door = page.partition(f'data-door="{1000 + number}/tcp"')[2].partition("</li>")[0]
        assert f'data-state="{state}"' in door
        assert words.name in text_of(door)
        assert "12.3 ms" in text_of(door)


async def test_a_result_that_is_not_all_there_loads_itself_again_without_scripts(client: Clients) -> None:
    async with client(**LOCAL) as web:
        page = (await web.get(f"/tests/{await told(web, [row(22, 'closed')], over=False)}", headers=PERSON)).text
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert 'data-run="a-run"' in page


HOSTILE = "<img src=x onerror=alert(1)>\u202e{port}\x1b[2J"


async def test_what_a_tested_port_says_stays_text(client: Clients) -> None:
    told_by_it = dict.fromkeys(("service", "product", "version", "banner", "server_name", "tls_subject"), HOSTILE)
    async with client(**LOCAL) as web:
        run = await told(web, [row(22, "open", **told_by_it)])
        page = await web.get(f"/tests/{run}", headers=PERSON)
        events = await web.get(f"/tests/{run}/events", headers=PERSON)
    assert events.headers["content-type"].startswith("text/event-stream")
    for text in (page.text, events.text):
        assert "<img src=x" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;" in text
        assert "\x1b" not in text
    for part in re.findall(r"[^>]*&lt;img[^<]*", page.text):
        assert f"<bdi>{part}</bdi>" in page.text


async def test_events_are_pieces_of_the_page_and_go_on_where_they_were_left(client: Clients) -> None:
    async with client(**LOCAL) as web:
        run = await told(web, [row(22, "open"), row(23, "closed")], note="nobody waited")
        answer = await web.get(f"/tests/{run}/events", headers=PERSON)
        rest = await web.get(f"/tests/{run}/events", headers={**PERSON, "last-event-id": "3"})
        absent = await web.get("/tests/nothing/events", headers=PERSON)
    assert re.findall(r"event: (\w+)", answer.text) == ["begun", "door", "door", "over"]
    assert re.findall(r"id: (\d+)", answer.text) == ["1", "2", "3", "4"]
    assert "The ports of" in answer.text
    assert re.findall(r"event: (\w+)", rest.text) == ["over"]
    assert "The test is over: 1 open and 1 closed." in rest.text
    assert "nobody waited" in rest.text
    assert absent.status_code == 404


async def test_an_unknown_result_is_said_to_be_gone(client: Clients) -> None:
    async with client(**LOCAL) as web:
        answer = await web.get("/tests/nothing", headers=PERSON)
    assert answer.status_code == 404
    assert "this test is not known any more" in text_of(answer.text)


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("abuse@ports.example", 'href="mailto:abuse@ports.example"'),
        ("https://ports.example/abuse", 'href="https://ports.example/abuse"'),
        ('javascript:"<b>', "<bdi>javascript:&#34;&lt;b&gt;</bdi>"),
        (None, "The operator has left no address to write to."),
    ],
)
async def test_the_page_about_this_server_names_whom_to_write_to(
    client: Clients, contact: str | None, link: str
) -> None:
    async with client(ip=PUBLIC_IP, contact=contact, quotas={"address": "5/minute;50/day"}) as web:
        page = (await web.get("/about", headers=PERSON)).text
    assert link in page
    assert "5 / 1 minute and 50 / 1 day" in page
    assert "192.0.2.1" in page


@pytest.mark.parametrize(
    ("addresses", "words"), [("none", "no addresses"), ("network", "the networks"), ("full", "the addresses of")]
)
async def test_the_page_about_this_server_says_what_its_log_holds(
    client: Clients, addresses: str, words: str
) -> None:
    async with client(ip=PUBLIC_IP, logs={"addresses": addresses}) as web:
        assert f"Its log holds {words}" in text_of((await web.get("/about", headers=PERSON)).text)


async def test_the_language_menu_keeps_what_was_asked_for(client: Clients) -> None:
    async with client(ip=PUBLIC_IP) as web:
        page = (await web.get("/about", headers=PERSON, params={"q": '<"mail">', "lang": "ar"})).text
        assert '<input type="hidden" name="q" value="&lt;&#34;mail&#34;&gt;">' in page
        assert 'name="lang" value=' not in page
        kept = await web.get("/about", headers=PERSON)
    assert 'dir="rtl"' in kept.text


async def test_the_other_family_is_offered_without_scripts_too(client: Clients) -> None:
    origins = ("https://ipv4.ports.example", "https://ipv6.ports.example")
    async with client(ip=PUBLIC_IP, other_family=origins) as web:
        page = (await web.get("/", headers=PERSON)).text
    assert f'data-origins="{" ".join(origins)}"' in page
    for origin in origins:
        assert f'<a href="{origin}/">' in page


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://ipv4.ports.example", True),
        ("http://ports.example", True),
        ("https://ports.example", False),
        ("http://evil.example", False),
        ("null", False),
        ("http://ports.example.evil.example", False),
        ("http://ports.example@evil.example", False),
    ],
)
async def test_only_a_page_of_this_server_may_read_the_visitors_other_address(
    client: Clients, origin: str, allowed: bool
) -> None:
    async with client(ip=PUBLIC_IP, other_family=("https://ipv4.ports.example",)) as web:
        answer = await web.get("/api/v1/me", headers={"origin": origin, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()


async def test_another_address_is_tested_only_with_this_servers_proof_of_it(client: Clients) -> None:
    async with client(**LOCAL) as web:
        data = {"ports": str(NOBODY), "token": web.site.token("127.0.0.2")}
        begun = (await web.post("/tests", headers=SCRIPT, data=data)).json()
        said = await web.site.runs.so_far(begun["run"])
        assert said is not None
        assert said[0].asked is not None
        assert said[0].asked.ip == "127.0.0.2"
        forged = await web.post("/tests", headers=SCRIPT, data={**data, "token": f"x{data['token']}"})
        assert forged.status_code == 403
