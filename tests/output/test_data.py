from __future__ import annotations

import csv
import io
import json
import unicodedata
from array import array

import pytest
from hypothesis import given

from portbook.columns import Coded, Column, Numbers, Table
from portbook.output.clean import clean
from portbook.output.data import csv_lines, json_array, json_lines, json_value
from portbook.output.tables import CHUNK

from .random_tables import HOSTILE, faithful, tables

NAME = Column("process", "text", "Process", foreign=True)


def records(table: Table) -> list[dict[str, object]]:
    return [
        {column.name: faithful(vector[row]) for column, vector in zip(table.columns, table.vectors, strict=True)}
        for row in table.shown()
    ]


@given(tables())
def test_json_gives_every_value_back(table: Table) -> None:
    assert json.loads(b"".join(json_array(table))) == records(table)
    lines = b"".join(json_lines(table)).decode().split("\n")[:-1]
    assert [json.loads(line) for line in lines] == records(table)


@given(tables())
def test_json_cannot_act_on_a_terminal(table: Table) -> None:
    text = b"".join(json_array(table)).decode().replace("\n", "")
    assert {unicodedata.category(character) for character in text}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


def test_an_array_has_one_record_a_line() -> None:
    table = Table.from_rows((NAME,), [("a",), (None,), ("b\nc",)])
    assert b"".join(json_array(table)) == b'[\n{"process":"a"},\n{"process":null},\n{"process":"b\\u000ac"}\n]\n'
    assert b"".join(json_array(Table.from_rows((NAME,), []))) == b"[]\n"


@pytest.mark.parametrize("count", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_pieces_join_into_one_array(count: int) -> None:
    table = Table((Column("port", "integer", "Port"),), (Numbers(array("I", range(count))),))
    assert json.loads(b"".join(json_array(table))) == [{"port": number} for number in range(count)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (1.5, "1.5"),
        ((1, 2), "[1,2]"),
        ((), "[]"),
        ('"\\', '"\\"\\\\"'),
        ("\x00\x1b\x7f\x9b", '"\\u0000\\u001b\\u007f\\u009b"'),
        ("\u2028\u202e", '"\\u2028\\u202e"'),
        ("\U000e0041", '"\\udb40\\udc41"'),
        ("\udcff", '"\\\\udcff"'),
        ("é日🐍", '"é日🐍"'),
    ],
)
def test_json_values(value: object, expected: str) -> None:
    assert json_value(value) == expected


def csv_cell(value: object, column: Column) -> str:
    """What a reader of CSV gets for a value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return ("'" if column.foreign and text[:1] in tuple("=+-@\t\r\n") else "") + clean(text)


@given(tables())
def test_csv_gives_every_value_back(table: Table) -> None:
    text = b"".join(csv_lines(table)).decode()
    assert text.count("\n") == text.count("\r\n") == len(table) + 1
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert lines[0] == [column.name for column in table.columns]
    for line, row in zip(lines[1:], table.shown(), strict=True):
        for cell, column, vector in zip(line, table.columns, table.vectors, strict=True):
            value = vector[row]
            if isinstance(value, float) and not isinstance(vector, Coded):
                assert float(cell) == value
            else:
                assert cell == csv_cell(value, column)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_spreadsheet_runs_no_foreign_text(text: str) -> None:
    table = Table((NAME, Column("flags", "text", "Flags")), (Coded.of([text]), Coded.of(["-S"])))
    line = b"".join(csv_lines(table)).decode().split("\r\n")[1]
    assert line.lstrip('"')[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert line.endswith(",-S")


def test_csv_tells_empty_text_from_none() -> None:
    two = Table.from_rows((NAME, Column("b", "text", "B")), [("", None), (None, 'say "a, b"')])
    assert b"".join(csv_lines(two)) == b'process,b\r\n"",\r\n,"say ""a, b"""\r\n'
    one = Table.from_rows((NAME,), [(None,), ("x",)])
    assert b"".join(csv_lines(one)) == b'process\r\n""\r\nx\r\n'


def test_values_that_no_row_shows_are_not_written() -> None:
    table = Table((NAME,), (Coded(array("I", [0, 1, 2, 3]), ["a", "b", "c", "d"]),), array("I", [2, 0]))
    assert b"".join(json_lines(table)) == b'{"process":"c"}\n{"process":"a"}\n'
