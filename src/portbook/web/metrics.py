"""The counters that an operator's Prometheus reads: requests, tests, ports, quotas.

Each app counts for itself. Where there are many workers, each writes its counters to files of a folder, and any of
them tells the sum (prometheus_client's multiprocess mode, which is chosen before that package is first imported).
"""

from __future__ import annotations

import os
import shutil

from portbook.web.runs import LEFT, OUT_OF_TIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.web.logs import Line
    from portbook.web.runs import Event
    from portbook.web.settings import Settings

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
"""Seconds: pages take milliseconds, tests of silent ports some seconds."""


def folder(settings: Settings) -> str:
    """Return where the counters of many workers are."""
    return os.path.join(settings.data, "metrics")


def prepare(settings: Settings) -> None:
    """Begin the counters of many workers anew; called once, before the first of them starts."""
    if settings.workers > 1:
        shutil.rmtree(folder(settings), ignore_errors=True)
        os.makedirs(folder(settings), mode=0o700)
        os.environ[_FOLDER] = folder(settings)


def worker_ended(settings: Settings, pid: int) -> None:
    """Drop what a worker that is no more was doing at that moment; what it has counted stays."""
    if settings.workers > 1:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, folder(settings))  # type: ignore[no-untyped-call]


class Metrics:
    """The counters of one app."""

    def __init__(self, settings: Settings) -> None:
        self._folder = folder(settings) if settings.workers > 1 else None
        if self._folder is not None:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            os.environ[_FOLDER] = self._folder
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "portbook_requests_total",
            "Requests, by the template of their path",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "portbook_request_seconds",
            "How long requests took, to the end of their answers",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._tests = Counter(
            "portbook_tests_total",
            "Tests: begun, joined (another answered), ended, left (nobody waited), out_of_time",
            ("event",),
            registry=self._registry,
        )
        self._ports = Counter(
            "portbook_ports_total",
            "Ports tested, by what they came to",
            ("transport", "state"),
            registry=self._registry,
        )
        self._running = Gauge(
            "portbook_tests_running", "Tests that run now", registry=self._registry, multiprocess_mode="livesum"
        )
        self.streams = Gauge(
            "portbook_event_streams", "Event streams open now", registry=self._registry, multiprocess_mode="livesum"
        )
        self.quota_refusals = Counter(
            "portbook_quota_refusals_total", "Requests refused by a quota", ("quota",), registry=self._registry
        )

    def answered(self, line: Line) -> None:
        """Count a request."""
        self._requests.labels(line.method, line.route, str(line.status)).inc()
        self._seconds.labels(line.route).observe(line.seconds)

    def begun(self) -> None:
        """Count a test that begins in this worker."""
        self._tests.labels("begun").inc()
        self._running.inc()

    def joined(self) -> None:
        """Count a visitor whose question another test answers."""
        self._tests.labels("joined").inc()

    def said(self, event: Event) -> None:
        """Count what a test of this worker says after that."""
        if event.over:
            ends = {LEFT: "left", OUT_OF_TIME: "out_of_time"}
            self._tests.labels(ends.get(event.note or "", "ended")).inc()
            self._running.dec()
        elif event.final and event.row is not None:
            self._ports.labels(event.row["transport"], event.row["state"]).inc()

    def text(self) -> bytes:
        """Return all counters as Prometheus reads them (text format, version 0.0.4)."""
        from prometheus_client import CollectorRegistry, generate_latest

        if self._folder is None:
            return generate_latest(self._registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)
