"""Ports tested: reached, and what speaks there found out, as results come.

Whether a TCP port can be reached is reach.py's, what speaks there identify.py's, UDP datagrams.py's; here they go on
side by side, so that a port which answered is identified while others are still silent.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from portbook.errors import N_
from portbook.porttest import PortTest
from portbook.probe.files import room_for_files
from portbook.probe.reach import Limits, Reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence

    from portbook.probe.reach import Outcome
    from portbook.probe.targets import Target

    ServiceName = Callable[[int, str], str | None]

AT_ONCE = 64
"""How many ports are identified at the same time."""

_OWN_FILES = 512
"""Descriptors that are left to identification while ports are being reached."""

_MANY_OPEN = 100
_HURRIED = 8.0
"""Of a host with more open ports than that each is given this many seconds: something accepts whatever comes."""

FAILED = N_("what speaks there could not be found out: portbook failed; please report it")


class Question(NamedTuple):
    """What is to be tested, and how: on every target the ports of each transport, tcp and udp.

    `service_name` gives the registry's name of a port and transport. A target with a port of its own is tested there
    alone. What is `done` (address, port, transport) is left out.
    """

    targets: Sequence[Target]
    ports: Mapping[str, Sequence[int]]
    identify: bool
    limits: Limits
    service_name: ServiceName
    likely: Sequence[int] = ()
    done: frozenset[tuple[str, int, str]] = frozenset()


@dataclass
class Aside:
    """What a run knows beside its results.

    `identifying` are the open ports whose tests have not been yielded: of most it is still being found out what
    speaks there; `missed` is how likely an open port is among the silent ones all the same.
    """

    identifying: dict[tuple[str, int], PortTest] = field(default_factory=dict)
    missed: float = 0.0


def endpoints(question: Question, transport: str) -> Iterator[tuple[Target, int]]:
    """Yield every target with each of its ports of a transport, once."""
    seen = set()
    repeated = len({(target.host, target.ip) for target in question.targets}) < len(question.targets)
    for target in question.targets:
        for port in question.ports[transport] if target.port is None else (target.port,):
            if question.done and (target.ip, port, transport) in question.done:
                continue
            if repeated:
                one = (target.host, target.ip, port)
                if one in seen:
                    continue
                seen.add(one)
            yield target, port


def count(question: Question) -> int:
    """Return how many tests there are."""
    return sum(1 for transport in question.ports for _ in endpoints(question, transport))


def port_tests(question: Question, aside: Aside | None = None) -> Generator[PortTest, None, None]:
    """Yield the test of each endpoint as it ends. Closing the generator ends them all; `aside` then has the rest."""
    background = _Background()
    aside = Aside() if aside is None else aside
    try:
        if "udp" in question.ports:
            background.begin(lambda: _datagrams(question, background.give))
        tcp = _connections(question, background, aside) if "tcp" in question.ports else ()
        for test in chain(tcp, background.rest()):
            yield test
            if test.transport == "tcp":
                aside.identifying.pop((test.ip, test.port), None)
    finally:
        for test in background.ready():
            if test.transport == "tcp":
                aside.identifying[test.ip, test.port] = test
        background.end()


def _connections(question: Question, background: _Background, aside: Aside) -> Iterator[PortTest]:
    """Reach every TCP port; what is open is handed on to be identified, all else is told at once."""
    asked: dict[tuple[str, int], tuple[Target, ...]] = {}
    alone: tuple[Target, ...] = ()
    for target, port in endpoints(question, "tcp"):
        if not alone or alone[0] is not target:
            alone = (target,)  # one for all its ports, which may be many
        address = (target.ip, port)
        asked[address] = (*asked[address], target) if address in asked else alone
    limits = question.limits
    if question.identify:
        limits = limits._replace(pending=max(1, min(limits.pending, room_for_files() - _OWN_FILES)), keep=True)
    likely = [(target.ip, port) for port in question.likely for target in question.targets]
    opened: Counter[str] = Counter()
    reach = Reach(limits, wake=background.wake)
    for outcome in reach.events(list(asked), likely):
        yield from background.ready()
        if outcome is None:
            continue
        made = outcome.made
        for target in asked[outcome.address]:
            test = told(target, outcome, question.service_name)
            if test.state != "open" or not question.identify:
                yield test
                continue
            opened[test.ip] += 1
            if made is not None and background.running >= AT_ONCE:
                made.close()  # it would have to wait, and a server waits only so long for somebody to speak
                made = None
            background.identify(target, test, made, hurried=outcome.note is not None or opened[test.ip] > _MANY_OPEN)
            made = None
            aside.identifying[outcome.address] = test
    aside.missed = reach.missed


def told(target: Target, outcome: Outcome, service_name: ServiceName) -> PortTest:
    """Return what a connection came to as a test."""
    result, port = outcome.result, outcome.address[1]
    icmp = result.icmp
    service = service_name(port, "tcp")
    return PortTest(
        target.text,
        outcome.address[0],
        port,
        "tcp",
        result.state,
        result.reason,
        None if icmp is None else icmp.type,
        None if icmp is None else icmp.code,
        None if icmp is None else icmp.sender,
        outcome.rtt_ms,
        outcome.attempts,
        None,
        service,
        None if service is None else "port",
        outcome.note,
    )


async def identified(target: Target, test: PortTest, made: socket.socket | None, hurried: bool = False) -> PortTest:
    """Return the test of an open port with what speaks there; `made` is the connection that was made to it."""
    from portbook.probe.identify import Identification, Patience

    patience = Patience(whole=_HURRIED) if hurried else Patience()
    identification = Identification(target.host, test.ip, test.port, patience, made)
    try:
        finding = await identification.finding()
    except Exception:  # noqa: BLE001 - whatever a stranger's bytes do, the port is open, and the others go on
        return test._replace(note=FAILED)
    if finding is not None:
        return test.with_finding(finding)
    return test._replace(banner=identification.unknown or None, note=identification.note or test.note)


async def _datagrams(question: Question, give: Callable[[PortTest], None]) -> None:
    import asyncio

    from portbook.probe.datagrams import SourcePorts, port_test

    left = endpoints(question, "udp")
    sources = SourcePorts()

    async def in_turn() -> None:
        for target, port in left:
            try:
                test = await port_test(target, port, question.identify, sources)
            except Exception:  # noqa: BLE001 - as above
                test = PortTest(target.text, target.ip, port, "udp", "open|filtered", "error", note=FAILED)
            give(by_port(test, question.service_name))

    # A task for each of millions of ports would fill the memory.
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(in_turn())


def by_port(test: PortTest, service_name: ServiceName) -> PortTest:
    """Return a test with the registry's name of its port where nothing else names the service."""
    if test.service is not None:
        return test
    name = service_name(test.port, test.transport)
    return test._replace(service=name, service_by=None if name is None else "port")


class _Background:
    """An event loop in a thread of its own, begun with the first thing given to it; results come by a queue."""

    def __init__(self) -> None:
        self.results: SimpleQueue[PortTest | None] = SimpleQueue()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: Thread | None = None
        self.running = 0
        self.room: asyncio.Semaphore | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.held: set[socket.socket] = set()

    def give(self, test: PortTest) -> None:
        """Put a result into the queue, and have whoever waits for other answers look into it."""
        self.results.put(test)
        os.eventfd_write(self.wake, 1)

    def identify(self, target: Target, test: PortTest, made: socket.socket | None, hurried: bool) -> None:
        """Begin to find out what speaks at an open port, over the connection that was made to it."""
        if made is not None:
            self.held.add(made)

        async def work() -> None:
            try:
                self.give(await identified(target, test, made, hurried))
            finally:
                if made is not None:
                    made.close()
                    self.held.discard(made)

        self.begin(work)

    def begin(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Begin something, which gives its results; its end is told by None."""
        if self.loop is None:
            import asyncio

            self.loop = asyncio.new_event_loop()
            self.room = asyncio.Semaphore(AT_ONCE)
            self.thread = Thread(target=self.loop.run_forever, daemon=True)
            self.thread.start()
        self.running += 1
        self.loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        assert self.loop is not None
        task = self.loop.create_task(self._run(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        assert self.room is not None
        try:
            async with self.room:
                await work()
        finally:
            self.results.put(None)

    def ready(self) -> Iterator[PortTest]:
        """Yield the results that are there."""
        while self.running:
            try:
                found = self.results.get_nowait()
            except Empty:
                return
            yield from self._counted(found)

    def rest(self) -> Iterator[PortTest]:
        """Yield all further results until nothing runs any more."""
        while self.running:
            yield from self._counted(self.results.get())

    def _counted(self, found: PortTest | None) -> Iterable[PortTest]:
        if found is None:
            self.running -= 1
            return ()
        return (found,)

    def end(self) -> None:
        """End what still runs, and close what it holds."""
        if self.loop is not None and self.thread is not None:
            self._end_loop(self.loop, self.thread)
        os.close(self.wake)

    def _end_loop(self, loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(self._cancelled())
        loop.close()
        for made in self.held:
            made.close()

    async def _cancelled(self) -> None:
        """Cancel all tasks, and wait until each has closed what it had open."""
        import asyncio

        await asyncio.sleep(0)  # what was just begun becomes a task first
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
