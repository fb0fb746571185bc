from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portbook.host.listeners import holders, listeners
from portbook.host.reading import PORTED, Selection, read
from portbook.host.sockets import View
from portbook.host.talks import Talks

from .. import servers
from ..linux.children import in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from portbook.socket import Listener

SERVERS = [servers.nginx, servers.sshd, servers.redis, servers.postgresql]


def targets(pid: int) -> set[str]:
    """Return what a process holds, nothing if it has ended."""
    try:
        return {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:
        return set()


def holding(pid: int, port: int) -> set[int]:
    """Return those of a server's processes that hold a listening socket of the port, as /proc itself tells."""
    text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    lines = [line.split() for line in text.splitlines()]
    links = {f"socket:[{words[9]}]" for words in lines if words[3] == "0A" and words[1].endswith(f":{port:04X}")}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {one for one in (pid, *map(int, children)) if targets(one) & links}


def still(server: servers.Server) -> tuple[set[int], list[Listener], list[Any], list[Listener]]:
    """Return who listens as /proc tells, and as portbook does with rights and without, while nothing changed."""
    for _ in range(50):
        before = holding(server.pid, server.port)
        told = (found(server.port), standing(server.port))
        hidden = in_child(lambda: found(server.port), unprivileged=True)
        if holding(server.pid, server.port) == before:
            return before, *told, hidden
        time.sleep(0.05)
    pytest.fail("the server never stood still")


@needs_root
@pytest.mark.parametrize("start", SERVERS, ids=lambda start: str(start.__name__))
def test_who_names_the_process_that_listens(
    start: Callable[[], AbstractContextManager[servers.Server]],
) -> None:
    with start() as server:
        truth, [line], [held], hidden = still(server)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            [row] = talk(server.port, client.getsockname()[1])
    assert server.pid in truth
    assert set(line.owner.pids or ()) == set(held.pids) == truth
    assert line.owner.process == held.process == server.process
    assert (line.owner.owner_by, line.scope, line.user) == ("exact", "loopback", "nobody")
    assert line.addresses == (("::1", "127.0.0.1") if server.process == "nginx" else ("127.0.0.1",))
    assert str(line.owner.command).startswith(("/", "nginx:", "sshd:", "redis"))
    # The server has the same user as the child, and so it is seen; the workers of nginx are not different.
    assert [set(one.owner.pids or ()) for one in hidden] == [truth]
    assert (row.server_port, os.getpid() in row.pids) == (server.port, True)


def found(port: int) -> list[Listener]:
    every = listeners(View(read(Selection(PORTED, owners=True))))
    return [line for line in every if line.port == port]


def standing(port: int) -> list[Any]:
    return [row for row in holders(frozenset({port}), Selection(PORTED)) if row.holds == "listening"]


def talk(port: int, client: int) -> list[Any]:
    talks = Talks(View(read(Selection(PORTED, owners=True, detailed=True))), frozenset({port}))
    return [row for row in talks.table() if row.client_port == client]
