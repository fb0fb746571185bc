"""A crowd of established TCP sockets, both ends of each counted, held by as many processes as that takes.

Each process has a loopback address of its own, on which it listens and connects to itself, so that neither its
descriptors nor the source ports run out. It lives as long as the pipe that it reads from: when whoever made the
crowd leaves or dies, however that happens, the crowd is gone. Its sockets leave no TIME-WAIT behind.

    python bench/crowd.py 100000
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_EACH = 20_000
"""How many sockets a process holds at most: each connection takes one of the 28,232 source ports of its address."""

SPARE = 64
"""How many descriptors a process keeps for the rest of what it needs."""

BYTES_EACH = 5_000
"""What one socket takes of the machine's memory, rounded up: 3.4 kB measured with Linux 6.18."""

IP_BIND_ADDRESS_NO_PORT = 24
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
BACKLOG = 128


class CrowdFailed(Exception):
    """The machine did not let the sockets be made."""


@contextmanager
def crowd(count: int) -> Iterator[list[int]]:
    """Hold `count` established sockets (an even number) while the context lasts; give the PIDs of their holders.

    Raises CrowdFailed when they cannot be made.
    """
    with ExitStack() as leaving:
        members = []
        for number, pairs in enumerate(shares(count // 2)):
            asked = [sys.executable, "-I", __file__, "--member", address(number), str(pairs)]
            member = subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            leaving.callback(dismiss, member)
            members.append(member)
        for member in members:
            assert member.stdout is not None
            told = member.stdout.readline().decode().strip()
            if told != "standing":
                raise CrowdFailed(told or "a process of the crowd ended before its sockets stood")
        yield [member.pid for member in members]


def dismiss(member: subprocess.Popen[bytes]) -> None:
    """End one process of the crowd, and wait until its sockets are gone."""
    assert member.stdin is not None
    assert member.stdout is not None
    member.stdin.close()
    member.wait()
    member.stdout.close()


def shares(pairs: int) -> list[int]:
    """Return how many connections each of the processes makes that are needed for so many."""
    most = min(MOST_EACH, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE) // 2
    processes = -(-pairs // most)
    return [pairs // processes + (number < pairs % processes) for number in range(processes)]


def address(number: int) -> str:
    """Return the loopback address of the process with that number."""
    return f"127.71.{number // 250}.{number % 250 + 1}"


def obstacle(count: int) -> str | None:
    """Return what keeps this machine from holding so many sockets, None where nothing is known to."""
    memory = available_memory()
    if memory < count * BYTES_EACH:
        return f"{count:,} sockets take about {count * BYTES_EACH / 1e9:.1f} GB, {memory / 1e9:.1f} are available"
    in_use, _, most = map(int, Path("/proc/sys/fs/file-nr").read_text().split())
    if most - in_use < count * 1.1:
        return f"the system opens {most:,} files at most (fs.file-max), {in_use:,} are open"
    processes = len(shares(count // 2))
    allowed = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if allowed not in (resource.RLIM_INFINITY, -1) and processes * 2 > allowed:
        return f"{processes:,} processes are needed, {allowed:,} are allowed"
    return None


def available_memory() -> int:
    """Return how many bytes of memory can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0


def stand(own: str, pairs: int) -> None:
    """Be one process of the crowd: make the connections, say so, and hold them until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        held = connections(own, pairs)
    except OSError as error:
        print(f"{pairs:,} connections on {own}: {error.strerror}", flush=True)
        os._exit(1)
    print("standing", flush=True)
    sys.stdin.buffer.read()
    # The kernel closes so many descriptors faster than they can be named.
    os._exit(0 if held else 1)


def connections(own: str, pairs: int) -> list[int]:
    """Return the descriptors of a listener and of both ends of so many connections to it."""
    listener = resetting()
    listener.bind((own, 0))
    listener.listen(BACKLOG)
    server = listener.getsockname()
    held = []
    for _ in range(pairs):
        client = resetting()
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((own, 0))
        client.connect(server)
        accepted, _ = listener.accept()
        held += [client.detach(), accepted.detach()]
    return [*held, listener.detach()]


def resetting() -> socket.socket:
    """Return a TCP socket that resets when it is closed; those that it accepts do the same."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return made


def main() -> None:
    """Hold a crowd until the end of standard input, or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Hold established TCP sockets until standard input ends.")
    parser.add_argument("count", type=int, help="how many, both ends counted")
    asked = parser.parse_args()
    reason = obstacle(asked.count)
    if reason:
        sys.exit(f"this machine cannot hold the crowd: {reason}")
    try:
        with crowd(asked.count) as pids:
            print(f"{asked.count // 2 * 2:,} sockets stand in processes {' '.join(map(str, pids))}", flush=True)
            sys.stdin.read()
    except CrowdFailed as error:
        sys.exit(f"the crowd could not be made: {error}")
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    if sys.argv[1:2] == ["--member"]:
        stand(sys.argv[2], int(sys.argv[3]))
    main()
