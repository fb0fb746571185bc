"""Fuzz the decoders of sock_diag: any bytes are rows or Malformed, and the compiled twin agrees with the reference.

    python fuzz/fuzz_sock_diag.py [RUNS]

It is driven by atheris where that is installed, else by RUNS random mutations of recorded dumps.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from harness import mutated, run

from portbook.compiled import twin
from portbook.endpoint import TRANSPORTS, UNIX
from portbook.errors import Malformed
from portbook.socket import DETAILS, FIELDS, SocketStore
from portbook.wire import sock_diag

if TYPE_CHECKING:
    from types import ModuleType

COMPILED = twin("portbook.wire.sock_diag")
RECORDED = Path(__file__).parent.parent / "tests" / "wire" / "recorded"
NUMBERS = [struct.pack("=H", number) for number in (0, 1, 3, 4, 5, 18, 20, 72, 0x7FFF, 0xFFFF)]


def test_one(data: bytes) -> None:
    """Decode the bytes after the first, which says of what transport and how fully."""
    if not data:
        return
    transport, detailed = data[0] % (UNIX + 1), bool(data[0] & 0x80)
    expected = decoded(sock_diag, data[1:], transport, detailed)
    if COMPILED is not None:
        assert decoded(COMPILED, data[1:], transport, detailed) == expected, TRANSPORTS[transport]


def decoded(module: ModuleType, data: bytes, transport: int, detailed: bool) -> tuple[object, ...] | None:
    """Return the progress and all rows, None for Malformed."""
    store = SocketStore(detailed)
    try:
        progress = module.decode(memoryview(data), transport, store)
    except Malformed:
        return None
    columns = [getattr(store, name).tobytes() for name in (*FIELDS, *(DETAILS if detailed else ()))]
    return progress, columns, store.local_ip, store.remote_ip, store.paths, store.algorithms


def cut(dump: bytes) -> list[bytes]:
    """Return the messages of a recorded dump."""
    messages, at = [], 0
    while at < len(dump):
        end = at + (struct.unpack_from("=I", dump, at)[0] + 3 & ~3)
        messages.append(dump[at:end])
        at = end
    return messages


DUMPS = [cut(path.read_bytes()) for path in sorted(RECORDED.glob("*.bin"))]


def made(chance: random.Random) -> bytes:
    """Return which transport to take the bytes for, and a few recorded messages with some bytes changed."""
    some = b"".join(chance.choices(chance.choice(DUMPS), k=chance.randrange(1, 5)))
    return chance.randbytes(1) + mutated(some, chance, NUMBERS, (0, 1, 2, 4, 16, 72))


if __name__ == "__main__":
    run(test_one, made)
