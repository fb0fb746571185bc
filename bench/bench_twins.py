"""The compiled twins against their Python references, in one process, on the same bytes of a real crowd.

Both must give the same answer before they are timed.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from crowd import crowd
from printed import Bar, bars, heading, machine, table
from side_by_side import rounds_argument

from portbook import compiled, tcp
from portbook.endpoint import TCP
from portbook.host.reading import Reading, Selection
from portbook.host.sockets import View, names_of
from portbook.linux import descriptors
from portbook.linux.sock_diag import BUFFER_SIZE, NETLINK_SOCK_DIAG, PROTOCOLS
from portbook.output import rows
from portbook.output.data import json_fields
from portbook.output.fields import Field
from portbook.output.tables import GAP, shown_columns
from portbook.socket import FIELDS, SocketStore
from portbook.wire import netlink, sock_diag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from portbook.columns import Table

    Work = Callable[[ModuleType], object]

SOCKETS = 20_000
TABLE_COLUMNS = (
    "transport", "state", "recv_queue", "send_queue", "local_ip", "local_port", "remote_ip", "remote_port",
)  # fmt: skip


def dumped() -> list[bytes]:
    """Return the buffers in which the kernel tells of the TCP sockets over IPv4."""
    asked = sock_diag.inet_request(socket.AF_INET, PROTOCOLS[TCP], tcp.kernel_mask(tcp.ALL), False, 1)
    buffers = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(asked)
        while True:
            buffer = kernel.recv(BUFFER_SIZE)
            buffers.append(buffer)
            if any(kind == netlink.NLMSG_DONE for kind, _, _ in netlink.messages(memoryview(buffer))):
                return buffers


def decoded(module: ModuleType, buffers: Sequence[bytes]) -> SocketStore:
    """Return the sockets in the buffers."""
    store = SocketStore()
    for buffer in buffers:
        module.decode(memoryview(buffer), TCP, store)
    return store


def told(store: SocketStore) -> list[object]:
    """Return all that a store holds, to be compared."""
    return [store.local_ip, store.remote_ip, *(getattr(store, name) for name in FIELDS)]


def plain_fields(shown: Table) -> list[Field]:
    """Return the fields of a plain table."""
    cells = shown_columns(shown, str)
    return [Field(one.cells, GAP if place else b"", 0, one.right) for place, one in enumerate(cells)]


def works(buffers: list[bytes], store: SocketStore, pids: list[int]) -> dict[str, tuple[str, Work]]:
    """Return what both sides do: its name, the module whose functions do it, and the call."""
    view = View(Reading(store))
    listing, data = view.table(TABLE_COLUMNS), view.table(names_of(Selection()))
    fields, json = plain_fields(listing), json_fields(data)
    count = len(store)
    holders = descriptors.socket_holders(pids)
    return {
        "decode a netlink dump": (sock_diag.__name__, lambda module: told(decoded(module, buffers))),
        "measure a table": (rows.__name__, lambda module: module.measure(fields, None)),
        "render a table": (rows.__name__, lambda module: module.render(fields, None, 0, count, b"\n")),
        "render ndjson": (rows.__name__, lambda module: module.render(json, None, 0, count, b"}\n")),
        "scan descriptors": (descriptors.__name__, lambda module: module.socket_holders(pids)),
        "join owners": (descriptors.__name__, lambda module: module.join(store.inode, store.cgroup, holders)),
    }


def seconds(work: Work, module: ModuleType) -> float:
    """Return how long one call takes."""
    begun = perf_counter()
    work(module)
    return perf_counter() - begun


def main() -> None:
    """Compare, measure, print the figures and the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=SOCKETS, help=f"how many sockets are made ({SOCKETS:,})")
    rounds_argument(parser)
    asked = parser.parse_args()
    heading(f"Compiled twins and their references, {asked.sockets:,} sockets", asked.rounds)
    print(machine())
    printed, asked_of = [], []
    with crowd(asked.sockets) as pids:
        buffers = dumped()
        store = decoded(sock_diag, buffers)
        for name, (reference_name, work) in works(buffers, store, pids).items():
            reference, twin = sys.modules[reference_name], compiled.twin(reference_name)
            if twin is None:
                asked_of.append(Bar(f"{name}, twin against reference", None, 1, "times", strict=True))
                continue
            if work(reference) != work(twin):
                sys.exit(f"{name}: the twin and the reference of {reference_name} differ")
            pairs = [(seconds(work, reference), seconds(work, twin)) for _ in range(asked.rounds)]
            slow, fast = (statistics.median(side) for side in zip(*pairs, strict=True))
            share = statistics.median(theirs / ours for ours, theirs in pairs)
            printed.append((name, f"{slow * 1000:.2f}", f"{fast * 1000:.2f}", f"{1 / share:.1f}"))
            asked_of.append(Bar(f"{name}, twin against reference", share, 1, "times", strict=True))
    table(("work", "reference ms", "twin ms", "times as fast"), printed)
    bars(asked_of)


if __name__ == "__main__":
    main()
