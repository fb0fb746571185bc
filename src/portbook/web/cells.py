"""Tables on a page: headings, and each value as the reader's language writes it, with its unit where it has one.

What stands in a cell is plain text without anything that hides or turns it round; the template escapes it. Which
rows and columns are shown is the page's to say.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from babel.dates import format_timedelta
from babel.units import format_compound_unit, format_unit

from portbook.endpoint import Endpoint
from portbook.output.clean import clean
from portbook.output.humane import ABSENT, spelled
from portbook.output.tables import ENDPOINTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.columns import Column, Table
    from portbook.web.languages import Language

_LONGEST = 400
"""Characters of one value; a command line may have a million."""

_PREFIXES = ("byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte")
_ONE_DIGIT, _TWO_DIGITS = "#,##0.#", "#,##0.##"


class Head(NamedTuple):
    """The heading of a column, a message id, and what its cells are: text, number or address."""

    heading: str
    kind: str


class Cells(NamedTuple):
    """Some rows of a table as a page shows them: names and headings of the columns, and for each row its texts."""

    names: tuple[str, ...]
    heads: tuple[Head, ...]
    rows: tuple[tuple[str, ...], ...]


def cells(part: Table, language: Language, spare: Sequence[str] = ()) -> Cells:
    """Return the rows of a small table; an address and its port beside each other are one column.

    A column of `spare` that says nothing in these rows is left out.
    """
    numbers = list(part.shown())
    named = dict(zip((column.name for column in part.columns), part.vectors, strict=True))
    shown: list[tuple[str, Head, list[str]]] = []
    for column in part.columns:
        name, vector = column.name, named[column.name]
        side = name.removesuffix("_ip")
        if side in ENDPOINTS and f"{side}_port" in named:
            ports = named[f"{side}_port"]
            texts = [_endpoint(vector[row], ports[row]) for row in numbers]
            shown.append((side, Head(ENDPOINTS[side], "address"), texts))
        elif name.removesuffix("_port") in ENDPOINTS and f"{name.removesuffix('_port')}_ip" in named:
            continue
        else:
            values = [vector[row] for row in numbers]
            if name not in spare or any(value is not None for value in values):
                kind = "number" if column.numeric else "address" if column.name == "addresses" else "text"
                texts = [value_text(value, column, language) for value in values]
                shown.append((name, Head(column.heading, kind), texts))
    return Cells(
        tuple(name for name, _, _ in shown),
        tuple(head for _, head, _ in shown),
        tuple(zip(*(texts for _, _, texts in shown), strict=True)),
    )


def value_text(value: object, column: Column, language: Language) -> str:
    """Return one value of a column: clean text, `-` where it is absent."""
    if value is None:
        return ABSENT
    if isinstance(value, int | float):
        if spelled(column):
            return _with_unit(value, column.unit, language)
        # The number of a port or a process is a name, which no language writes with separators.
        return language.number(value) if column.name in _COUNTS else str(value)
    text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return clean(text.replace("\n", " "))


_COUNTS = frozenset({"conversations", "retransmissions", "recv_queue", "send_queue"})


def size(value: float, language: Language) -> str:
    """Return a number of bytes as the language writes it, by powers of 1000."""
    return _size(value, language.code)


@lru_cache(4096)
def _size(value: float, code: str, per_second: bool = False) -> str:
    place = 0
    while value >= 999.95 and place < len(_PREFIXES) - 1:
        value, place = value / 1000, place + 1
    unit, digits = f"digital-{_PREFIXES[place]}", round(value, 1)
    if per_second:
        rate = format_compound_unit(
            digits, unit, denominator_unit="duration-second", length="short", format=_ONE_DIGIT, locale=code
        )
        assert rate is not None
        return rate
    # Some languages have no short form of it that agrees with its number.
    return format_unit(digits, unit, "short" if place else "long", format=_ONE_DIGIT, locale=code)


def _with_unit(value: float, unit: str, language: Language) -> str:
    if unit == "epoch":
        try:
            return language.time(datetime.fromtimestamp(value, UTC))
        except (OverflowError, ValueError, OSError):
            return str(value)  # where no calendar reaches
    if unit in ("bytes", "bytes/second"):
        return _size(value, language.code, unit == "bytes/second")
    if unit == "seconds":
        return str(
            format_timedelta(timedelta(seconds=round(value)), threshold=2, format="short", locale=language.code)
        )
    return _milliseconds(round(value, 2 if value < 10 else 1 if value < 100 else 0), language.code)


@lru_cache(4096)
def _milliseconds(value: float, code: str) -> str:
    return format_unit(value, "duration-millisecond", "short", format=_TWO_DIGITS, locale=code)


def _endpoint(ip: object, port: object) -> str:
    if ip is None and port is None:
        return ABSENT
    where = "*" if ip is None else str(ip)
    return str(Endpoint(where, 0)).removesuffix("0") + "*" if port is None else str(Endpoint(where, int(str(port))))
