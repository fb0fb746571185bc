"""The names of hosts, asked of the resolver only when a reader wants them, many at a time and for a bounded time."""

from __future__ import annotations

import socket
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 5.0
"""Seconds that all look-ups together may take; what has no answer by then has no name."""

_AT_ONCE = 32


def host_names(addresses: Iterable[str]) -> dict[str, str]:
    """Return the name of each address that has one."""
    names: dict[str, str] = {}
    waiting = sorted(addresses)
    deadline = time.monotonic() + PATIENCE

    def look_up() -> None:
        while waiting and time.monotonic() < deadline:
            try:
                address = waiting.pop()
            except IndexError:
                return
            name = _host_name(address)
            if name is not None:
                names[address] = name

    # Daemon threads: a resolver that hangs must not keep the process from ending.
    threads = [threading.Thread(target=look_up, daemon=True) for _ in range(min(_AT_ONCE, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return dict(names)


def _host_name(address: str) -> str | None:
    try:
        return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except OSError:
        return None
