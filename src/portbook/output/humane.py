"""How a person reads a value in a table: sizes, durations and instants by the unit of their column.

Tables alone are written so, on a terminal and off it; data formats keep the numbers as they are. The unit
symbols are those of the SI and ISO 8601's digits, the same in every language.
"""

from __future__ import annotations

import time

from portbook.errors import N_
from portbook.output.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.columns import Column

ABSENT = "-"

COUNTED = ("recv_queue", "send_queue")
"""Columns shown as bare numbers: at a listening socket they count connections, whatever their unit says."""


def spelled(column: Column) -> bool:
    """Whether the unit of the column changes how its numbers are shown."""
    return column.unit != "" and column.name not in COUNTED


def spell(value: object, column: Column, gettext: Callable[[str], str]) -> str:
    """Return one value of the column as a table shows it: clean text, `-` where it is absent."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return gettext(N_("yes")) if value else gettext(N_("no"))
    if isinstance(value, int | float):
        return _WRITERS[column.unit](value) if spelled(column) else str(value)
    if isinstance(value, tuple | list):
        return ",".join(clean(str(item)) for item in value)
    return clean(str(value))


def _size(value: float, symbol: str = "B") -> str:
    """Return 999 B, 12.3 kB, 4.0 GB: powers of 1000, as drives and networks count."""
    if value < 1000:
        return f"{value:.0f} {symbol}"
    for prefix in "kMGTP":
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {prefix}{symbol}"
    return f"{value / 1000:.1f} E{symbol}"


def _rate(value: float) -> str:
    return _size(value, "B/s")


def _duration(value: float) -> str:
    """Return 0.012s, 12.3s, 3m07s, 2h03m or 5d04h."""
    if value < 10:
        return f"{value:.3f}s"
    if value < 59.95:
        return f"{value:.1f}s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _milliseconds(value: float) -> str:
    """Return 0.04 ms, 12.3 ms or 1234 ms: three figures are as many as a round trip deserves."""
    places = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{places}f} ms"


def _instant(value: float) -> str:
    """Return seconds since the epoch as 2026-11-21 10:03:12Z; the bare number where no calendar reaches."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(value // 1))
    except (OverflowError, ValueError, OSError):
        return str(value)


_WRITERS: dict[str, Callable[[float], str]] = {
    "bytes": _size,
    "bytes/second": _rate,
    "seconds": _duration,
    "milliseconds": _milliseconds,
    "epoch": _instant,
}
