"""The hot loop of every output: prepared fields to lines of bytes. Reference of the compiled twin _rows.pyx.

It knows nothing of formats: what stands before a cell, around it and at the end of a line is given.
"""

from __future__ import annotations

from portbook.columns import address_text
from portbook.output.fields import MOST_DECIMALS, AddressCells, EndpointCells, NumberCells, TextCells

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

    from portbook.output.fields import Cells, Field


def measure(fields: Sequence[Field], rows: array[int] | None) -> list[int]:
    """Return the display width of each field's widest cell over `rows` (type code I; None: all), 0 for none.

    Raises IndexError when a row or a text does not exist.
    """
    return [
        max((width for _, width in _cells(field.cells, _chosen(fields, rows, 0, None))), default=0)
        for field in fields
    ]


def render(fields: Sequence[Field], rows: array[int] | None, start: int, stop: int, end: bytes) -> bytes:
    """Return a line for each of `rows[start:stop]` (None: of the rows themselves): its cells, then `end`.

    Raises IndexError when a row or a text does not exist.
    """
    columns = []
    for field in fields:
        prefix, width = field.prefix, field.width
        cells = _cells(field.cells, _chosen(fields, rows, start, stop))
        if field.right:
            columns.append([prefix + b" " * (width - wide) + cell for cell, wide in cells])
        else:
            columns.append([prefix + cell + b" " * (width - wide) for cell, wide in cells])
    return b"".join(b"".join(line) + end for line in zip(*columns, strict=True))


def _chosen(fields: Sequence[Field], rows: array[int] | None, start: int, stop: int | None) -> Sequence[int]:
    length = min(len(field.cells) for field in fields)
    if rows is None:
        return range(length)[start:stop]
    chosen = rows[start:stop]
    if chosen and max(chosen) >= length:
        raise IndexError(max(chosen))
    return chosen


def _cells(cells: Cells, rows: Sequence[int]) -> Iterator[tuple[bytes, int]]:
    """Yield the text of each row's cell with its display width."""
    if isinstance(cells, TextCells):
        yield from _texts(cells, rows)
        return
    absent = cells.absent
    if isinstance(cells, NumberCells):
        texts = (_number(cells.values[row], cells.null, cells.decimals) for row in rows)
    elif isinstance(cells, AddressCells):
        texts = (_address(cells, row) for row in rows)
    else:
        texts = (_endpoint(cells, row) for row in rows)
    for text in texts:
        cell = absent if text is None else text
        yield cell, len(cell)


def _texts(cells: TextCells, rows: Sequence[int]) -> Iterator[tuple[bytes, int]]:
    text, starts, widths = cells.text, cells.starts, cells.widths
    for row in rows:
        code = cells.codes[row]
        if code < 0:
            raise IndexError(code)
        yield text[starts[code] : starts[code + 1]], widths[code]


def _number(value: int, null: int | None, decimals: int) -> bytes | None:
    if value == null:
        return None
    if not decimals:
        return b"%d" % value
    if not 0 <= decimals <= MOST_DECIMALS:
        raise ValueError(decimals)
    whole, part = divmod(abs(value), 10**decimals)
    digits = (b"%0*d" % (decimals, part)).rstrip(b"0") or b"0"
    return b"%s%d.%s" % (b"-" if value < 0 else b"", whole, digits)


def _address(cells: AddressCells, row: int) -> bytes | None:
    text = address_text(bytes(cells.packed[row * 16 : row * 16 + 16]))
    return None if text is None else cells.quote + text.encode() + cells.quote


def _endpoint(cells: EndpointCells, row: int) -> bytes | None:
    address = address_text(bytes(cells.packed[row * 16 : row * 16 + 16]))
    port = _number(cells.ports[row], cells.null, 0)
    if address is None and port is None:
        return None
    host = "*" if address is None else f"[{address}]" if ":" in address else address
    return b"%s:%s" % (host.encode(), port or b"*")
