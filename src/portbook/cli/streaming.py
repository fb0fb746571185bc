"""Rows that are written as they come: at once where they come slowly, many at a time where they come fast."""

from __future__ import annotations

from threading import Event, Lock, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portbook.porttest import PortTest

_APART = 0.05
"""Seconds from one writing to the next."""


class Stream:
    """Tests on their way to a `write`, which is called in a thread of its own; its errors come back to the caller."""

    def __init__(self, write: Callable[[Sequence[PortTest]], None]) -> None:
        self._write = write
        self._waiting: list[PortTest] = []
        self._lock = Lock()
        self._some, self._over = Event(), Event()
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def give(self, test: PortTest) -> None:
        """Have a test written before long. Raises what writing raised."""
        if self._error is not None:
            raise self._error
        with self._lock:
            self._waiting.append(test)
        self._some.set()

    def end(self) -> None:
        """Return when all is written. Raises what writing raised."""
        self._over.set()
        self._some.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            last = self._over.is_set()
            with self._lock:
                tests, self._waiting = self._waiting, []
            try:
                if tests:
                    self._write(tests)
            except Exception as error:  # noqa: BLE001 - it is raised again where the rows come from
                self._error = error
                return
            if last:
                return
            self._over.wait(_APART)
