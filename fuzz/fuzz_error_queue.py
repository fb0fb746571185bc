"""Fuzz the reader of the error queue: any control message is an ICMP error, None or Malformed.

    python fuzz/fuzz_error_queue.py [RUNS]

It is driven by atheris where that is installed, else by RUNS random mutations of messages that the kernel wrote.
"""

from __future__ import annotations

import random
from ipaddress import ip_address

from harness import mutated, run

from portbook.errors import Malformed
from portbook.wire.error_queue import IP_RECVERR, IPV6_RECVERR, SOL_IP, SOL_IPV6, icmp_error

LEVELS = ((SOL_IP, IP_RECVERR), (SOL_IPV6, IPV6_RECVERR), (SOL_IP, 8), (1, 29))
MESSAGES = (
    bytes.fromhex("6f000000020303000000000000000000020000007f0000010000000000000000"),
    bytes.fromhex("6f0000000301040000000000000000000a000000000000000000000000000000000000000000000100000000"),
)
"""Port unreachable, from 127.0.0.1 and from ::1."""


def test_one(data: bytes) -> None:
    """Read the bytes after the first, which says of what kind the message is."""
    if not data:
        return
    try:
        found = icmp_error(*LEVELS[data[0] % len(LEVELS)], data[1:])
    except Malformed:
        return
    if found is not None and found.sender is not None:
        ip_address(found.sender)


def made(chance: random.Random) -> bytes:
    """Return a kind, and a message with some bytes changed."""
    return chance.randbytes(1) + mutated(chance.choice(MESSAGES), chance, (b"\2\0", b"\n\0", b"\3", bytes(8)))


if __name__ == "__main__":
    run(test_one, made)
