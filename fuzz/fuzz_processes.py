"""Fuzz the parsers of /proc: whatever the bytes, they return text that can be written, or raise Malformed.

    python fuzz/fuzz_processes.py [RUNS]

It is driven by atheris where that is installed, else by RUNS random mutations of real files.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from portbook.errors import Malformed
from portbook.linux import processes

PARSERS = {
    "stat": processes.parse_stat,
    "status": processes.parse_effective_uid,
    "cmdline": processes.parse_command,
    "cgroup": processes.parse_cgroup,
    "mountinfo": processes.parse_mounts,
    "../stat": processes.parse_boot_time,
}


def test_one(data: bytes) -> None:
    """Give the bytes to every parser."""
    for parse in PARSERS.values():
        try:
            str(parse(data)).encode("utf-8")
        except Malformed:
            continue


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with a few of them changed, left out, doubled or moved."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        start = chance.randrange(len(changed) + 1)
        end = min(start + chance.choice((0, 1, 1, 2, 8, 64)), len(changed))
        put = chance.choice(
            (b"", b"\n", b")", b"(", b":", b" - ", b"\\0", b"\xff", b"9" * 30, bytes(changed[start:end]) * 2)
        )
        changed[start:end] = put
    return bytes(changed)


def main() -> None:
    """Fuzz until atheris stops, or for as many mutations as were asked for."""
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        chance = random.Random(1)
        seeds = [(Path("/proc/self") / name).read_bytes()[:4096] for name in PARSERS]
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000):
            test_one(mutated(chance.choice(seeds), chance))
    else:
        atheris.instrument_all()
        atheris.Setup(sys.argv, test_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
