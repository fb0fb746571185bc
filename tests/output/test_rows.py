from __future__ import annotations

import socket
from array import array
from decimal import Decimal
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX, Table, pack_address
from portbook.compiled import twin
from portbook.output import rows as reference
from portbook.output.clean import clean, display_width
from portbook.output.data import json_fields
from portbook.output.fields import AddressCells, Cells, EndpointCells, Field, NumberCells, TextCells
from portbook.output.tables import shown_columns

from .random_tables import numbers, packed_addresses, tables, texts

compiled = twin("portbook.output.rows")
needs_twin = pytest.mark.skipif(compiled is None, reason="no compiled twin here")


def loops() -> list[ModuleType]:
    return [reference] if compiled is None else [reference, compiled]


@pytest.fixture(params=loops(), ids=lambda module: module.__name__.rpartition(".")[2])
def loop(request: pytest.FixtureRequest) -> ModuleType:
    module = request.param
    assert isinstance(module, ModuleType)
    return module


@st.composite
def fields(draw: st.DrawFn, length: int) -> Field:
    packed = bytearray(b"".join(draw(packed_addresses()) for _ in range(length)))
    absent = draw(st.sampled_from((b"", b"-", b"null")))
    cells: Cells
    match draw(st.sampled_from(("text", "number", "address", "endpoint"))):
        case "text":
            held = [clean(text) for text in draw(st.lists(texts, min_size=1, max_size=5))]
            code = draw(st.sampled_from("bBhHiIqQ"))
            codes = array(code, draw(st.lists(st.integers(0, len(held) - 1), min_size=length, max_size=length)))
            cells = TextCells.of(codes, ((text.encode(), display_width(text)) for text in held))
        case "number":
            vector = draw(numbers(length, 18))
            cells = NumberCells(vector.values, vector.null, vector.decimals, absent)
        case "address":
            cells = AddressCells(packed, draw(st.sampled_from((b"", b'"'))), absent)
        case _:
            ports = draw(numbers(length, 0))
            cells = EndpointCells(packed, ports.values, ports.null, absent)
    return Field(cells, draw(st.binary(max_size=4)), draw(st.integers(0, 60)), draw(st.booleans()))


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[Field], array[int] | None, int, int, bytes]:
    length = draw(st.integers(0, 8))
    chosen = draw(st.lists(fields(length), min_size=1, max_size=5))
    row = st.integers(0, max(length - 1, 0))
    some = st.lists(row, max_size=12 if length else 0).map(lambda rows: array("I", rows))
    order = draw(st.one_of(st.none(), some))
    return chosen, order, draw(st.integers(0, 14)), draw(st.integers(0, 14)), draw(st.binary(max_size=3))


@needs_twin
@given(lines())
def test_the_twins_are_equal(given_lines: tuple[list[Field], array[int] | None, int, int, bytes]) -> None:
    assert compiled is not None
    chosen, order, start, stop, end = given_lines
    assert compiled.render(chosen, order, start, stop, end) == reference.render(chosen, order, start, stop, end)
    assert compiled.measure(chosen, order) == reference.measure(chosen, order)


@needs_twin
@given(tables())
def test_the_twins_are_equal_on_tables(table: Table) -> None:
    assert compiled is not None
    for chosen in (json_fields(table), [Field(column.cells) for column in shown_columns(table, str)]):
        assert compiled.render(chosen, table.order, 0, 99, b"\n") == reference.render(
            chosen, table.order, 0, 99, b"\n"
        )
        assert compiled.measure(chosen, table.order) == reference.measure(chosen, table.order)


@given(packed_addresses())
def test_addresses_are_written_as_inet_ntop_writes_them(packed: bytes) -> None:
    if packed == ABSENT_ADDRESS:
        expected = "-"
    elif packed.startswith(MAPPED_PREFIX):
        expected = socket.inet_ntop(socket.AF_INET, packed[12:])
    else:
        expected = socket.inet_ntop(socket.AF_INET6, packed)
    for module in loops():
        field = Field(AddressCells(bytearray(packed), b"", b"-"))
        assert module.render([field], None, 0, 1, b"").decode() == expected


@pytest.mark.parametrize("mask", range(256))
def test_every_run_of_zeros_is_shortened_as_inet_ntop_does(mask: int, loop: ModuleType) -> None:
    packed = b"".join((0x1A0 if mask >> place & 1 else 0).to_bytes(2, "big") for place in range(8))
    text = loop.render([Field(AddressCells(bytearray(packed)))], None, 0, 1, b"").decode()
    assert text == socket.inet_ntop(socket.AF_INET6, packed)


@given(st.data())
def test_numbers_are_exact(data: st.DataObject) -> None:
    vector = data.draw(numbers(3, 18))
    for module in loops():
        cells = NumberCells(vector.values, vector.null, vector.decimals, b"null")
        written = module.render([Field(cells)], None, 0, 3, b"\n").decode().split()
        for row, text in enumerate(written):
            if vector.values[row] == vector.null:
                assert text == "null"
                continue
            assert Decimal(text) == Decimal(vector.values[row]).scaleb(-vector.decimals)
            assert (float(text) if vector.decimals else int(text)) == vector[row]
            if vector.decimals:
                assert text.endswith(".0") or not text.endswith("0")


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("127.0.0.1", 80, "127.0.0.1:80"),
        ("::1", 65535, "[::1]:65535"),
        ("::", 22, "[::]:22"),
        ("0.0.0.0", 0, "0.0.0.0:*"),
        ("fe80::1", 0, "[fe80::1]:*"),
        (None, 53, "*:53"),
        (None, 0, "-"),
    ],
)
def test_an_endpoint(address: str | None, port: int, expected: str, loop: ModuleType) -> None:
    packed = ABSENT_ADDRESS if address is None else pack_address(address)
    field = Field(EndpointCells(bytearray(packed), array("H", [port]), 0, b"-"))
    assert loop.render([field], None, 0, 1, b"").decode() == expected
    assert loop.measure([field], None) == [len(expected)]


def test_cells_are_filled_to_their_display_width(loop: ModuleType) -> None:
    codes = array("B", [0, 1])
    cells = TextCells.of(codes, [("日本".encode(), 4), (b"a", 1)])
    left = Field(cells, b"|", 5)
    right = Field(cells, b"|", 5, right=True)
    narrow = Field(cells, b"|", 1)
    written = loop.render([left, right, narrow], None, 0, 2, b"\n").decode()
    assert written == "|日本 | 日本|日本\n|a    |    a|a\n"


def test_what_does_not_exist_is_refused(loop: ModuleType) -> None:
    three = array("B", [0, 1, 2])
    two_texts = [(b"a", 1), (b"b", 1)]
    with pytest.raises(IndexError):
        loop.render([Field(TextCells.of(three, two_texts))], None, 0, 3, b"")
    with pytest.raises(IndexError):
        loop.measure([Field(TextCells.of(three, two_texts))], None)
    with pytest.raises(IndexError):
        loop.render([Field(TextCells.of(array("b", [-1]), two_texts))], None, 0, 1, b"")
    with pytest.raises(IndexError):
        loop.render([Field(NumberCells(three))], array("I", [0, 3]), 0, 2, b"")
    with pytest.raises(IndexError):
        loop.measure([Field(AddressCells(bytearray(32))), Field(NumberCells(three))], array("I", [2]))
    with pytest.raises(ValueError, match="19"):
        loop.render([Field(NumberCells(three, None, 19))], None, 0, 3, b"")


def test_rows_beyond_the_end_are_no_lines(loop: ModuleType) -> None:
    field = Field(NumberCells(array("I", [7, 8])))
    assert loop.render([field], None, 1, 100, b";") == b"8;"
    assert loop.render([field], None, 2, 100, b";") == b""
    assert loop.render([field], array("I", [1, 0, 1]), 1, 100, b";") == b"7;8;"
