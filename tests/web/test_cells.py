from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.columns import Column, Table
from portbook.conversation import COLUMNS as TALK_COLUMNS
from portbook.socket import COLUMNS, LISTENER_COLUMNS
from portbook.web.cells import Head, cells, size, value_text
from portbook.web.languages import languages

ENGLISH = languages()["en"]
DECLARED: dict[str, Column] = {column.name: column for column in (*COLUMNS, *LISTENER_COLUMNS, *TALK_COLUMNS)}


def table(names: list[str], *rows: tuple[object, ...]) -> Table:
    return Table.from_rows(tuple(DECLARED[name] for name in names), rows)


def test_an_address_and_its_port_are_one_column() -> None:
    names = ["transport", "client_ip", "client_port", "server_ip", "server_port"]
    shown = cells(table(names, ("tcp", "192.0.2.1", 40000, "2001:db8::1", 443)), ENGLISH)
    assert shown.names == ("transport", "client", "server")
    assert shown.heads == (Head("Transport", "text"), Head("Client", "address"), Head("Server", "address"))
    assert shown.rows == (("tcp", "192.0.2.1:40000", "[2001:db8::1]:443"),)


def test_a_port_without_an_address_beside_it_stays_a_number() -> None:
    shown = cells(table(["local_port"], (65535,)), ENGLISH)
    assert shown.heads == (Head("Port", "number"),)
    assert shown.rows == (("65535",),)


def test_a_column_that_says_nothing_may_be_spared() -> None:
    given_table = table(["state", "unit", "container"], ("LISTEN", None, None), ("CLOSED", "a.service", None))
    shown = cells(given_table.limited(1), ENGLISH, ("unit",))
    assert shown.names == ("state", "container")
    assert shown.rows == (("LISTEN", "-"),)
    assert cells(given_table, ENGLISH, ("unit",)).names == ("state", "unit", "container")
    assert cells(given_table.limited(0), ENGLISH).rows == ()


@pytest.mark.parametrize(
    ("name", "value", "english", "french"),
    [
        ("client_payload", 0, "0 bytes", "0 octet"),
        ("client_payload", 999, "999 bytes", "999 octets"),
        ("client_payload", 12_345, "12.3 kB", "12,3\xa0ko"),
        ("client_payload", 999_950, "1 MB", "1\xa0Mo"),
        ("client_rate", 1_500_000, "1.5 MB/s", "1,5\xa0Mo/s"),
        ("rtt_ms", 0.042, "0.04 ms", "0,04\xa0ms"),
        ("rtt_ms", 123.4, "123 ms", "123\xa0ms"),
        ("conversations", 12_345, "12,345", "12\u202f345"),
        ("local_port", 12_345, "12345", "12345"),
        ("pids", (10_001, 2), "10001, 2", "10001, 2"),
        ("started", 0.5, "Jan 1, 1970, 12:00:00\u202fAM", "1 janv. 1970, 00:00:00"),
        ("started", 1e300, "1e+300", "1e+300"),
        ("process", None, "-", "-"),
        ("process", "a\nb\u202e", "a b\\u202e", "a b\\u202e"),
    ],
)
def test_each_language_writes_its_own_way(name: str, value: object, english: str, french: str) -> None:
    assert value_text(value, DECLARED[name], ENGLISH) == english
    # What French is set with between a number and its unit differs from one issue of Unicode's data to the next.
    spaced = str.maketrans("\xa0\u202f", "  ")
    assert value_text(value, DECLARED[name], languages()["fr"]).translate(spaced) == french.translate(spaced)


@given(st.integers(0, 2**64), st.sampled_from(sorted(languages())))
def test_every_size_is_written_in_every_language(value: int, code: str) -> None:
    shown = size(value, languages()[code])
    assert any(character.isdecimal() for character in shown)


@given(st.text(max_size=2000))
def test_foreign_text_is_short_and_shows_what_it_holds(text: str) -> None:
    shown = value_text(text, DECLARED["command"], ENGLISH)
    assert shown.isprintable()
    assert len(shown) <= 400 * len("\\U0010ffff")
