"""The registry's pages: what a question finds, in every language, and that no question breaks them."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from portbook.errors import BadQuestion
from portbook.locale import page_languages
from portbook.registry.about import abouts
from portbook.registry.lookup import open_registry
from portbook.web.registry_pages import MOST_CHARACTERS, MOST_ROWS, found

from .conftest import Clients, visiting

BROWSER = {"accept": "text/html", "accept-language": "en", "sec-fetch-site": "none"}
OFTEN: dict[str, Any] = {"quotas": {"requests": "1000000/minute", "network_requests": "1000000/minute"}}
LOCAL: dict[str, Any] = {"mode": "local", "ip": "127.0.0.1", "base_url": "http://localhost", **OFTEN}
LANGUAGES = page_languages()
REGISTRY = open_registry()


def rows_in(page: str) -> list[int]:
    """Return the ports of the rows of a page, in their order."""
    return [int(port) for port in re.findall(r'<th scope="row">(?:<a href="/port/\d+">)?(\d+)', page)]


def ports_of(query: str, language: str = "en") -> list[int]:
    return [row.port for row in found(REGISTRY, query, language)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_told_in_every_language(client: Clients, language: str) -> None:
    stories = abouts(language)
    with visiting(client(**LOCAL)) as ask:
        for path in ("/ports", "/ports?q=mail", "/ports?q=0-30", "/ports?q=70000", "/port/443", "/port/49151"):
            answer = ask("GET", path + ("&" if "?" in path else "?") + f"lang={language}", headers=BROWSER)
            assert answer.status_code == 200
            assert f'lang="{language.replace("_", "-")}" dir="{LANGUAGES[language]}"' in answer.text
        main = ask("GET", f"/ports?lang={language}", headers=BROWSER).text
        assert all(story.purpose in html.unescape(main) for story in stories.values())
        told = html.unescape(ask("GET", f"/port/22?lang={language}", headers=BROWSER).text)
        assert all(text in told for text in stories[22])


@pytest.mark.parametrize(
    ("query", "ports"),
    [
        ("443", {443}),
        (":443", {443}),
        ("53/udp", {53}),
        ("80, 443;22", {22, 80, 443}),
        ("80-82", {80, 81, 82}),
        ("80 – 82", {80, 81, 82}),
        ("٤٤٣", {443}),
        ("۸۰", {80}),
        ("４４３", {443}),
        ("0", {0}),
        ("65535", {65535}),
    ],
)
def test_numbers_are_looked_up_as_people_write_them(query: str, ports: set[int]) -> None:
    assert set(ports_of(query)) == ports


@pytest.mark.parametrize(
    ("query", "language", "first"),
    [("https", "en", 443), ("HTTPS", "en", 443), ("пошта", "uk", 25), ("chiffrée", "fr", 22), ("kafka", "en", 9092)],
)
def test_names_and_words_are_looked_up_in_the_reader_s_language(query: str, language: str, first: int) -> None:
    assert ports_of(query, language)[0] == first


@pytest.mark.parametrize(
    "query", ["65536", "-1", "+1", "1e9", "0x50", "1.5", "9" * 200, "80-65536", "90-80", "22 0x50"]
)
def test_what_is_no_port_is_said_so(client: Clients, query: str) -> None:
    with pytest.raises(BadQuestion):
        found(REGISTRY, query, "en")
    with visiting(client(**LOCAL)) as ask:
        answer = ask("GET", f"/ports?q={quote(query)}", headers=BROWSER)
        assert answer.status_code == 200
        assert "is no port; ports go from 0 to 65535" in answer.text
        assert not rows_in(answer.text)


def test_a_question_that_nobody_can_mean_is_refused_in_words() -> None:
    found(REGISTRY, "x" * MOST_CHARACTERS, "en")
    with pytest.raises(BadQuestion, match="too long"):
        found(REGISTRY, "x" * (MOST_CHARACTERS + 1), "en")


@pytest.mark.parametrize("query", ["%", "_", "'", '"', "\\", "*", '"*"', "(", "^", "{}", "\0", "-", ","])
def test_signs_are_no_operators(client: Clients, query: str) -> None:
    with visiting(client(**LOCAL)) as ask:
        answer = ask("GET", f"/ports?q={quote(query)}", headers=BROWSER)
        assert answer.status_code == 200
        assert not rows_in(answer.text)
        assert f'Nothing is known of “<bdi class="name">{query}</bdi>”' in html.unescape(answer.text)


def test_as_many_rows_are_shown_as_a_page_can_hold(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        for query in ("0-65535", "1000-2000", "49152-65535", " ".join(f"{port}-65535" for port in range(20))):
            page = ask("GET", f"/ports?q={quote(query)}", headers=BROWSER).text
            assert len(rows_in(page)) == MOST_ROWS
            assert f"More than {MOST_ROWS} entries" in page
        page = ask("GET", "/ports?q=100-120", headers=BROWSER).text
        assert set(rows_in(page)) == set(range(100, 121))
        assert "More than" not in page


def test_a_script_gets_the_rows_alone(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        part = ask("GET", "/ports?q=imap&part=1", headers=BROWSER).text
        assert rows_in(part) == rows_in(ask("GET", "/ports?q=imap", headers=BROWSER).text) != []
        assert "<html" not in part
        assert part.count('role="status"') == 1


def test_what_is_asked_is_shown_as_text(client: Clients) -> None:
    wild = '"><script>alert(1)</script>'
    with visiting(client(**LOCAL)) as ask:
        page = ask("GET", f"/ports?q={quote(wild + ' zzqq')}", headers=BROWSER).text
        assert "<script>alert" not in page
        assert escape(wild) in page


def test_a_port_s_page_has_its_story_its_services_and_its_neighbours(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        page = ask("GET", "/port/514", headers=BROWSER).text
        assert {"shell", "syslog"} <= set(re.findall(r"<bdi>([^<]+)</bdi>", page))
        assert 'href="/port/513"' in page
        assert 'href="/port/515"' in page
        assert 'href="https://www.rfc-editor.org/rfc/rfc5424"' in page
        assert abouts("en")[514].begins in html.unescape(page)


@pytest.mark.parametrize(("port", "there", "missing"), [(0, 1, -1), (65535, 65534, 65536)])
def test_the_first_and_the_last_port_have_one_neighbour(client: Clients, port: int, there: int, missing: int) -> None:
    with visiting(client(**LOCAL)) as ask:
        page = ask("GET", f"/port/{port}", headers=BROWSER).text
        assert f'href="/port/{there}"' in page
        assert f'href="/port/{missing}"' not in page


@pytest.mark.parametrize("port", ["65536", "-1", "1e9", "0x50", "abc", "9" * 5000, "%00", "٤"])
def test_a_page_of_no_port_is_refused_in_words(client: Clients, port: str) -> None:
    with visiting(client(**LOCAL)) as ask:
        answer = ask("GET", f"/port/{port}", headers=BROWSER)
        assert answer.status_code == 400
        assert "ports go from 0 to 65535" in answer.text


def test_the_form_tests_this_port_by_its_usual_transport(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        for port, usual in ((443, "tcp"), (123, "udp"), (53, "tcp"), (514, "udp"), (61000, "tcp")):
            page = ask("GET", f"/port/{port}", headers=BROWSER).text
            assert f'name="ports" value="{port}"' in page
            assert re.findall(r'value="(tcp|udp)" checked', page) == [usual]


def test_where_nothing_may_be_tested_the_page_says_why(client: Clients) -> None:
    with visiting(client(ip="203.0.113.7", never_test=[25], **OFTEN)) as ask:
        for path in ("/port/443", "/port/25"):
            page = ask("GET", path, headers=BROWSER).text
            assert 'action="/tests"' not in page
        assert "the operator of this server does not test these ports" in page


def test_strangers_are_not_told_what_this_host_does(client: Clients) -> None:
    with visiting(client(ip="198.51.100.9", **OFTEN)) as ask:
        for path in ("/ports?q=443", "/port/443"):
            page = ask("GET", path, headers=BROWSER).text
            assert not re.search("LISTEN|ESTABLISHED|ip_local|Privileged|Kept free", page)


def test_no_question_breaks_the_page(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:

        @settings(max_examples=60, deadline=None)
        @given(st.text(max_size=300) | st.from_regex(r"[-+:0-9xe.,/ a-z%_'\"]{1,30}", fullmatch=True))
        def asked(query: str) -> None:
            encoded = quote(query.encode("utf-8", "replace"))
            for path in (f"/ports?q={encoded}", f"/ports?q={encoded}&part=1"):
                answer = ask("GET", path, headers=BROWSER)
                assert answer.status_code == 200
                assert len(rows_in(answer.text)) <= MOST_ROWS

        asked()


def test_ten_thousand_characters_are_answered(client: Clients) -> None:
    with visiting(client(**LOCAL)) as ask:
        for query in ("a" * 10_000, "7" * 10_000, "1," * 5_000, "﷽" * 1_000):
            answer = ask("GET", f"/ports?q={quote(query)}", headers=BROWSER)
            assert answer.status_code == 200
            assert "too long" in answer.text
