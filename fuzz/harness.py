"""How every harness runs: bounded by itself on mutations of recorded bytes, or under atheris if that is asked for."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence

RUNS = 20_000


def run(test_one: Callable[[bytes], None], made: Callable[[random.Random], bytes]) -> None:
    """Give `test_one` bytes that `made` makes, as many times as the first argument says, RUNS by default.

    `--atheris`, with atheris's own arguments after it, lets coverage guide the bytes instead, until it is stopped.
    """
    if "--atheris" in sys.argv[1:]:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

        atheris.instrument_all()
        atheris.Setup([argument for argument in sys.argv if argument != "--atheris"], test_one)
        atheris.Fuzz()
    chance = random.Random(1)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS):
        test_one(made(chance))


def mutated(
    data: bytes,
    chance: random.Random,
    parts: Sequence[bytes],
    lengths: Sequence[int] = (0, 1, 1, 2, 8, 64),
) -> bytes:
    """Return the bytes with a few stretches of these lengths left out, doubled, made random or one of the parts."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 7)):
        start = chance.randrange(len(changed) + 1)
        end = min(start + chance.choice(lengths), len(changed))
        stretch = bytes(changed[start:end])
        changed[start:end] = chance.choice((b"", stretch * 2, chance.randbytes(len(stretch)), chance.choice(parts)))
    return bytes(changed[: chance.randrange(len(changed) + 1)] if chance.random() < 0.1 else changed)
