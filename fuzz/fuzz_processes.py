"""Fuzz the parsers of /proc: whatever the bytes, they return text that can be written, or raise Malformed.

    python fuzz/fuzz_processes.py [RUNS]

It is driven by atheris where that is installed, else by RUNS random mutations of real files.
"""

from __future__ import annotations

import random
from pathlib import Path

from harness import mutated, run

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


PARTS = (b"\n", b")", b"(", b":", b" - ", b"\\0", b"\xff", b"9" * 30)


def made(chance: random.Random) -> bytes:
    """Return a file of this very process with a few bytes changed."""
    name = chance.choice(tuple(PARSERS))
    return mutated((Path("/proc/self") / name).read_bytes()[:4096], chance, PARTS)


if __name__ == "__main__":
    run(test_one, made)
