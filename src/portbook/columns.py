"""How a column is declared, and how many rows are held.

A column has one name, one type and one unit, here and nowhere else; every view reads its declaration. A table
of many rows is one vector for each column, never an object for each row. What the columns of a given table
are is declared beside the thing they describe (socket.py, conversation.py, service.py); how they become text
is left to the output.
"""

from __future__ import annotations

import socket
from array import array
from collections import namedtuple
from functools import cache
from typing import NamedTuple

from portbook.errors import N_, BadQuestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Literal

    Note = tuple[str, Mapping[str, object]]
    ColumnType = Literal["text", "integer", "number", "boolean", "address", "integers", "texts"]
    Unit = Literal["", "bytes", "bytes/second", "seconds", "milliseconds", "epoch"]

ABSENT_ADDRESS = b"\xff" * 16
"""Stands for "no address" in `Addresses`: reserved by RFC 4291, so no socket can have it."""

MAPPED_PREFIX = bytes(10) + b"\xff\xff"
"""What precedes an IPv4 address in 16 bytes, an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2)."""


class Column(NamedTuple):
    """The declaration of one column.

    `heading` is the message id of its title in a table; `foreign` marks text that somebody else chose (a
    process name, a path), which may hold anything.
    """

    name: str
    type: ColumnType
    heading: str
    unit: Unit = ""
    foreign: bool = False

    @property
    def numeric(self) -> bool:
        """Whether a table sets it flush right."""
        return self.type in ("integer", "number")


class Numbers:
    """A vector of integers, or of fixed-point numbers (value / 10**decimals); `null` stands for absent."""

    __slots__ = ("decimals", "null", "values")

    def __init__(self, values: array[int], null: int | None = None, decimals: int = 0) -> None:
        self.values = values
        self.null = null
        self.decimals = decimals

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> int | float | None:
        value = self.values[row]
        if value == self.null:
            return None
        return value / 10**self.decimals if self.decimals else value


class Coded:
    """A vector of any values: each row holds the number of one of a few `values` (None is absent)."""

    __slots__ = ("codes", "values")

    def __init__(self, codes: array[int], values: Sequence[object]) -> None:
        self.codes = codes
        self.values = values

    @classmethod
    def of(cls, values: Iterable[object]) -> Coded:
        """Return the vector of these values, whatever hashable they are."""
        numbers: dict[object, int] = {}
        # True == 1, so the type is part of the key.
        codes = array("I", (numbers.setdefault((type(value), value), len(numbers)) for value in values))
        return cls(codes, [key[1] for key in numbers])  # type: ignore[index]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> object:
        return self.values[self.codes[row]]


class Addresses:
    """A vector of IP addresses, 16 bytes a row; IPv4 as IPv4-mapped, ABSENT_ADDRESS for none."""

    __slots__ = ("packed",)

    def __init__(self, packed: bytearray) -> None:
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed) // 16

    def __getitem__(self, row: int) -> str | None:
        return address_text(bytes(self.packed[row * 16 : row * 16 + 16]))


Vector = Numbers | Coded | Addresses


def address_text(packed: bytes) -> str | None:
    """Return the canonical text of 16 bytes (RFC 5952; IPv4-mapped as IPv4), None for ABSENT_ADDRESS."""
    if packed == ABSENT_ADDRESS:
        return None
    if packed.startswith(MAPPED_PREFIX):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def pack_address(text: str) -> bytes:
    """Return the 16 bytes of an IPv4 or IPv6 address. Raises ValueError when the text is neither."""
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return MAPPED_PREFIX + socket.inet_pton(socket.AF_INET, text)
    except OSError as error:
        raise ValueError(text) from error


@cache
def _record(names: tuple[str, ...]) -> Any:
    """Return the named tuple of these columns, which takes longer to make than to fill."""
    return namedtuple("Row", names)


class Table:
    """Rows of declared columns: one vector each, all of one length.

    `order` holds the numbers of the rows that are shown, in that order; None shows all as they are.
    `complete` is false where something that belongs to the answer could not be had; `notes` say what, each a
    message id with its values, as an error has them.
    """

    __slots__ = ("columns", "complete", "notes", "order", "vectors")

    def __init__(
        self,
        columns: tuple[Column, ...],
        vectors: tuple[Vector, ...],
        order: array[int] | None = None,
        complete: bool = True,
        notes: Sequence[Note] = (),
    ) -> None:
        self.columns = columns
        self.vectors = vectors
        self.order = order
        self.complete = complete
        self.notes = list(notes)

    def __len__(self) -> int:
        if self.order is not None:
            return len(self.order)
        return len(self.vectors[0]) if self.vectors else 0

    @classmethod
    def from_rows(cls, columns: tuple[Column, ...], rows: Iterable[Sequence[object]]) -> Table:
        """Return a small table from rows of values in the order of the columns. Lists are given as tuples."""
        held = list(rows)
        return cls(columns, tuple(Coded.of(row[i] for row in held) for i in range(len(columns))))

    def vector(self, name: str) -> Vector:
        """Return the vector of the column of that name."""
        return self.vectors[self.position(name)]

    def position(self, name: str) -> int:
        """Return where the column of that name stands. Raises BadQuestion when there is none."""
        for position, column in enumerate(self.columns):
            if column.name == name:
                return position
        raise BadQuestion(
            N_("there is no column {name}; there are: {columns}"),
            name=name,
            columns=", ".join(column.name for column in self.columns),
        )

    def select(self, names: Sequence[str]) -> Table:
        """Return the same rows with these columns only, in this order."""
        kept = [self.position(name) for name in names]
        return Table(
            tuple(self.columns[i] for i in kept),
            tuple(self.vectors[i] for i in kept),
            self.order,
            self.complete,
            self.notes,
        )

    def shown(self) -> array[int] | range:
        """Return the numbers of the rows that are shown, in order."""
        return self.order if self.order is not None else range(len(self))

    def ordered(self, rows: Iterable[int]) -> Table:
        """Return the table that shows these row numbers, in this order."""
        return Table(self.columns, self.vectors, array("I", rows), self.complete, self.notes)

    def sorted(self, name: str, descending: bool = False) -> Table:
        """Return the table sorted by a column: numbers by value, addresses by bytes, text without case.

        Absent values come last either way. Rows that are equal keep their order.
        """
        vector = self.vector(name)
        if isinstance(vector, Addresses):
            packed = vector.packed
            present = [row for row in self.shown() if packed[row * 16 : row * 16 + 16] != ABSENT_ADDRESS]
            absent = [row for row in self.shown() if packed[row * 16 : row * 16 + 16] == ABSENT_ADDRESS]
            present.sort(key=lambda row: packed[row * 16 : row * 16 + 16], reverse=descending)
            return self.ordered(present + absent)
        column = self.columns[self.position(name)]
        keys: dict[int, Any] = {row: vector[row] for row in self.shown()}
        present = [row for row in keys if keys[row] is not None]
        absent = [row for row in keys if keys[row] is None]
        if column.type == "text":
            present.sort(key=lambda row: keys[row].casefold(), reverse=descending)
        elif column.type == "address":
            present.sort(key=lambda row: pack_address(keys[row]), reverse=descending)
        else:
            present.sort(key=keys.__getitem__, reverse=descending)
        return self.ordered(present + absent)

    def limited(self, count: int) -> Table:
        """Return the table that shows its first `count` rows only."""
        return self.ordered(list(self.shown())[:count])

    def __iter__(self) -> Iterator[Any]:
        """Yield each shown row as a named tuple of its columns."""
        record = _record(tuple(column.name for column in self.columns))
        for row in self.shown():
            yield record(*(vector[row] for vector in self.vectors))
