"""The ports that are still to be asked, and in which order; how fast is pace.py's."""

from __future__ import annotations

import random
from array import array
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Address = tuple[str, int]

MANY_PORTS = 50
"""From so many ports of a host on it is asked for two more, which hardly anybody would have open."""

CONTROLS = range(49152, 65536)
"""Of these they are: nobody has been assigned one (RFC 6335, section 6)."""


class Queue:
    """The ports that are still to be asked: first the controls, then those in front, then all others at random.

    The controls are two ports of each host of which many ports are asked.
    """

    def __init__(self, ports: Sequence[Address], likely: Iterable[Address], shuffle: bool) -> None:
        first = dict.fromkeys(likely) if shuffle else {}
        there = set()
        many_of: dict[str, int] = {}
        # Numbers instead of addresses: of a million ports that is what fits into little memory.
        self.order = array("I")
        for place, address in enumerate(ports):
            if address in first:
                there.add(address)
            else:
                self.order.append(place)
            many_of[address[0]] = many_of.get(address[0], 0) + 1
        if shuffle:
            random.shuffle(self.order)
        else:
            self.order.reverse()
        self.front = deque(address for address in first if address in there)
        self.ports = ports
        self.shuffle = shuffle
        self.controls = deque(
            (host, port)
            for host, many in many_of.items()
            if many >= MANY_PORTS
            for port in random.sample(CONTROLS, 2)
        )

    def __len__(self) -> int:
        return len(self.controls) + len(self.front) + len(self.order)

    def take(self, count: int) -> list[Address]:
        """Return `count` of the next at most, at least one, all of one family; a control comes alone."""
        if self.controls:
            return [self.controls.popleft()]
        taken = [self._next()]
        is_ipv6 = ":" in taken[0][0]
        while len(taken) < count and (self.front or self.order):
            address = self._next()
            if (":" in address[0]) != is_ipv6:
                self.front.appendleft(address)
                break
            taken.append(address)
        return taken

    def look_again(self, silent: list[Address]) -> None:
        """Have these, which it takes over, be asked once more when nothing else waits.

        In another order than before, that none stands twice where the first of a burst get through and others not.
        """
        if self.shuffle:
            random.shuffle(silent)
        self.front.extend(silent)
        silent.clear()

    def put_back(self, taken: Sequence[Address], control: bool) -> None:
        """Have these be the next again."""
        (self.controls if control else self.front).extendleft(reversed(taken))

    def _next(self) -> Address:
        return self.front.popleft() if self.front else self.ports[self.order.pop()]
