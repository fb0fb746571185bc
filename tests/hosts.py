"""Hosts on one machine for the tests: network namespaces with names of their own, joined by virtual cables.

A socket is made inside a host by entering it for a moment; it stays there, whoever uses it later.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from portbook.linux.namespaces import entered, find_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = count()


def ip(*words: str) -> None:
    """Run ip(8). Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Host:
    """A network namespace with its loopback device up."""

    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Put the calling thread, and the children that it starts, into this host."""
        with entered(find_namespace(self.name)):
            yield

    def ip(self, *words: str) -> None:
        """Run ip(8) in this host."""
        ip("-n", self.name, *words)


@contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """Make some hosts, and take them away at the end. Skips the test where that is not allowed."""
    made = []
    with ExitStack() as stack:
        for _ in range(number):
            name = f"portbook-{os.getpid()}-{next(_NUMBERS)}"
            try:
                ip("netns", "add", name)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no network namespace can be made here: {error}")
            stack.callback(ip, "netns", "delete", name)
            host = Host(name)
            host.ip("link", "set", "lo", "up")
            made.append(host)
        yield made


class Cable:
    """A virtual cable between two hosts; the ends are 10.66.0.1 and fd66::1, 10.66.0.2 to .9 and fd66::2 to ::9.

    An address of the far end can be cut off: what is then sent to it is lost, and what it sends still arrives.
    """

    NEAR, FAR = "02:00:00:00:66:01", "02:00:00:00:66:02"
    NOBODY = "02:00:00:00:66:99"

    def __init__(self, near: Host, far: Host) -> None:
        self.near, self.far = near, far
        near.ip(
            *("link", "add", "cable", "address", self.NEAR, "type", "veth"),
            *("peer", "name", "cable", "address", self.FAR, "netns", far.name),
        )
        for host, numbers in ((near, range(1, 2)), (far, range(2, 10))):
            for number in numbers:
                host.ip("address", "add", f"10.66.0.{number}/24", "dev", "cable")
                host.ip("address", "add", f"fd66::{number}/64", "dev", "cable", "nodad")
            host.ip("link", "set", "cable", "up")
        # The neighbours are told, so that nobody asks for them while the tables are compared.
        for number in range(1, 10):
            for address in (f"10.66.0.{number}", f"fd66::{number}"):
                ends = (far, self.NEAR) if number == 1 else (near, self.FAR)
                self._tell_neighbour(*ends, address)

    def cut(self, address: str) -> None:
        """Lose whatever is sent to this address of the far end from now on."""
        self._tell_neighbour(self.near, self.NOBODY, address)

    @staticmethod
    def _tell_neighbour(host: Host, link_address: str, address: str) -> None:
        host.ip("neighbour", "replace", address, "lladdr", link_address, "dev", "cable", "nud", "permanent")
