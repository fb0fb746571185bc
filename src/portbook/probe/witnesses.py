"""Ports asked for what they tell of others: canaries, whether packets get lost; controls, whether all is open.

They are kept here; asking them is reach.py's, and what the losses mean pace.py's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.probe.reach import Outcome

    Address = tuple[str, int]

MOST = 32
"""Canaries of one host."""

_INTERVAL, _SYNS = 0.05, 4
OPEN_ASKS, OPEN_INTERVAL = 10, 1.5
"""So often an open port is asked as soon as it can be of use, and then once in so many seconds: servers count who
connects and says nothing (OpenSSH's PerSourcePenalties a second for each, from 15 on; MySQL's max_connect_errors 100
in all). A reset bothers nobody."""


@dataclass(slots=True)
class Open:
    """An open port, how often it was asked as a canary, and when last."""

    address: Address
    asked: int = 0
    last: float = 0.0


@dataclass(slots=True)
class Canaries:
    """Ports of a host that are known to answer, by a reset or by accepting."""

    resets: deque[Address] = field(default_factory=lambda: deque(maxlen=MOST))
    opens: deque[Open] = field(default_factory=lambda: deque(maxlen=MOST))

    def next(self, now: float) -> Address | None:
        """Return the one to be asked now, None while none should be bothered."""
        if self.resets:
            self.resets.rotate(1)
            return self.resets[0]
        for _ in range(len(self.opens)):
            self.opens.rotate(1)
            one = self.opens[0]
            if one.asked < OPEN_ASKS or now - one.last >= OPEN_INTERVAL:
                one.asked += 1
                one.last = now
                return one.address
        return None


@dataclass(slots=True)
class Turns:
    """When canaries are asked, in seconds: with what begins, and again when the kernel sends its SYNs again.

    So they share its fate: what gets through between two bursts says nothing of what gets lost in them.
    """

    planned: float = 0.0
    due: list[float] = field(default_factory=list)

    def plan(self, now: float) -> None:
        """Plan the canaries of what begins now, unless some were just planned."""
        if now - self.planned >= _INTERVAL:
            self.planned = now
            for later in range(_SYNS):
                heappush(self.due, now + later)

    def take(self, now: float) -> bool:
        """Return whether it is time for a canary, which is then no longer due."""
        if now < self.next():
            return False
        heappop(self.due)
        return True

    def next(self) -> float:
        """Return when the next is due, infinity for never."""
        return self.due[0] if self.due else inf


@dataclass(slots=True)
class Controls:
    """The two ports of a host that hardly anybody has open, and what is open there and waits for their answers.

    `all_open` is None until that is known.
    """

    since: float
    accepted: int = 0
    descriptors: list[int] = field(default_factory=list)
    held: list[Outcome] = field(default_factory=list)
    all_open: bool | None = None
