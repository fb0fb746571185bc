from __future__ import annotations

import os
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings

from portbook.columns import ABSENT_ADDRESS, Addresses, Coded, Column, Numbers, Table, pack_address
from portbook.errors import BadQuestion, Unavailable
from portbook.output.query import where

from .random_tables import HOSTILE, tables

COLUMNS = (
    Column("state", "text", "State"),
    Column("remote_ip", "address", "Remote address"),
    Column("remote_port", "integer", "Remote port"),
    Column("scope", "text", "Scope"),
    Column("pids", "integers", "PIDs"),
    Column("process", "text", "Process", foreign=True),
    Column("started", "number", "Started", "epoch"),
    Column("held", "boolean", "Held"),
    Column("cookie", "integer", "Cookie"),
)


def table() -> Table:
    packed = [pack_address("192.0.2.1"), pack_address("2001:db8::1"), ABSENT_ADDRESS, pack_address("10.1.2.3")]
    return Table(
        COLUMNS,
        (
            Coded(array("B", [0, 0, 1, 0]), ["ESTABLISHED", "LISTEN"]),
            Addresses(bytearray(b"".join(packed))),
            Numbers(array("H", [443, 80, 0, 443]), 0),
            Coded.of(["public", "public", "any", "private"]),
            Coded.of([(12,), (12, 13), None, ()]),
            Coded.of(["python3", "it's", None, "nginx"]),
            Numbers(array("Q", [1000, 2500, 0, 3000]), 0, 3),
            Coded.of([True, False, None, True]),
            Numbers(array("Q", [2**64 - 2, 1, 2, 3]), 2**64 - 1),
        ),
    )


def met(condition: str) -> list[int]:
    return list(where(table(), condition).shown())


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("remote_port = 443 and state = 'ESTABLISHED'", [0, 3]),
        ("list_contains(pids, 12)", [0, 1]),
        ("process like 'py%'", [0]),
        ("process = 'it''s'", [1]),
        ("scope in ('any', 'public')", [0, 1, 2]),
        ("remote_ip is null", [2]),
        ("remote_ip like '10.%'", [3]),
        ("REMOTE_PORT < 100", [1]),
        ('"remote_port" between 80 and 443', [0, 1, 3]),
        ("started > 2.25", [1, 3]),
        ("held", [0, 3]),
        ("not held or held is null", [1, 2]),
        ("cookie = 18446744073709551614", [0]),
        ("true", [0, 1, 2, 3]),
        ("1 = 2", []),
        ("remote_port = 80 -- the web", [1]),
        ("remote_port = 80 /* the web */", [1]),
        ("COLUMNS('remote_p.*') = 80", [1]),
        ("len(pids) * 1 = 2", [1]),
        ("remote_port = (select max(port) from (values (80), (22)) as others(port))", [1]),
    ],
)
def test_conditions(condition: str, rows: list[int]) -> None:
    assert met(condition) == rows


def test_the_order_of_the_rows_is_kept() -> None:
    ordered = table().ordered([3, 1, 0])
    assert list(where(ordered, "remote_port = 443").shown()) == [3, 0]
    assert list(where(ordered, "true").shown()) == [3, 1, 0]


def test_what_was_not_shown_is_not_asked_for() -> None:
    assert list(where(table().ordered([1]), "remote_port = 443").shown()) == []


def test_the_rest_of_the_table_is_kept() -> None:
    given = table()
    given.complete = False
    answer = where(given, "remote_port = 80")
    assert answer.columns == COLUMNS
    assert not answer.complete
    assert next(iter(answer)).process == "it's"


def test_a_table_without_rows() -> None:
    assert len(where(table().ordered([]), "remote_port = 80")) == 0
    assert len(where(Table.from_rows(COLUMNS, []), "remote_port = 80")) == 0


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("no_such = 1", "no_such"),
        ("remote_port =", "syntax"),
        ("remote_port = = 1", "syntax"),
        ("", "."),
        ("   ", "."),
        ("-- nothing", "."),
        ("remote_port", "neither true nor false"),
        ("'abc'", "neither true nor false"),
        ("count(*) > 1", "."),
        ("true, false", "."),
        ("state > ", "."),
        ("process like 5", "."),
        ("remote_port = 'https'", "."),
        ("true \x1b[2J", "."),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(condition: str, reason: str) -> None:
    with pytest.raises(BadQuestion, match=reason) as refusal:
        met(condition)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "condition",
    [
        "true) union select (1",
        "true) or (true",
        "true) order by (1",
        "true) limit (1",
        "true) -- ",
        "true) /*",
        "true /*",
        "true; select 1",
        "true;",
        "true); drop table rows; select (true",
        "true from rows",
        "true order by 1",
        "true limit 1",
        "true as other",
        "true); set enable_external_access = true; select (true",
        "exists(delete from rows)",
    ],
)
def test_no_other_clause_or_statement_gets_in(condition: str) -> None:
    with pytest.raises(BadQuestion):
        met(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "(select count(*) from read_text('{path}')) > 0",
        "(select count(*) from read_blob('{path}')) > 0",
        "(select count(*) from read_csv('{path}')) > 0",
        "(select count(*) from read_json('{path}')) > 0",
        "exists(select * from '{path}')",
        "exists(select * from glob('{folder}/*'))",
        "exists(select * from query('copy (select 1) to ''{folder}/new'''))",
        "exists(select * from sniff_csv('{path}'))",
        "exists(select * from secret_of_python)",
    ],
)
def test_no_file_and_no_variable_is_within_reach(condition: str, tmp_path: Path) -> None:
    secret_of_python = Path(tmp_path / "secret.csv")
    secret_of_python.write_text("a\n1\n")
    with pytest.raises(BadQuestion):
        met(condition.format(path=secret_of_python, folder=tmp_path))
    assert list(tmp_path.iterdir()) == [secret_of_python]


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert met("remote_port = 80") == [1]
    with pytest.raises(BadQuestion):
        met("no_such = 1")
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path / "absent"))
    with pytest.raises(Unavailable, match="No such file"):
        met("remote_port = 80")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_compared_as_it_is(text: str) -> None:
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        return
    given = Table.from_rows((COLUMNS[5],), [("other",), (text,)])
    quoted = " || ".join(f"chr({ord(character)})" for character in text) or "''"
    assert list(where(given, f"process = {quoted}").shown()) == [1]


@settings(max_examples=25, deadline=None)
@given(tables())
def test_every_table_can_be_asked(table: Table) -> None:
    for place, column in enumerate(table.columns):
        values = [table.vectors[place][row] for row in table.shown()]
        if any(isinstance(value, int) and value < -(2**63) for value in values):
            continue
        if any(isinstance(value, int) and value < 0 for value in values) and any(
            isinstance(value, int) and value >= 2**63 for value in values
        ):
            continue
        expected = [row for row in table.shown() if table.vectors[place][row] is None]
        assert list(where(table, f"{column.name} is null").shown()) == expected
