"""Fuzz the reading of control group paths: whatever the path, its workload is text that can be written.

    python fuzz/fuzz_cgroups.py [RUNS]

It is driven by atheris where that is installed, else by RUNS random paths made of the parts that mean something.
"""

from __future__ import annotations

import random

from harness import run

from portbook.linux.cgroups import ContainerNames, workload
from portbook.linux.processes import foreign_text

PARTS = (
    b"/", b"-", b":", b".", b"_", b"@", b"\\x2d", b"\\xff", b"\xff", b"0123456789abcdef" * 4, b"docker", b"libpod",
    b"crio", b"cri-containerd", b"kubepods", b"pod2b8a6d0c-3f6e-4f0a-9d7e-5a1f2c3b4d5e", b"lxc", b"lxc.payload",
    b"machine", b"systemd-nspawn@", b"user@1.service", b"init.scope", b".slice", b".scope", b".service", b"a",
)  # fmt: skip


def test_one(data: bytes) -> None:
    """Read the bytes as a path, and name what it means without any file of a container engine."""
    found = workload(foreign_text(data))
    for text in (found.unit, found.engine, found.pod, ContainerNames("/nowhere").text(found)):
        if text is not None:
            assert text
            text.encode("utf-8")


def made(chance: random.Random) -> bytes:
    """Return a path of a few parts."""
    return b"".join(chance.choices(PARTS, k=chance.randrange(1, 24)))


if __name__ == "__main__":
    run(test_one, made)
