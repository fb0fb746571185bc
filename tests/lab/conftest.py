"""Labs for the tests: a running scenario, its hosts as objects, and its truth; ended with the test."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portbook.errors import Unavailable
from portbook.lab import hosts, keeper, network
from portbook.lab.scenario import Scenario, load
from portbook.lab.state import Event, LabState, ServiceState, base_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess, Popen

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["*"]

_PR_SET_CHILD_SUBREAPER = 36
_RAISING = {"lab", "state"}
_RAISING_BY_THEMSELVES = {"test_killed.py", "test_rights.py"}

_NUMBERS = count()
SOON = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what raises labs and what starts real servers."""
    for item in items:
        if not item.path.is_relative_to(Path(__file__).parent):
            continue
        if item.path.parent.name == "servers" or item.path.name == "test_main_ports.py":
            item.add_marker(pytest.mark.servers)
        by_itself = item.path.name in _RAISING_BY_THEMSELVES
        if by_itself or _RAISING & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)


@dataclass(frozen=True)
class LabHost:
    """A host that is up: commands run inside it; its first address; its cables cut and joined."""

    lab: LabState
    name: str

    @property
    def address(self) -> str:
        return self.lab.host(self.name).address

    def run(self, *argv: str, **options: Any) -> CompletedProcess[str]:
        return hosts.run(self.lab, self.name, argv, **options)

    def spawn(self, *argv: str, **options: Any) -> Popen[str]:
        return hosts.spawn(self.lab, self.name, argv, **options)

    def cut(self) -> None:
        network.cut(self.lab, self.name)

    def restore(self) -> None:
        network.restore(self.lab, self.name)


@dataclass(frozen=True)
class Lab:
    """A lab that is up, what was told while it was raised, and what each of its services really is."""

    state: LabState
    events: list[Event] = field(default_factory=list)

    def __getitem__(self, name: str) -> LabHost:
        return LabHost(self.state, self.state.host(name).name)

    @property
    def services(self) -> dict[str, ServiceState]:
        return {service.name: service for service in self.state.services}


def eventually(truth: Callable[[], object]) -> bool:
    """Return whether something becomes true before long."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if truth():
            return True
        time.sleep(0.005)
    return bool(truth())


def unique(name: str) -> str:
    """Return a name for a lab that no other has."""
    return f"test-{os.getpid()}-{next(_NUMBERS)}-{name}"


@pytest.fixture(scope="session", autouse=True)
def _orphans_come_to_the_tests() -> None:
    """Have what outlives its parent become a child of the tests: so that it is known whose it is."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """Return the PIDs of this process's children; the dead that nobody else waits for are reaped."""
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        if int(parent) != os.getpid():
            continue
        if state == b"Z":
            os.waitpid(int(name), os.WNOHANG)
        else:
            found.add(int(name))
    return found


def command_of(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        return file.read().replace("\0", " ")


def left_of_tests() -> list[str]:
    """Return the folders and the mounts of this run's labs and hosts: they bear its PID in their names."""
    base, mine = base_folder(), f"-{os.getpid()}-"
    folders = os.listdir(base) if os.path.isdir(base) else []
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        return [name for name in folders if mine in name] + [line for line in file if mine in line]


@pytest.fixture(autouse=True)
def _nothing_is_left(_orphans_come_to_the_tests: None) -> Iterator[None]:
    """Fail the test that leaves a process, a folder or a mount behind."""
    before, there = children(), left_of_tests()
    yield
    assert eventually(lambda: not children() - before), [command_of(pid) for pid in children() - before]
    assert [one for one in left_of_tests() if one not in there] == []


Raise = Callable[[str | Scenario], Lab]


def raised(scenario: Scenario) -> Lab:
    """Return a lab that the caller ends. Skips the test where no namespaces can be made."""
    events: list[Event] = []
    try:
        state, _ = keeper.up(scenario, events.append, unique(scenario.name))
    except Unavailable as error:
        if events:  # it was no want of rights or programs
            raise
        pytest.skip(f"no lab can be raised here: {error}")
    return Lab(state, events)


@pytest.fixture
def lab() -> Iterator[Raise]:
    """Raises scenarios, by name or as plans. Skips the test where no namespaces can be made."""
    with ExitStack() as stack:

        def raised_until_the_end(plan: str | Scenario) -> Lab:
            found = raised(load(plan) if isinstance(plan, str) else plan)
            stack.callback(keeper.down, found.state)
            return found

        yield raised_until_the_end
