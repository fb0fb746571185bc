"""A lab whose processes are killed at any moment: nothing of it may be left once the next call has been made."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from portbook.lab import keeper, namespaces, state
from portbook.lab.scenario import load
from tests.lab.conftest import eventually
from tests.linux.children import ChildError, in_child, needs_root

MOMENTS = 20


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


def child_of(pid: int) -> int | None:
    """Return a child of a process."""
    for name in others():
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                    return int(name)
        except OSError:
            continue
    return None


def victim_of(kind: str, caller: int, name: str) -> int:
    """Return the process to kill: the caller, the keeper or the wire; the caller where there is none yet."""
    try:
        with open(f"{folder_of(name)}/lock", encoding="utf-8") as file:
            keeper_pid = int(file.read().partition(" ")[0])
    except (OSError, ValueError):
        return caller
    return {"caller": caller, "keeper": keeper_pid, "wire": child_of(keeper_pid) or keeper_pid}[kind]


def killed_at(moment: float, kind: str) -> dict[str, object]:
    """Kill one of the lab's processes at a moment after the start; return all that is left after the next call."""
    name = "killed"
    mounts, links = read("/proc/self/mounts"), socket.if_nameindex()
    started = os.fork()
    if not started:
        try:
            keeper.up(load("web-ftp"), name=name)
        finally:
            os._exit(0)
    time.sleep(moment)
    victim = victim_of(kind, started, name)
    with suppress(ProcessLookupError):  # the caller may have come to its end by itself
        os.kill(victim, signal.SIGKILL)
    if victim == started:
        # Unless it was up already, the keeper ends it by itself.
        gone = eventually(lambda: end_all() and not os.path.exists(folder_of(name)))
    else:
        gone = eventually(lambda: state.started_at(victim) is None and state.started_at(started) is None)
        state.clear_dead()
        if kind == "wire":
            gone = eventually(lambda: not os.path.exists(folder_of(name)))
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
def test_killed_at_any_moment_it_leaves_nothing() -> None:
    moments = [(random.uniform(0, 0.5), ("keeper", "wire", "caller")[number % 3]) for number in range(MOMENTS)]

    def body() -> list[tuple[float, str, dict[str, object]]]:
        return [(*moment, killed_at(*moment)) for moment in moments]

    try:
        outcomes = in_a_small_machine(body)
    except ChildError as error:
        if "PermissionError" not in str(error.args):
            raise
        pytest.skip(f"no namespaces can be made here: {error}")
    assert outcomes == [(*moment, {}) for moment in moments]
