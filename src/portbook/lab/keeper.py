"""The keeper: the process that a lab lives by, from `up` to `down`.

The keeper stands outside. Its child, the wire, is the init of a PID namespace in which all the rest of the lab
lives, and has the kernel kill it when the keeper ends, in whatever way; with it end the hosts, and with their last
process the networks. So nothing outlives the keeper but its folder, which whoever looks next removes. What is
raised inside is left to raising.py.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from contextlib import suppress
from dataclasses import asdict

from portbook import errors
from portbook.errors import N_, PortbookError, Unavailable
from portbook.lab import namespaces
from portbook.lab.hosts import close_all_but
from portbook.lab.network import needed_programs
from portbook.lab.raising import Raising
from portbook.lab.state import (
    DYING_SECONDS,
    Event,
    LabState,
    claim,
    clear_dead,
    find,
    is_whole,
    remove,
    running,
    started_at,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any, NoReturn

    from portbook.lab.scenario import Scenario

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOKING_MILLISECONDS = 1000


def up(
    scenario: Scenario,
    report: Callable[[Event], None] = lambda _: None,
    name: str | None = None,
    bound: bool = False,
) -> tuple[LabState, int]:
    """Raise a lab and return it, with a descriptor that keeps it up where it is `bound` to the caller, else -1.

    `report` is told what comes about, `name` is the lab's, else the scenario's. A bound lab ends with the last
    process that has the descriptor. Raises Unavailable and BadQuestion; then, as with any other exception, nothing
    of it is left.
    """
    programs = needed_programs(scenario)
    name = name or scenario.name
    folder, lock = claim(name)
    reading, writing = os.pipe()
    try:
        try:
            _start_keeper(scenario, name, folder, lock, writing, reading, programs, bound)
        finally:
            os.close(writing)
            os.close(lock)
        with os.fdopen(os.dup(reading), encoding="utf-8") as told:
            _follow(told, report)
    except BaseException:
        os.close(reading)  # by which the keeper knows that it is not wanted
        _wait_until_gone(folder)
        raise
    if not bound:
        os.close(reading)
    return find(name), reading if bound else -1


def _follow(told: IO[str], report: Callable[[Event], None]) -> None:
    """Report what the keeper tells until the lab is up. Raises what kept it from that."""
    for line in told:
        kind, values = json.loads(line)
        if kind == "up":
            return
        if kind == "error":
            raised: type[PortbookError] = getattr(errors, values["class"])
            raise raised(values["message"], **values["values"])
        report(Event(**values))
    raise Unavailable(N_("the lab was killed before it was up"))


def down(state: LabState) -> None:
    """End a lab and wait until nothing of it is left."""
    try:
        descriptor = os.pidfd_open(state.keeper)
    except OSError:
        pass  # it has ended by itself
    else:
        # The lock is held still, so this PID is the keeper's, and the descriptor stays with it.
        if any(lab.folder == state.folder and lab.keeper == state.keeper for lab in running()):
            with suppress(ProcessLookupError):  # it may end meanwhile
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                if not select.select([descriptor], [], [], DYING_SECONDS)[0]:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
    _wait_until_gone(state.folder)


def _wait_until_gone(folder: str) -> None:
    deadline = time.monotonic() + 2 * DYING_SECONDS
    while os.path.exists(folder) and time.monotonic() < deadline:
        clear_dead()
        time.sleep(0.002)


def _start_keeper(
    scenario: Scenario,
    name: str,
    folder: str,
    lock: int,
    writing: int,
    reading: int,
    programs: dict[str, str],
    bound: bool,
) -> None:
    """Start the keeper as a session of its own that is nobody's child."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    try:
        os.setsid()
        if not os.fork():
            os.close(reading)
            _Keeper(scenario, name, folder, lock, writing, programs, bound).keep()
    finally:
        os._exit(0)


class _Keeper:
    """The keeper's life, and that of the wire."""

    def __init__(
        self,
        scenario: Scenario,
        name: str,
        folder: str,
        lock: int,
        events: int,
        programs: dict[str, str],
        bound: bool,
    ) -> None:
        self.scenario, self.name, self.folder, self.lock = scenario, name, folder, lock
        self.events, self.programs, self.bound = events, programs, bound
        self.signalled = -1

    def keep(self) -> NoReturn:
        """Keep the lab until it is ended, and leave nothing of it."""
        wire = 0
        try:
            pid = os.getpid()
            os.write(self.lock, f"{pid} {started_at(pid)}".encode())
            self._leave_caller()
            namespaces.set_process_name("portbook-lab")
            namespaces.own_rights()
            alive, holding = os.pipe()
            risen, rising = os.pipe()
            wire = os.fork()
            if not wire:
                os.close(holding)
                self._be_wire(pid, alive, rising)
            os.close(alive)
            os.close(rising)
            self._wait(wire, risen)
        except PortbookError as error:
            self._tell_error(error)
        except BaseException as error:  # noqa: BLE001 - there is nobody above to raise it to
            self._tell_error(_unforeseen(error))
        finally:
            if wire:
                os.kill(wire, signal.SIGKILL)
                # It is only reaped once every process in its PID namespace is gone.
                os.waitpid(wire, 0)
            remove(self.folder, self.lock)
            os._exit(0)

    def _leave_caller(self) -> None:
        """Let go of the caller's terminal, folder and files."""
        namespaces.be_readable()
        os.chdir("/")
        os.umask(0o022)
        os.mkdir(f"{self.folder}/log", 0o700)
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(f"{self.folder}/log/lab", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        close_all_but({self.events, self.lock})
        signalled, signalling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalling)
        for number in _ENDING:
            signal.signal(number, lambda *_: None)
        self.signalled = signalled

    def _wait(self, wire: int, risen: int) -> None:
        """Return when the wire has ended, a signal says so, or the caller ended before the lab was up.

        Also when somebody has removed the lab's folder: nobody could find the lab any more to end it.
        """
        ended = os.pidfd_open(wire)
        watched = select.poll()
        watched.register(ended, select.POLLIN)
        watched.register(self.signalled, select.POLLIN)
        watched.register(self.events, 0)  # an error, once nobody reads
        while is_whole(self.folder, self.lock):
            ready = dict(watched.poll(_LOOKING_MILLISECONDS))
            if ended in ready or self.signalled in ready:
                return
            if self.events in ready:
                up = bool(select.select([risen], [], [], 0)[0]) and os.read(risen, 1) == b"u"
                if self.bound or not up:
                    return
                watched.unregister(self.events)
                os.close(self.events)

    def _be_wire(self, keeper: int, alive: int, rising: int) -> NoReturn:
        """Be the init of all that lives in the lab: raise it, then reap what is orphaned."""
        try:
            namespaces.die_with_parent()
            watched = select.poll()
            watched.register(alive, select.POLLIN)
            if watched.poll(0):
                os._exit(1)  # the keeper had ended before it could be followed
            os.close(alive)
            namespaces.set_process_name("portbook-wire")
            signal.set_wakeup_fd(-1)
            for number in _ENDING:
                signal.signal(number, signal.SIG_DFL)
            try:
                namespaces.unshare(namespaces.NEW_NET | namespaces.NEW_MOUNTS)
                namespaces.mount("none", "/", None, namespaces.MS_REC | namespaces.MS_PRIVATE)
            except OSError as error:
                raise namespaces.not_allowed(error) from error
            state = LabState(
                self.name,
                self.scenario.name,
                self.scenario.title,
                self.folder,
                keeper,
                int(os.readlink("/proc/self")),  # this /proc is still the machine's
                namespaces.namespace_inode("self"),
                (),
            )
            Raising(self.scenario, state, self.programs, self.lock, self._tell_event).play()
            os.write(rising, b"u")
            os.close(rising)
            self._tell("up", None)
            os.close(self.events)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            while True:
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    signal.pause()
        except PortbookError as error:
            self._tell_error(error)
        except BaseException as error:  # noqa: BLE001 - there is nobody above to raise it to
            self._tell_error(_unforeseen(error))
        finally:
            os._exit(1)

    def _tell_event(self, event: Event) -> None:
        self._tell("event", asdict(event))

    def _tell_error(self, error: PortbookError) -> None:
        values = {name: value if isinstance(value, int) else str(value) for name, value in error.values.items()}
        try:
            self._tell("error", {"class": type(error).__name__, "message": error.message, "values": values})
        except OSError:
            return  # nobody listens any more

    def _tell(self, kind: str, values: Any) -> None:
        data = json.dumps([kind, values]).encode() + b"\n"
        while data:
            data = data[os.write(self.events, data) :]


def _unforeseen(error: BaseException) -> Unavailable:
    traceback.print_exception(error)
    return Unavailable(N_("the lab could not be raised: {reason}"), reason=f"{type(error).__name__}: {error}")
