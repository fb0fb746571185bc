"""A server in what a container engine makes: namespaces of its own, and a control group that bears its number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from portbook.host.listeners import holders, listeners
from portbook.host.reading import PORTED, Selection, read
from portbook.host.sockets import View
from portbook.host.talks import Talks

ID = "b0c1d2e3f4" * 6 + "abcd"
SERVER = """
import socket
server = socket.create_server(("0.0.0.0", 8080), backlog=9)
client = socket.create_connection(("127.0.0.1", 8080))
client.sendall(b"ping")
peer, _ = server.accept()
print("ready", flush=True)
input()
"""


@pytest.fixture
def container(control_group: Path) -> Iterator[int]:
    """Yields the PID, as the host sees it, of a server in a container-like place."""
    group = control_group / f"docker-{ID}.scope"
    group.mkdir()
    command = ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
    inside = ["sh", "-c", f"ip link set lo up && exec {sys.executable} -c '{SERVER}'"]

    def enter() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        with subprocess.Popen(
            [*command, *inside],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=enter,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield int(children[0])
            process.communicate("\n", timeout=30)
    finally:
        deadline = monotonic() + 10
        while group.exists() and monotonic() < deadline:
            with suppress(OSError):
                group.rmdir()
            sleep(0.01)
    assert not group.exists()


def test_who_names_the_server_and_its_container(container: int) -> None:
    view = View(read(Selection(PORTED, owners=True, netns="all")))
    [one] = [one for one in listeners(view) if one.owner.pids == (container,)]
    assert (one.port, one.scope, one.queue_limit, one.conversations) == (8080, "container", 9, 1)
    assert (one.owner.container, one.owner.unit) == (f"docker:{ID[:12]}", f"docker-{ID}.scope")
    assert one.netns == f"docker:{ID[:12]}"


def test_the_namespace_is_found_by_pid_and_by_the_containers_name(container: int) -> None:
    for name in (str(container), ID[:12], f"docker:{ID[:12]}"):
        table = holders(frozenset({8080}), Selection(PORTED, netns=name))
        assert {row.holds for row in table if row.pids == (container,)} == {"listening", "conversation"}


def test_its_conversation_is_one_line(container: int) -> None:
    talks = Talks(View(read(Selection(PORTED, owners=True, detailed=True, netns="seen"))))
    [row] = [row for row in talks.table() if row.pids == (container,)]
    assert (row.server_port, row.client_payload, row.container) == (8080, 4, f"docker:{ID[:12]}")
