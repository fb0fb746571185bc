"""A table as data: JSON (RFC 8259), one object a line, and comma-separated values (RFC 4180), both in UTF-8.

Numbers are exact, absence is null or an empty cell, and no text can act on the terminal that may show it. How
the pieces reach a file is left to formats.py.
"""

from __future__ import annotations

from functools import partial

from portbook.columns import Addresses, Numbers
from portbook.compiled import best
from portbook.output.clean import clean
from portbook.output.fields import AddressCells, Field, NumberCells, TextCells
from portbook.output.tables import CHUNK, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Sequence

    from portbook.columns import Column, Table
    from portbook.output.fields import Cells


def json_lines(table: Table) -> Iterator[bytes]:
    """Yield the table as newline-delimited JSON in pieces: one object a line, null for what is absent."""
    return _lines(json_fields(table), table, b"}\n")


def json_array(table: Table) -> Iterator[bytes]:
    """Yield the table as one JSON array in pieces, one object a line inside."""
    if not len(table):
        yield b"[]\n"
        return
    yield b"["
    begin = b"\n"
    for piece in _lines(json_fields(table), table, b"},\n"):
        yield begin + piece[:-2]
        begin = b",\n"
    yield b"\n]\n"


def csv_lines(table: Table) -> Iterator[bytes]:
    r"""Yield the table as comma-separated values (RFC 4180, lines end in CR LF) in pieces, names first.

    An absent value is an empty cell, a list its items joined by a space. CSV has no escapes of its own, so
    what could act on a terminal is written as in a table (\x1b, \n), and a record is always one line. Text of
    a foreign column gets an apostrophe before it when it begins with one of = + - @, a tab or an end of line:
    a spreadsheet would run it as a formula.
    """
    yield ",".join(column.name for column in table.columns).encode() + b"\r\n"
    # A line with nothing on it would be no record at all.
    absent = b'""' if len(table.columns) == 1 else b""
    fields = [
        Field(
            _cells(table, position, absent, b"", partial(_csv_value, column, absent)),
            b"," if position else b"",
        )
        for position, column in enumerate(table.columns)
    ]
    yield from _lines(fields, table, b"\r\n")


def json_fields(table: Table) -> list[Field]:
    """Return the fields of a JSON object without its closing brace."""
    return [
        Field(
            _cells(table, position, b"null", b'"', _json_cell),
            f'{"," if position else "{"}"{column.name}":'.encode(),
        )
        for position, column in enumerate(table.columns)
    ]


def json_value(value: object) -> str:
    r"""Return one value as JSON; text in quotes, a tuple or list as an array.

    What could act on a terminal is escaped (\u001b, \u202e), other letters stay. A lone surrogate, which
    UTF-8 cannot hold and readers refuse, becomes the visible text \udcff.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return "[" + ",".join(map(json_value, value)) + "]"
    text = str(value)
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_json_character, text)) + '"'


def _json_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return f"\\\\u{code:04x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _json_cell(value: object) -> bytes:
    return json_value(value).encode()


def _csv_value(column: Column, absent: bytes, value: object) -> bytes:
    if value is None:
        return absent
    if isinstance(value, bool):
        return b"true" if value else b"false"
    text = " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    guard = "'" if column.foreign and text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else ""
    text = guard + clean(text)
    # An empty text is told from an absent value by its quotes.
    if not text or '"' in text or "," in text or text != text.strip():
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()


def _cells(table: Table, position: int, absent: bytes, quote: bytes, encoded: Callable[[object], bytes]) -> Cells:
    vector = table.vectors[position]
    if isinstance(vector, Addresses):
        return AddressCells(vector.packed, quote, absent)
    if isinstance(vector, Numbers):
        return NumberCells(vector.values, vector.null, vector.decimals, absent)
    return TextCells.of(vector.codes, ((encoded(value), 0) for value in wanted(vector, table.order)))


def _lines(fields: Sequence[Field], table: Table, end: bytes) -> Iterator[bytes]:
    loop = best("portbook.output.rows")
    rows: array[int] | None = table.order
    for start in range(0, len(table), CHUNK):
        yield loop.render(fields, rows, start, start + CHUNK, end)
