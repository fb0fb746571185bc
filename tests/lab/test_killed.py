"""A lab whose processes are killed at any moment: nothing of it may be left once the next call has been made."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from portbook.errors import PortbookError
from portbook.lab import keeper, namespaces, state
from portbook.lab.scenario import Scenario, load
from tests.lab.conftest import eventually
from tests.lab.faking import put_in_place
from tests.lab.plans import echo
from tests.linux.children import ChildError, in_child, needs_root

MOMENTS = 20
KINDS = ("keeper", "wire", "caller", "host", "server")
LATEST = 0.8
"""Seconds after which the lab is up, so that it is killed before and after that."""


def folder_of(name: str) -> str:
    return f"{state.base_folder()}/{name}"


def in_a_small_machine(body: Callable[[], object]) -> object:
    """Return what `body` returns as the init of a PID namespace with a network, mounts and a /run of its own.

    All the processes that there are then are those that it has made.
    """

    def outer() -> object:
        namespaces.unshare(namespaces.NEW_PID | namespaces.NEW_NET | namespaces.NEW_MOUNTS)

        def inner() -> object:
            namespaces.mount("none", "/", None, namespaces.MS_REC | namespaces.MS_PRIVATE)
            namespaces.mount("proc", "/proc", "proc", 0)
            namespaces.mount("tmpfs", "/run", "tmpfs", 0)
            return body()

        return in_child(inner)

    return in_child(outer)


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def others() -> list[str]:
    """Return the processes besides this one, once the dead are reaped."""
    reap()
    return [name for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()]


def named(*names: str) -> list[int]:
    """Return the processes whose names begin with one of these."""
    return [int(pid) for pid in others() if read(f"/proc/{pid}/comm").startswith(names)]


def victim_of(kind: str, caller: int) -> int:
    """Return the process to kill: the caller, the keeper, the wire, the init of a host, or a server.

    The caller where there is none of these yet.
    """
    found = {"caller": [caller], "keeper": named("portbook-lab"), "wire": named("portbook-wire")}
    found |= {"host": named("init-"), "server": named("python3", "nginx")}
    return random.choice(found[kind] or [caller])


def plan() -> Scenario:
    """Return web-ftp with a server more, which has mounts and a user of its own."""
    made = load("web-ftp")
    return replace(made, services=(*made.services, echo("word", 77)))


def killed_at(moment: float, kind: str) -> dict[str, object]:
    """Kill one of the lab's processes at a moment after the start; return all that is left after the next call."""
    name = "killed"
    mounts, links = read("/proc/self/mounts"), socket.if_nameindex()
    started = os.fork()
    if not started:
        try:
            keeper.up(plan(), name=name)
        except PortbookError:
            pass  # which says that something was killed
        finally:
            os._exit(0)
    time.sleep(moment)
    with suppress(ProcessLookupError):  # it may have come to its end by itself
        os.kill(victim_of(kind, started), signal.SIGKILL)
    # Where it was up already, all of it or without the one that was killed, it is ended; else it ends by itself.
    gone = eventually(lambda: end_all() and state.started_at(started) is None and not os.path.exists(folder_of(name)))
    left: dict[str, object] = {}
    if not gone or os.path.exists("/run/portbook"):
        left["folder"] = [str(found) for found in os.walk("/run/portbook")]
    if not eventually(lambda: not others()):
        left["processes"] = [read(f"/proc/{pid}/cmdline") for pid in others()]
    if read("/proc/self/mounts") != mounts:
        left["mounts"] = read("/proc/self/mounts")
    if socket.if_nameindex() != links:
        left["links"] = socket.if_nameindex()
    return left


def end_all() -> bool:
    for up in state.running():
        if up.up:
            keeper.down(up)
    return True


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        return str(error)


@needs_root
def test_killed_at_any_moment_it_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(
        monkeypatch,
        "echo",
        commands=(("sh", "-c", "touch /var/lib/mark /opt/mark"),),
        files=(("hostname", "bound"),),
        empty=("/opt", "/var/lib"),
        binds=(("hostname", "/etc/hostname"),),
        user="nobody",
    )
    moments = [(random.uniform(0, LATEST), KINDS[number % len(KINDS)]) for number in range(MOMENTS)]

    def body() -> list[tuple[float, str, dict[str, object]]]:
        return [(*moment, killed_at(*moment)) for moment in moments]

    try:
        outcomes = in_a_small_machine(body)
    except ChildError as error:
        if "PermissionError" not in str(error.args):
            raise
        pytest.skip(f"no namespaces can be made here: {error}")
    assert outcomes == [(*moment, {}) for moment in moments]
    assert not os.path.exists("/opt/mark")
    assert not os.path.exists("/var/lib/mark")
