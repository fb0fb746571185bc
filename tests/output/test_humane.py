from __future__ import annotations

import pytest

from portbook.columns import Column
from portbook.output.humane import spell


def shown(value: object, unit: str = "", name: str = "some") -> str:
    return spell(value, Column(name, "number", "Some", unit), str)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "bytes", "-"),
        (0, "bytes", "0 B"),
        (999, "bytes", "999 B"),
        (1000, "bytes", "1.0 kB"),
        (12_345, "bytes", "12.3 kB"),
        (999_949, "bytes", "999.9 kB"),
        (999_950, "bytes", "1.0 MB"),
        (4_000_000_000, "bytes", "4.0 GB"),
        (2**64 - 1, "bytes", "18.4 EB"),
        (1500, "bytes/second", "1.5 kB/s"),
        (0.0123, "seconds", "0.012s"),
        (12.34, "seconds", "12.3s"),
        (59.97, "seconds", "1m00s"),
        (187, "seconds", "3m07s"),
        (7380, "seconds", "2h03m"),
        (446_400, "seconds", "5d04h"),
        (0.043, "milliseconds", "0.04 ms"),
        (12.34, "milliseconds", "12.3 ms"),
        (1234.5, "milliseconds", "1234 ms"),
        (0, "epoch", "1970-01-01 00:00:00Z"),
        (-0.5, "epoch", "1969-12-31 23:59:59Z"),
        (1795255392.999, "epoch", "2026-11-21 10:03:12Z"),
        (1e18, "epoch", "1e+18"),
        (443, "", "443"),
        (True, "", "yes"),
        (False, "", "no"),
        ((12, 13), "", "12,13"),
        (("a\n", "b"), "", "a\\n,b"),
        ("\x1b[2J", "", "\\x1b[2J"),
    ],
)
def test_values_as_a_person_reads_them(value: object, unit: str, expected: str) -> None:
    assert shown(value, unit) == expected


@pytest.mark.parametrize("name", ["recv_queue", "send_queue"])
def test_queues_are_bare_numbers(name: str) -> None:
    assert shown(4096, "bytes", name) == "4096"


def test_yes_and_no_are_translated() -> None:
    column = Column("source_range", "boolean", "Source port")
    assert spell(True, column, {"yes": "oui", "no": "non"}.__getitem__) == "oui"
