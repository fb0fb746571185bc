"""Whether TCP ports can be reached: thousands of connections pending at once, paced so that none is missed.

Answers come as they are known. What one connection says is connecting.py's; how fast to go, pace.py's; what speaks at
an open port, identify.py's.
"""

from __future__ import annotations

import os
import select
import socket
from collections import defaultdict
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import NamedTuple

from portbook.compiled import best
from portbook.errors import N_
from portbook.probe.connecting import RESET, NoFamily, NoSocket, Result, again, begin, new_socket, round_trip_ms
from portbook.probe.files import no_files, room_for_files
from portbook.probe.pace import DOUBT, Bucket, Pace, syn_tries
from portbook.probe.waiting import Queue
from portbook.probe.witnesses import Canaries, Controls, Open, Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Address = tuple[str, int]

_LAST_ANSWER = 0.2
"""Seconds that the last try is given, beside those between the tries."""

_BATCH, _BATCH_SECONDS = 128, 0.0128
"""So many may begin at once, and no more than the rate has in so long: who limits SYNs lets few at once through."""
_CANARY_SECONDS = 0.9
"""Within this a first SYN is answered; the second goes out after a second."""
_MOST_LOOKS, _MOST_OVERRUN = 6, 12
"""Looks at a silent port, without and with those at a rate that turned out too high: each of these halves it."""

_BURST = 1000
"""So many ports at once may be more than a silent host, or what stands before it, lets through."""
_LONG, _WAIT_FOR_SOCKET = 60.0, 10.0
_CONTROL_SECONDS = 1.5
"""For so long, which is two tries, what is open waits to learn whether everything is."""

ALL_OPEN = N_("everything seems open: something in between answers for it")


class Limits(NamedTuple):
    """How a run may behave: new connections a second, and pending ones at once.

    With `self_clocked` the rate holds for those that nobody has answered: each answer lets another one begin.
    `patience` is the seconds that a port may be silent; without it that follows from the tries which are needed.
    With `keep` open connections are handed out, to be closed by whoever takes them.
    """

    rate: float = 10000.0
    patience: float | None = None
    pending: int = 1_000_000
    shuffle: bool = True
    self_clocked: bool = False
    keep: bool = False


class Outcome(NamedTuple):
    """What became of a port: its address, the result, milliseconds to the answer, and how many tries were made.

    The milliseconds are None where nothing came, or where it is not known which try was answered. `note` is a
    message id. `made` is the open connection, where it was to be kept.
    """

    address: Address
    result: Result
    rtt_ms: float | None
    attempts: int
    note: str | None = None
    made: socket.socket | None = None


@dataclass(slots=True)
class _Try:
    address: Address
    begun: float
    socket: socket.socket
    canary: bool = False
    control: bool = False


class _Look(NamedTuple):
    """The looks at a silent port so far, all and those at a rate that was too high, their tries, and how likely the
    port is open all the same.
    """

    looks: int = 0
    overrun: int = 0
    tries: int = 0
    doubt: float = 1.0


@dataclass
class Reach:
    """One run over ports. `outcomes` yields; `missed` tells afterwards how likely an open port was overlooked.

    `wake` is a descriptor (eventfd(2)) by which another thread has `events` come back to its caller.
    """

    limits: Limits = field(default_factory=Limits)
    missed: float = 0.0
    wake: int | None = None

    def __post_init__(self) -> None:
        self._pace = Pace(self.limits.rate, self.limits.rate)
        self._bucket = Bucket(self._pace.rate, depth=float(_BATCH), filled=monotonic())
        self._begin_all = best("portbook.probe.connecting").begin_all
        self._pending: dict[int, _Try] = {}
        self._awaited = 0  # of the pending, those that are no canaries
        self._spare: dict[int, socket.socket] = {}
        self._canaries: defaultdict[str, Canaries] = defaultdict(Canaries)
        self._looks: dict[Address, _Look] = {}
        self._likely: set[Address] = set()
        self._doubtful: list[Address] = []
        self._controls: dict[str, Controls] = {}
        self._undecided: dict[str, Controls] = {}
        self._turns = Turns()
        self._no_socket_since: float | None = None

    def outcomes(self, ports: Sequence[Address], likely: Iterable[Address] = ()) -> Iterator[Outcome]:
        """Yield what becomes of each port, each once, in the order of the answers; `likely` ones are asked first.

        Raises Unavailable where no socket can be had.
        """
        return (one for one in self.events(ports, likely) if one is not None)

    def events(self, ports: Sequence[Address], likely: Iterable[Address] = ()) -> Iterator[Outcome | None]:
        """Yield the same, and None when somebody else has something for the caller. Raises Unavailable."""
        most = min(self.limits.pending, room_for_files())
        queue = Queue(ports, likely, self.limits.shuffle)
        if len(queue) >= _BURST:
            self._likely = set(queue.front)
        try:
            self._watch = select.epoll()
        except OSError as error:
            raise no_files(error) from error
        if self.wake is not None:
            self._watch.register(self.wake, select.EPOLLIN)
        try:
            while queue or self._awaited or self._doubtful:
                if not queue and not self._awaited:
                    queue.look_again(self._doubtful)
                self._bucket.pour(self._pace.rate, min(float(_BATCH), self._pace.rate * _BATCH_SECONDS))
                free = max(0, min(len(queue), most - len(self._pending), _BATCH))
                yield from self._begin(queue, self._bucket.take(monotonic(), free) if free else 0)
                now = monotonic()
                self._ask_canary(now)
                yield from self._answers(self._timeout(bool(queue), len(self._pending) >= most))
                yield from self._silent(monotonic())
        finally:
            for one in self._pending.values():
                one.socket.close()
            for made in self._spare.values():
                made.close()
            for held in (outcome for controls in self._controls.values() for outcome in controls.held):
                if held.made is not None:
                    held.made.close()
            self._watch.close()

    def _begin(self, queue: Queue, count: int) -> Iterator[Outcome]:
        """Begin so many connections; what is known at once is never watched for."""
        answered = 0
        while count:
            control = bool(queue.controls)
            batch = queue.take(count)
            count -= len(batch)
            place = 0
            while place < len(batch):
                try:
                    made = self._socket(batch[0][0])
                except NoSocket as error:
                    queue.put_back(batch[place:], control)
                    self._bucket.give(count + len(batch) - place)
                    self._wait_for_socket(error)
                    return
                except NoFamily as error:
                    if not control:
                        yield from (Outcome(address, Result("unreachable", error.name), None, 1) for address in batch)
                    break
                waited, came = self._begin_all(made, batch, place)
                now = monotonic()
                first, place = place, place + len(waited)
                answered += len(waited)
                if came is RESET:
                    self._spare[made.family] = made
                elif came is None:
                    self._pend(_Try(batch[place], now, made, control=control))
                else:
                    answered += 1
                    yield from self._told(_Try(batch[place], now, made, control=control), came, now)
                place += 1
                for step, milliseconds in enumerate(waited, first):
                    yield from self._refused(batch[step], milliseconds, control)
        if self.limits.self_clocked:
            self._bucket.give(answered)

    def _refused(self, address: Address, milliseconds: float, control: bool) -> tuple[Outcome, ...]:
        """Return what a reset that came at once lets be known."""
        if control:
            return (*self._decide(address[0], all_open=False),)
        self._canaries[address[0]].resets.append(address)
        tries = 1 + (self._looks[address].tries if self._looks and address in self._looks else 0)
        return (Outcome(address, RESET, milliseconds, tries),)

    def _socket(self, host: str) -> socket.socket:
        """Return a socket of the host's family. Raises NoSocket, NoFamily."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = self._spare.pop(family, None) or new_socket(family)
        self._no_socket_since = None
        return made

    def _pend(self, one: _Try) -> None:
        """Watch a connection that is being made."""
        if not one.canary and self._canaries:
            self._turns.plan(one.begun)
        self._pending[one.socket.fileno()] = one
        self._awaited += not one.canary
        self._watch.register(one.socket.fileno(), select.EPOLLOUT)
        if one.control:
            controls = self._controls.setdefault(one.address[0], Controls(one.begun))
            controls.descriptors.append(one.socket.fileno())
            if controls.all_open is None:
                self._undecided[one.address[0]] = controls

    def _end(self, descriptor: int) -> None:
        """Watch a connection no more."""
        self._awaited -= not self._pending.pop(descriptor).canary

    def _wait_for_socket(self, error: OSError) -> None:
        """Wait a moment, if nothing of this run will give a file back; not for ever. Raises Unavailable."""
        now = monotonic()
        if self._no_socket_since is None:
            self._no_socket_since = now
        if self._pending:
            return
        if now - self._no_socket_since > _WAIT_FOR_SOCKET:
            raise no_files(error) from error
        sleep(0.05)

    def _ask_canary(self, now: float) -> None:
        """Ask a port again that is known to answer, of a host whose turn it is."""
        if not self._turns.take(now) or not self._canaries or not self._awaited:
            return
        host = next(iter(self._canaries))
        known = self._canaries.pop(host)
        self._canaries[host] = known
        address = known.next(now)
        if address is None:
            return
        try:
            made = new_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        except NoSocket:
            return
        one = _Try(address, now, made, canary=True)
        if begin(made, address) is None:
            self._pend(one)
        else:
            self._count(one, now)
            made.close()

    def _timeout(self, queued: bool, full: bool) -> float:
        """Return how long to wait for answers."""
        now = monotonic()
        oldest = next(iter(self._pending.values()), None)
        until = _LONG if oldest is None else oldest.begun + self._patience() - now
        undecided = next(iter(self._undecided.values()), None)
        if undecided is not None:
            until = min(until, undecided.since + _CONTROL_SECONDS - now)
        if self._awaited:
            until = min(until, self._turns.next() - now)
        if queued and not full and self._no_socket_since is None:
            until = min(until, self._bucket.wait())
        elif not self._awaited:
            until = 0.0
        return max(0.0, until)

    def _answers(self, timeout: float) -> Iterator[Outcome | None]:
        for descriptor, _ in self._watch.poll(timeout, 1024):
            if descriptor == self.wake:
                os.eventfd_read(descriptor)
                yield None
                continue
            one = self._pending.get(descriptor)
            came = None if one is None else again(one.socket, one.address)
            if one is None or came is None:
                continue
            now = monotonic()
            self._end(descriptor)
            if one.canary:
                self._count(one, now)
                one.socket.close()
                continue
            if self.limits.self_clocked:
                self._bucket.give(1)
            yield from self._told(one, came, now)

    def _silent(self, now: float) -> Iterator[Outcome]:
        """Give up those that have been silent for too long; they stand in the order in which they began."""
        while self._undecided:
            host, controls = next(iter(self._undecided.items()))
            if now - controls.since < _CONTROL_SECONDS:
                break
            yield from self._decide(host, all_open=False)
        patience = self._patience()
        while self._pending:
            descriptor, one = next(iter(self._pending.items()))
            if now - one.begun < patience:
                return
            self._end(descriptor)
            one.socket.close()
            if one.canary:
                self._pace.lost(now)
                continue
            if one.control:
                yield from self._decide(one.address[0], all_open=False)
                continue
            tries = syn_tries(now - one.begun)
            before = self._looks.get(one.address, _Look())
            doubt = self._pace.doubt(tries, one.begun)
            look = _Look(
                before.looks + 1, before.overrun + (doubt == 1.0), before.tries + tries, before.doubt * doubt
            )
            # Where nothing at all was heard, the burst itself may have been too much.
            unheard = one.address in self._likely and one.address[0] not in self._canaries and look.looks == 1
            if unheard or (
                look.doubt > DOUBT and look.looks - look.overrun < _MOST_LOOKS and look.looks < _MOST_OVERRUN
            ):
                self._looks[one.address] = look
                self._doubtful.append(one.address)
                continue
            self.missed = max(self.missed, look.doubt)
            yield Outcome(one.address, Result("filtered", "silence"), None, look.tries)

    def _patience(self) -> float:
        if self.limits.patience is not None:
            return self.limits.patience
        return self._pace.needed_tries() - 1 + _LAST_ANSWER

    def _count(self, canary: _Try, now: float) -> None:
        if now - canary.begun < _CANARY_SECONDS:
            self._pace.answered(now)
        else:
            self._pace.lost(now)

    def _told(self, one: _Try, came: Result, now: float) -> Iterator[Outcome]:
        """Yield what an answer lets be known: the outcome, or of a control all that waited for it."""
        tries, waited, host = syn_tries(now - one.begun), now - one.begun, one.address[0]
        rtt = round_trip_ms(one.socket) if came.state == "open" else None
        kept = one.socket if came.state == "open" and self.limits.keep and not one.control else None
        if kept is None:
            one.socket.close()
        if one.control:
            yield from self._control_answered(host, came.state == "open", now)
            return
        if came is RESET:
            self._canaries[host].resets.append(one.address)
        elif came.state == "open":
            self._canaries[host].opens.append(Open(one.address))
        if rtt is None and tries == 1 and came.state in ("closed", "rejected", "open"):
            rtt = waited * 1000
        outcome = Outcome(one.address, came, rtt, tries + self._looks.get(one.address, _Look()).tries, made=kept)
        controls = self._controls.get(host) if came.state == "open" else None
        if controls is None:
            yield outcome
        elif controls.all_open is None:
            controls.held.append(outcome)
        else:
            yield outcome._replace(note=ALL_OPEN if controls.all_open else None)

    def _control_answered(self, host: str, is_open: bool, now: float) -> Iterator[Outcome]:
        controls = self._controls.setdefault(host, Controls(now))
        controls.accepted += is_open
        if not is_open or controls.accepted == 2:
            yield from self._decide(host, all_open=is_open)
        elif controls.all_open is None:
            self._undecided[host] = controls

    def _decide(self, host: str, all_open: bool) -> Iterator[Outcome]:
        """Yield what is open at a host, now that it is known whether everything is; forget its controls."""
        controls = self._controls.setdefault(host, Controls(0.0))
        self._undecided.pop(host, None)
        if controls.all_open is not None:
            return
        controls.all_open = all_open
        for descriptor in controls.descriptors:
            one = self._pending.get(descriptor)
            if one is not None and one.control and one.address[0] == host:
                self._end(descriptor)
                one.socket.close()
        held, controls.held = controls.held, []
        for outcome in held:
            yield outcome._replace(note=ALL_OPEN if all_open else None)
