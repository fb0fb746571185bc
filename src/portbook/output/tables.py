"""A table as a person reads it: endpoints joined, values spelled, columns under their headings.

The same cells stand in the plain table below and in the terminal's; nothing is cut or coloured here.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from portbook.columns import Addresses, Coded, Column, Numbers
from portbook.compiled import best
from portbook.endpoint import Endpoint
from portbook.errors import N_
from portbook.output.clean import display_width
from portbook.output.fields import AddressCells, EndpointCells, Field, NumberCells, TextCells
from portbook.output.humane import ABSENT, spell, spelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from portbook.columns import Table, Vector
    from portbook.output.fields import Cells

CHUNK = 8192
"""How many rows become bytes at a time, so that memory does not grow with the table."""

ENDPOINTS = {"local": N_("Local"), "remote": N_("Remote"), "client": N_("Client"), "server": N_("Server")}
"""The headings of endpoints, by what the names of their two columns begin with."""

GAP = b"  "


class Shown(NamedTuple):
    """One column of a table that a person reads: its translated heading and its cells.

    `columns` are the declared columns in it: one, or an address and a port; `vectors` hold their values.
    """

    heading: str
    columns: tuple[Column, ...]
    vectors: tuple[Vector, ...]
    cells: Cells

    @property
    def right(self) -> bool:
        """Whether it is set flush right."""
        return len(self.columns) == 1 and self.columns[0].numeric

    def absent(self, rows: Sequence[int]) -> bool:
        """Whether it says nothing in every one of these rows."""
        return all(_absent(vector, rows) for vector in self.vectors)


def shown_columns(table: Table, gettext: Callable[[str], str]) -> list[Shown]:
    """Return the columns of the table as a person reads them, an address and its port side by side as one."""
    shown = []
    position = 0
    while position < len(table.columns):
        column, vector = table.columns[position], table.vectors[position]
        side = column.name.removesuffix("_ip")
        following = table.columns[position + 1 : position + 2]
        if side in ENDPOINTS and column.name == f"{side}_ip" and following and following[0].name == f"{side}_port":
            port = table.vectors[position + 1]
            cells = _endpoint_cells(vector, port)
            shown.append(Shown(gettext(ENDPOINTS[side]), (column, following[0]), (vector, port), cells))
            position += 2
            continue
        shown.append(Shown(gettext(column.heading), (column,), (vector,), _cells(table, position, gettext)))
        position += 1
    return shown


def aligned(shown: Sequence[Shown], rows: array[int] | None, count: int) -> Iterator[bytes]:
    """Yield the plain table of `count` rows in pieces: a line of headings, then one line for each row, UTF-8.

    Columns stand two spaces apart, as wide as their widest cell; no line ends in spaces.
    """
    loop = best("portbook.output.rows")
    fields = [Field(column.cells, GAP if place else b"", 0, column.right) for place, column in enumerate(shown)]
    widths = loop.measure(fields, rows)
    heading = []
    for place, column in enumerate(shown):
        wide = display_width(column.heading)
        width = max(widths[place], wide)
        last = place == len(shown) - 1
        fields[place] = fields[place]._replace(width=0 if last and not column.right else width)
        filling = " " * (width - wide)
        heading.append(filling + column.heading if column.right else column.heading + filling)
    yield "  ".join(heading).rstrip().encode() + b"\n"
    for start in range(0, count, CHUNK):
        yield loop.render(fields, rows, start, start + CHUNK, b"\n")


def _cells(table: Table, position: int, gettext: Callable[[str], str]) -> Cells:
    column, vector = table.columns[position], table.vectors[position]
    absent = ABSENT.encode()
    if isinstance(vector, Addresses):
        return AddressCells(vector.packed, b"", absent)
    if isinstance(vector, Numbers):
        if spelled(column):
            vector = _few(vector, whole=column.unit == "epoch")
        else:
            return NumberCells(vector.values, vector.null, vector.decimals, absent)
    return TextCells.of(vector.codes, _texts(vector, column, table.order, gettext))


def _texts(
    vector: Coded, column: Column, rows: array[int] | None, gettext: Callable[[str], str]
) -> Iterator[tuple[bytes, int]]:
    for value in wanted(vector, rows):
        text = spell(value, column, gettext)
        yield text.encode(), display_width(text)


def wanted(vector: Coded, rows: array[int] | None) -> Iterator[object]:
    """Yield the values of the vector, None for those that no row shows where that saves writing them."""
    values = vector.values
    if rows is None or len(rows) >= len(values):
        yield from values
        return
    used = {vector.codes[row] for row in rows}
    for code, value in enumerate(values):
        yield value if code in used else None


def _few(vector: Numbers, whole: bool) -> Coded:
    """Return the same numbers as few different values; without fractions where `whole` ones are shown."""
    values, null, scale = vector.values, vector.null, 10**vector.decimals
    places: dict[int, int] = {}
    if whole and scale > 1:
        # The absent value is kept as it is: rounded, it would be an instant of its own.
        codes = array("I", (places.setdefault(v if v == null else v // scale * scale, len(places)) for v in values))
    else:
        codes = array("I", (places.setdefault(v, len(places)) for v in values))
    return Coded(codes, [None if v == null else v / scale if scale > 1 else v for v in places])


def _endpoint_cells(address: Vector, port: Vector) -> Cells:
    absent = ABSENT.encode()
    if isinstance(address, Addresses) and isinstance(port, Numbers) and not port.decimals:
        return EndpointCells(address.packed, port.values, port.null, absent)
    joined = Coded.of((address[row], port[row]) for row in range(len(address)))
    texts = [_endpoint(pair) for pair in joined.values]
    return TextCells.of(joined.codes, ((text.encode(), len(text)) for text in texts))


def _endpoint(pair: object) -> str:
    assert isinstance(pair, tuple)
    ip, port = pair
    if ip is None and port is None:
        return ABSENT
    text = str(Endpoint("*" if ip is None else ip, 0 if port is None else port))
    return text.removesuffix("0") + "*" if port is None else text


def _absent(vector: Vector, rows: Sequence[int]) -> bool:
    if isinstance(vector, Coded):
        absent = {code for code, value in enumerate(vector.values) if value is None}
        return bool(absent) and all(vector.codes[row] in absent for row in rows)
    return all(vector[row] is None for row in rows)
