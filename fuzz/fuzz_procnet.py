"""Fuzz the parsers of /proc/net: any line is one row, none or Malformed, and whatever is kept can be written as text.

    python fuzz/fuzz_procnet.py [RUNS]

It is driven by atheris where that is installed, else by RUNS random mutations of recorded lines.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness import mutated, run

from portbook.endpoint import RAW, TCP, UDP
from portbook.errors import Malformed
from portbook.socket import DETAILS, FIELDS, SocketStore
from portbook.wire import procnet

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDED = Path(__file__).parent.parent / "tests" / "wire" / "recorded"
SCTP_LINES = (
    b"ffff8800 ffff8801 2   10  29   11168 1000 15471 127.0.0.1 *10.0.0.1 ::1",
    b"ffff8802 ffff8803 2 1 3 6 12 0 5 1000 15472 40000 2905 *10.0.0.1 <-> *10.0.0.2 fe80::1 30000 10 10 10",
)
PARSERS: list[Callable[[bytes, SocketStore], None]] = [
    *(partial(procnet.decode_inet, transport) for transport in (TCP, UDP, RAW)),
    *(procnet.decode_unix, procnet.decode_sctp_endpoint, procnet.decode_sctp_association),
]
PARTS = (
    b" ",
    b":",
    b"-",
    b"+",
    b"_",
    b"0",
    b"F" * 16,
    b"9" * 30,
    b"@",
    b"*",
    b"<->",
    b"\xff",
    b"\0",
    b"\x1b[2J",
    b"::",
)


def test_one(data: bytes) -> None:
    """Give the bytes to every parser as one line."""
    for parse in PARSERS:
        store = SocketStore(detailed=True)
        try:
            parse(data, store)
        except Malformed:
            assert len(store) == 0
        rows = len(store)
        assert rows <= 1
        assert {len(getattr(store, name)) for name in (*FIELDS, *DETAILS)} == {rows}
        assert len(store.local_ip) == len(store.remote_ip) == 16 * rows
        for path in store.paths[1:]:
            assert str(path).encode("utf-8") is not None


LINES = [line for path in sorted(RECORDED.glob("*.txt")) for line in path.read_bytes().splitlines()[1:]]


def made(chance: random.Random) -> bytes:
    """Return a recorded line with a few bytes changed."""
    return mutated(chance.choice((*LINES, *SCTP_LINES)), chance, PARTS)


if __name__ == "__main__":
    run(test_one, made)
