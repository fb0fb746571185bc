"""How fast ports are tested, and how far silence can be believed: figures only, no clock and no network.

Silence alone proves nothing: a host that drops everything and a network that is overrun look alike. So ports that
are known to answer are asked again now and then, the canaries. Their losses tell how many packets get lost; the rate
is halved while many do, and grows by small parts of itself while few do (as TCP's, RFC 5681).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

LINEAR_TRIES = 5
"""The first SYN and those that follow it at intervals of one second (tcp_syn_linear_timeouts; Linux since 6.5)."""

_TOO_MANY = 0.15
"""Losses above this cannot be made good by four tries: 0.15**4 is one port in two thousand."""

_ENOUGH, _HARDLY = 20, 0.01
_A_FEW, _UNKNOWN = 5, 0.05
_WEIGHT = 0.05
DOUBT = 0.00001
_GROWTH, _FEW_ENOUGH = 1.1, 0.1
_SLOWEST = 20.0
_SETTLING = 1.0


@dataclass
class Bucket:
    """A token bucket: `rate` tokens come each second, and up to `depth` wait to be taken."""

    rate: float
    depth: float
    tokens: float = 1.0
    filled: float = 0.0

    def pour(self, rate: float, depth: float) -> None:
        """Let tokens come at another rate, and at least one of them wait."""
        self.rate, self.depth = rate, max(1.0, depth)

    def take(self, now: float, most: int) -> int:
        """Return how many may begin now, `most` at most; `now` in seconds."""
        self.tokens = min(self.depth, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        taken = min(most, int(self.tokens))
        self.tokens -= taken
        return taken

    def give(self, count: int) -> None:
        """Put tokens back: of what did not begin, or has been answered."""
        self.tokens = min(self.depth, self.tokens + count)

    def wait(self) -> float:
        """Return the seconds until the next token."""
        return max(0.0, (1.0 - self.tokens) / self.rate)


@dataclass
class Pace:
    """The rate of new tries, and the share of packets that get lost as the canaries have it (None: no canary yet)."""

    rate: float
    most: float
    loss: float | None = None
    changed: float = 0.0
    canaries: int = 0
    _history: deque[tuple[float, float]] = field(default_factory=deque)
    """When the loss was how high, without what was followed by more."""

    def answered(self, now: float) -> None:
        """Count a canary that answered its first packet."""
        loss = (1 - _WEIGHT) * (self.loss or 0.0)
        self._note(now, loss)
        if loss < _FEW_ENOUGH and self.rate < self.most and now - self.changed > _SETTLING:
            self.rate = min(self.most, self.rate * _GROWTH)
            self.changed = now

    def lost(self, now: float) -> None:
        """Count a canary whose first packet, or its answer, got lost."""
        loss = _WEIGHT + (1 - _WEIGHT) * (self.loss or 0.0)
        self._note(now, loss)
        # What was sent before the last change still tells of the rate before it.
        if loss > _TOO_MANY and now - self.changed > _SETTLING:
            self.rate = max(min(_SLOWEST, self.most), self.rate / 2)
            self.changed = now

    def needed_tries(self) -> int:
        """Return after how many tries a port is silent: one less where the canaries show that hardly any is lost."""
        clear = self.loss is not None and self.canaries >= _ENOUGH and self.loss < _HARDLY
        return 3 if clear else 4

    def doubt(self, tries: int, since: float) -> float:
        """Return how likely an open port is silent to so many tries since then: above DOUBT, it is to be asked again.

        It goes by the highest loss of that time, and counts two tries of one look at most: what is lost is lost in
        bursts, so the tries of a second are not independent. Where too many were lost nothing follows from silence,
        which is 1. `since` never goes back from one call to the next.
        """
        while len(self._history) > 1 and self._history[1][0] <= since:
            self._history.popleft()
        if not self._history:
            return 0.0
        # A few canaries cannot show that nothing is lost.
        known = self._history[0][1] if self.canaries >= _A_FEW else max(self._history[0][1], _UNKNOWN)
        return 1.0 if known > _TOO_MANY else known ** min(tries, 2)

    def _note(self, now: float, loss: float) -> None:
        self.canaries += 1
        self.loss = loss
        while self._history and self._history[-1][1] <= loss:
            self._history.pop()
        self._history.append((now, loss))


def syn_tries(seconds: float) -> int:
    """Return how many SYNs a socket has sent that has been connecting for so long (RFC 6298; see LINEAR_TRIES)."""
    tries, interval, next_try = 1, 1.0, 1.0
    while seconds >= next_try:
        tries += 1
        if tries > LINEAR_TRIES:
            interval *= 2
        next_try += interval
    return tries
