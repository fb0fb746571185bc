"""Columns prepared for the loop that turns them into text: what it reads, as flat buffers.

A field is one cell of every line: bytes put before it, where its text comes from, and how wide it is set.
What a cell's text is (JSON, CSV, a table's) is decided by those who prepare it; rows.py and its compiled twin
only join.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_DECIMALS = 18
"""How many decimals a fixed-point number may have, so that 10**decimals is a 64-bit number."""


class TextCells:
    """Each row's cell is one of a few texts: number `codes[row]`.

    The texts lie one after the other in `text`, encoded; text `i` is `text[starts[i] : starts[i + 1]]`
    (`starts` has type code Q) and takes `widths[i]` columns of a terminal (type code I).
    """

    __slots__ = ("codes", "starts", "text", "widths")

    def __init__(self, codes: array[int], text: bytes, starts: array[int], widths: array[int]) -> None:
        self.codes = codes
        self.text = text
        self.starts = starts
        self.widths = widths

    @classmethod
    def of(cls, codes: array[int], texts: Iterable[tuple[bytes, int]]) -> TextCells:
        """Return the cells of encoded texts, each with its display width."""
        held: list[bytes] = []
        starts, widths, length = array("Q", [0]), array("I"), 0
        for text, width in texts:
            held.append(text)
            length += len(text)
            starts.append(length)
            widths.append(width)
        return cls(codes, b"".join(held), starts, widths)

    def __len__(self) -> int:
        return len(self.codes)


class NumberCells:
    """Each row's cell is `values[row] / 10**decimals` in decimal digits, exactly; `absent` for `null`.

    A number with decimals has at least one digit after the point and no further zeros: 1.0, 0.25. `values` is
    an array of any integer type, `absent` is ASCII.
    """

    __slots__ = ("absent", "decimals", "null", "values")

    def __init__(self, values: array[int], null: int | None = None, decimals: int = 0, absent: bytes = b"") -> None:
        self.values = values
        self.null = null
        self.decimals = decimals
        self.absent = absent

    def __len__(self) -> int:
        return len(self.values)


class AddressCells:
    """Each row's cell is the address of `packed[row * 16 : row * 16 + 16]` as columns.address_text writes it.

    `quote` stands before and after it; an absent address is `absent` alone (ASCII).
    """

    __slots__ = ("absent", "packed", "quote")

    def __init__(self, packed: bytearray, quote: bytes = b"", absent: bytes = b"") -> None:
        self.packed = packed
        self.quote = quote
        self.absent = absent

    def __len__(self) -> int:
        return len(self.packed) // 16


class EndpointCells:
    """Each row's cell is an address and a port: 192.0.2.1:80, [2001:db8::1]:80; `*` for the absent one.

    Where both are absent the cell is `absent` (ASCII).
    """

    __slots__ = ("absent", "null", "packed", "ports")

    def __init__(self, packed: bytearray, ports: array[int], null: int | None = None, absent: bytes = b"") -> None:
        self.packed = packed
        self.ports = ports
        self.null = null
        self.absent = absent

    def __len__(self) -> int:
        return min(len(self.packed) // 16, len(self.ports))


Cells = TextCells | NumberCells | AddressCells | EndpointCells


class Field(NamedTuple):
    """One cell of every line: `prefix`, then the cell, filled with spaces to `width` (before if `right`)."""

    cells: Cells
    prefix: bytes = b""
    width: int = 0
    right: bool = False
