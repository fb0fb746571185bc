"""Worker processes: begun, begun again when one dies, renewed without a pause, and ended together.

What a worker does is the caller's. A worker holds the reading end of a pipe whose writing end its parent alone has,
so it knows when the parent is gone, however that ended, and ends too.
"""

from __future__ import annotations

import logging
import os
import select
import signal
from contextlib import contextmanager, suppress
from time import monotonic
from typing import NamedTuple

from portbook.errors import N_, PortbookError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

END_SECONDS = 5.0
"""Within so many every worker has ended, or is ended."""

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_PROVEN = 10.0
"""A worker that lived so long did not die of how it was begun."""
_TICK = 0.5


class Tether(NamedTuple):
    """What ties a worker to its parent: descriptors to say that it answers, and to read the parent's end from."""

    ready: int
    parent: int

    def is_ready(self) -> None:
        """Say that this worker answers from now on."""
        with suppress(OSError):
            os.write(self.ready, b".")


class Crew(NamedTuple):
    """So many workers, and what each does until SIGTERM; at SIGHUP it finishes what it has begun, and ends.

    `ended` is told the process id of each that has ended.
    """

    number: int
    work: Callable[[Tether], None]
    ended: Callable[[int], None] | None = None


class _Worker:
    """One process, as its parent sees it."""

    def __init__(self, pid: int, ready: int, crew: Crew) -> None:
        self.pid, self.crew = pid, crew
        self.begun = monotonic()
        self.is_ready = self.is_leaving = False
        self._ready = ready

    def look(self) -> None:
        """See whether it has said that it answers."""
        if not self.is_ready:
            with suppress(BlockingIOError):
                self.is_ready = bool(os.read(self._ready, 1))

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it is gone; how it ended is logged unless it was told to."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return False
        self.look()
        os.close(self._ready)
        if not self.is_leaving:
            log.warning("worker %d ended with %d", self.pid, os.waitstatus_to_exitcode(status))
        return True


def supervise(crew: Crew, renewed: Callable[[], Crew]) -> None:
    """Keep a crew at work until SIGTERM or SIGINT; at SIGHUP have the one that `renewed` returns take over.

    Only a process without threads may call it. Raises Unavailable where no worker ever comes to answer.
    """
    reading, writing = os.pipe()
    try:
        with _signals() as come:
            _Supervisor(crew, renewed, (reading, writing)).keep(come)
    finally:
        os.close(reading)
        os.close(writing)


class _Supervisor:
    def __init__(self, crew: Crew, renewed: Callable[[], Crew], tether: tuple[int, int]) -> None:
        self._crew, self._renewed, self._tether = crew, renewed, tether
        self._before: Crew | None = None
        self._workers: list[_Worker] = []
        self._pause, self._next = 0.0, 0.0
        self._deadline: float | None = None
        self._has_answered = False

    def keep(self, come: Callable[[float], set[int]]) -> None:
        """Keep at it until all have ended."""
        try:
            while self._deadline is None or self._workers:
                if self._deadline is None:
                    self._begin_missing()
                came = come(_TICK if self._has_answered and self._before is None else 0.05)
                if came & {signal.SIGTERM, signal.SIGINT}:
                    self._end()
                self._reap()
                if signal.SIGHUP in came and self._deadline is None:
                    self._renew()
                self._hand_over()
                if self._deadline is not None and monotonic() > self._deadline:
                    self._tell(signal.SIGKILL)
        except BaseException:
            self._tell(signal.SIGKILL)
            raise

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.is_leaving = True
            worker.tell(number)

    def _end(self) -> None:
        if self._deadline is None:
            self._deadline = monotonic() + END_SECONDS
            self._tell(signal.SIGTERM)

    def _begin_missing(self) -> None:
        mine = sum(worker.crew is self._crew for worker in self._workers)
        if monotonic() < self._next:
            return
        for _ in range(self._crew.number - mine):
            self._workers.append(self._begun())

    def _begun(self) -> _Worker:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        pid = os.fork()
        if pid:
            os.close(writing)
            return _Worker(pid, reading, self._crew)
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            os.close(self._tether[1])
            self._crew.work(Tether(writing, self._tether[0]))
            code = 0
        except BaseException:
            log.exception("this worker cannot go on")
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Notice who has ended. Raises Unavailable where nobody has ever answered."""
        ended = [worker for worker in self._workers if worker.has_ended()]
        self._workers = [worker for worker in self._workers if worker not in ended]
        for worker in ended:
            if worker.crew.ended is not None:
                worker.crew.ended(worker.pid)
        for worker in self._workers:
            worker.look()
        self._has_answered |= any(worker.is_ready for worker in (*self._workers, *ended))
        died = [worker for worker in ended if not worker.is_leaving and worker.crew is self._crew]
        if not died or self._deadline is not None:
            return
        if not self._has_answered:
            raise Unavailable(N_("the server's processes end as soon as they begin; what they said stands above"))
        if self._before is not None and not all(worker.is_ready for worker in died):
            log.error("the renewed workers cannot begin: those from before go on")
            self._leave(self._crew, signal.SIGTERM)
            self._crew, self._before = self._before, None
            return
        proven = any(monotonic() - worker.begun > _PROVEN for worker in died)
        self._pause = _FIRST_PAUSE if proven else min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
        self._next = monotonic() + self._pause

    def _renew(self) -> None:
        if self._before is not None:
            return  # one renewal is under way
        try:
            crew = self._renewed()
        except PortbookError as error:
            log.error("the settings cannot be renewed: %s", error)  # noqa: TRY400 - it says what is to be said
            return
        self._before, self._crew, self._next = self._crew, crew, 0.0

    def _hand_over(self) -> None:
        """Have the workers from before finish, as soon as all of the renewed answer."""
        if self._before is None:
            return
        ready = sum(worker.is_ready for worker in self._workers if worker.crew is self._crew)
        if ready >= self._crew.number:
            self._leave(self._before, signal.SIGHUP)
            self._before = None

    def _leave(self, crew: Crew, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.crew is crew:
                worker.is_leaving = True
                worker.tell(number)


@contextmanager
def _signals() -> Iterator[Callable[[float], set[int]]]:
    """Give a function that waits so many seconds at most for signals, and returns which came."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, _nothing) for number in _WATCHED}
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def come(seconds: float) -> set[int]:
        if not select.select([reading], [], [], seconds)[0]:
            return set()
        return set(os.read(reading, 4096))

    try:
        yield come
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _nothing(*_: object) -> None:
    """Let a signal interrupt the wait, no more."""
