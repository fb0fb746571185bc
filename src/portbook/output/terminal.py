"""The table on a terminal: fitted to its width, coloured by meaning, without columns that say nothing.

The cells are those of tables.py. A table too long to be looked at is left to the plain one, which is written
many times sooner and is not cut.
"""

from __future__ import annotations

import os

from portbook.compiled import best
from portbook.output.clean import display_width
from portbook.output.fields import Field, TextCells
from portbook.output.formats import deliver
from portbook.output.humane import ABSENT
from portbook.output.tables import GAP, Shown, aligned, shown_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Sequence
    from typing import Literal, TextIO

    from portbook.columns import Table

    Color = Literal["auto", "always", "never"]

MOST_FITTED = 1000
"""How many rows are fitted to the terminal: as many as rich lays out in a quarter of a second."""

STYLES = {
    ("state", "LISTEN"): "green",
    ("state", "CLOSE-WAIT"): "yellow",
    ("state", "SYN-SENT"): "yellow",
    ("state", "LAST-ACK"): "yellow",
    ("state", "FIN-WAIT-1"): "dim",
    ("state", "FIN-WAIT-2"): "dim",
    ("state", "CLOSING"): "dim",
    ("state", "TIME-WAIT"): "dim",
    ("state", "CLOSED"): "dim",
    ("state", "open"): "green",
    ("state", "closed"): "dim",
    ("state", "rejected"): "yellow",
    ("state", "filtered"): "yellow",
    ("state", "open|filtered"): "dim",
    ("state", "unreachable"): "red",
    ("state", "error"): "red",
    ("scope", "any"): "red",
    ("scope", "public"): "yellow",
    ("scope", "private"): "cyan",
    ("scope", "link"): "cyan",
    ("scope", "container"): "cyan",
    ("scope", "loopback"): "green",
    ("owner_by", "hidden"): "dim",
    ("owner_by", "cgroup"): "cyan",
    ("assigned", "unofficial"): "yellow",
    ("assigned", "unassigned"): "dim",
}
"""What a word of a column means to its reader: red and yellow ask for a look, green is as it should be."""

LONG = ("command", "path", "description", "reference", "banner", "note")
"""The columns that are cut first: long, and still of use when only their beginning is seen."""

LONG_ENOUGH = 24
"""Columns of a terminal that such a text should have at least."""


def show(
    table: Table,
    stream: TextIO,
    *,
    color: Color = "auto",
    width: int | None = None,
    spare: Sequence[str] | None = (),
    gettext: Callable[[str], str] = str,
) -> list[str]:
    """Write the table to a terminal, or to a stream that is to be coloured like one.

    `color` auto obeys NO_COLOR and TERM=dumb, and colours terminals only. `width` is that of the terminal in
    columns; None asks it, and where the stream is none the table is as wide as it needs to be. A table without
    rows is nothing. Raises as formats.write does.

    Columns in which every shown row is absent are left out. So are those of `spare`, the first of them first, as
    long as the others would have to be cut; their names are returned. With `spare` None every column stays.
    """
    rows = table.shown()
    if not len(rows):
        return []
    shown = shown_columns(table, gettext)
    if spare is not None:
        shown = [column for column in shown if not column.absent(rows)] or shown
    paint = coloured(color, stream)
    order = table.order
    left_out: list[str] = []
    pieces: Iterator[str]
    if len(rows) > MOST_FITTED:
        painted = [_painted(column) for column in shown] if paint else shown
        pieces = (piece.decode() for piece in aligned(painted, order, len(rows)))
    else:
        if width is None and stream.isatty():
            width = _terminal_width()
        shown, left_out = _spared(shown, order, width, spare or ())
        pieces = _fitted(shown, order, len(rows), width, paint)
    encoding = stream.encoding or "utf-8"
    deliver((piece.encode(encoding, "backslashreplace").decode(encoding) for piece in pieces), stream)
    return left_out


def _spared(
    shown: list[Shown], rows: array[int] | None, width: int | None, spare: Sequence[str]
) -> tuple[list[Shown], list[str]]:
    """Return the columns that fit the width once those that can be spared have gone, and the names of these."""
    left_out: list[str] = []
    cells = best("portbook.output.rows").measure([Field(column.cells) for column in shown], rows)
    needs = {column.columns[0].name: _need(column, cell) for column, cell in zip(shown, cells, strict=True)}
    for name in spare:
        if width is None or sum(needs.values()) + len(GAP) * (len(needs) - 1) <= width or len(needs) == 1:
            break
        if name in needs:
            del needs[name]
            left_out.append(name)
    return [column for column in shown if column.columns[0].name in needs], left_out


def _need(column: Shown, cell: int) -> int:
    """Return how wide a column must be to be read with ease: its heading may break, a long text may be cut."""
    heading = max(map(display_width, column.heading.split()), default=0)
    return max(heading, min(cell, LONG_ENOUGH) if column.columns[0].name in LONG else cell)


def fit(shown: Sequence[Shown], cells: Sequence[int], width: int | None) -> list[int]:
    """Return how wide each column is set, so that all fit `width` (None: whatever they need).

    `cells` are the widths of their widest cells. What gives way, the widest column of each group first:
    headings break between words, long texts are cut, foreign ones, headings, addresses down to IPv4's, at
    last all.
    """
    wanted = [max(cell, display_width(column.heading)) for cell, column in zip(cells, shown, strict=True)]
    if width is None:
        return wanted
    room = max(width - len(GAP) * (len(shown) - 1), len(shown))
    if sum(wanted) <= room:
        return wanted
    words = [max(map(display_width, column.heading.split()), default=0) for column in shown]
    widths = [min(max(pair), room) for pair in zip(cells, words, strict=True)]
    foreign = [place for place, column in enumerate(shown) if column.columns[0].foreign]
    long = [place for place, column in enumerate(shown) if column.columns[0].name in LONG]
    addresses = [place for place, column in enumerate(shown) if column.columns[0].type == "address"]
    everything = range(len(shown))
    heads = [max(cell, 4) for cell in cells]
    stages = (
        (long, [LONG_ENOUGH]),
        (foreign, [12]),
        (everything, heads),
        (addresses, [21]),
        (foreign, [6]),
        (everything, [1]),
    )
    for group, floors in stages:
        _shrink(widths, group, floors * len(shown), sum(widths) - room)
    return widths


def _shrink(widths: list[int], group: Sequence[int], floors: Sequence[int], excess: int) -> None:
    """Take up to `excess` from the columns of a group, always from the widest, from none below its floor."""
    for _ in range(excess):
        widest = max(
            (place for place in group if widths[place] > floors[place]), key=widths.__getitem__, default=None
        )
        if widest is None:
            return
        widths[widest] -= 1


def coloured(color: Color, stream: TextIO) -> bool:
    """Return whether a stream takes colour: as asked for, else a terminal unless NO_COLOR or TERM=dumb is set."""
    if color == "auto":
        dumb = os.environ.get("TERM") in ("dumb", "unknown")
        return stream.isatty() and not dumb and not os.environ.get("NO_COLOR")
    return color == "always"


def _terminal_width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _fitted(
    shown: Sequence[Shown], rows: array[int] | None, count: int, width: int | None, coloured: bool
) -> Iterator[str]:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    loop = best("portbook.output.rows")
    fields = [Field(column.cells) for column in shown]
    widths = fit(shown, loop.measure(fields, rows), width)
    grid = Grid(box=None, padding=(0, len(GAP), 0, 0), pad_edge=False, header_style="bold")
    columns = []
    for column, field, wide in zip(shown, fields, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        grid.add_column(Text(column.heading), width=wide, justify=justify, vertical="top", overflow="ellipsis")
        cells = loop.render([field], rows, 0, count, b"\n").decode().split("\n")[:-1]
        columns.append([Text(cell, _style(column, cell), no_wrap=True, overflow="ellipsis") for cell in cells])
    for line in zip(*columns, strict=True):
        grid.add_row(*line)
    page = StringIO()
    console = Console(
        file=page,
        width=width or sum(widths) + len(GAP) * (len(widths) - 1),
        color_system="standard" if coloured else None,
        force_terminal=coloured,
        no_color=not coloured,
        legacy_windows=False,
    )
    console.print(grid)
    yield page.getvalue()


def _style(column: Shown, cell: str) -> str:
    return "dim" if cell == ABSENT else STYLES.get((column.columns[0].name, cell), "")


def _painted(column: Shown) -> Shown:
    """Return the column with the escapes of its colours in its texts, which widen nothing."""
    from rich.color import ColorSystem
    from rich.style import Style

    cells = column.cells
    if not isinstance(cells, TextCells):
        return column
    texts = []
    for place, wide in enumerate(cells.widths):
        text = cells.text[cells.starts[place] : cells.starts[place + 1]].decode()
        style = Style.parse(_style(column, text))
        texts.append((style.render(text, color_system=ColorSystem.STANDARD).encode(), wide))
    return column._replace(cells=TextCells.of(cells.codes, texts))
