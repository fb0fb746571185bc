"""Random tables of every kind of vector, and texts that mean harm."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX, Addresses, Coded, Column, Numbers, Table, Vector

if TYPE_CHECKING:
    from portbook.columns import ColumnType, Unit

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "line\nbreak\r\n",
    'quo"te, comma; semicolon',
    "nul\x00byte",
    "\udcff\ud800 lone",
    "\u202egnp.exe\u2066\u200b",
    "\u2028\u2029\x85\x9b31m\x7f",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "-1+1",
    "+1",
    "\tTAB",
    "\rCR",
    "back\\slash\\n",
    "日本語 e\u0301 🐍",
    "",
    " padded ",
    "\U000e0041tag",
)

INTEGER_CODES = "bBhHiIlLqQ"

texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=12))

VALUES: dict[ColumnType, st.SearchStrategy[object]] = {
    "text": texts,
    "integer": st.integers(-(2**63), 2**64 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
    "boolean": st.booleans(),
    "address": st.ip_addresses(v=4).map(str),
    "integers": st.lists(st.integers(0, 2**32), max_size=3).map(tuple),
    "texts": st.lists(texts, max_size=3).map(tuple),
}


@st.composite
def packed_addresses(draw: st.DrawFn) -> bytes:
    """Return 16 bytes of any address: mapped, compatible, with runs of zeros at any place, or absent."""
    kind = draw(st.sampled_from(("mapped", "absent", "groups", "compatible")))
    if kind == "absent":
        return ABSENT_ADDRESS
    if kind == "mapped":
        return MAPPED_PREFIX + draw(st.binary(min_size=4, max_size=4))
    if kind == "compatible":
        return bytes(12) + draw(st.binary(min_size=4, max_size=4))
    group = st.one_of(st.just(0), st.just(0), st.integers(0, 0xFFFF))
    return b"".join(draw(group).to_bytes(2, "big") for _ in range(8))


@st.composite
def numbers(draw: st.DrawFn, rows: int, most_decimals: int) -> Numbers:
    code = draw(st.sampled_from(INTEGER_CODES))
    bits = array(code).itemsize * 8
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if code.islower() else (0, (1 << bits) - 1)
    value = st.one_of(st.integers(low, high), st.sampled_from((low, high, 0)))
    values = array(code, draw(st.lists(value, min_size=rows, max_size=rows)))
    null = draw(st.one_of(st.none(), st.sampled_from((low, high, 0, -1, 1 << 64)), value))
    return Numbers(values, null, draw(st.integers(0, most_decimals)))


@st.composite
def vectors(draw: st.DrawFn, column: Column, rows: int) -> Vector:
    if column.type == "address" and draw(st.booleans()):
        return Addresses(bytearray(b"".join(draw(packed_addresses()) for _ in range(rows))))
    if column.type == "integer" and draw(st.booleans()):
        return draw(numbers(rows, 0))
    if column.type == "number" and draw(st.booleans()):
        return draw(numbers(rows, 18))
    value = st.one_of(st.none(), VALUES[column.type])
    return Coded.of(draw(st.lists(value, min_size=rows, max_size=rows)))


PAIR = (Column("local_ip", "address", "Local address"), Column("local_port", "integer", "Local port"))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(0, 12))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    columns: list[Column] = []
    for place, kind in enumerate(kinds):
        unit: Unit = draw(st.sampled_from(("", "bytes", "epoch", "seconds"))) if kind in ("integer", "number") else ""
        foreign = kind in ("text", "texts") and draw(st.booleans())
        columns.append(Column(f"column_{place}", kind, f"Heading {place}", unit, foreign))
    if draw(st.booleans()):
        columns.extend(PAIR)
    held = tuple(draw(vectors(column, rows)) for column in columns)
    order = draw(
        st.one_of(st.none(), st.permutations(range(rows)).map(lambda some: array("I", some[: rows // 2 + 1])))
    )
    return Table(tuple(columns), held, order)


def visible(text: str) -> str:
    """Return the text with its lone surrogates as every format that cannot hold them writes them."""
    return "".join(c if not 0xD800 <= ord(c) < 0xE000 else f"\\u{ord(c):04x}" for c in text)


def faithful(value: object) -> object:
    """Return what a data format gives back for a value: lists for tuples, visible surrogates."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, tuple):
        return [faithful(item) for item in value]
    return value
