"""Labs for the tests: a running scenario, its hosts as objects, and its truth; ended with the test."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from portbook.errors import Unavailable
from portbook.lab import hosts, keeper, network
from portbook.lab.scenario import Scenario, load
from portbook.lab.state import Event, LabState, ServiceState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess, Popen

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["*"]

_NUMBERS = count()
SOON = 20.0


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


@pytest.fixture
def lab() -> Iterator[Callable[[str | Scenario], Lab]]:
    """Raises scenarios, by name or as plans. Skips the test where no namespaces can be made."""
    with ExitStack() as stack:

        def raised(plan: str | Scenario) -> Lab:
            scenario = load(plan) if isinstance(plan, str) else plan
            events: list[Event] = []
            try:
                state, _ = keeper.up(scenario, events.append, unique(scenario.name))
            except Unavailable as error:
                if events:  # it was no want of rights or programs
                    raise
                pytest.skip(f"no lab can be raised here: {error}")
            stack.callback(keeper.down, state)
            return Lab(state, events)

        yield raised
