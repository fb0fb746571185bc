"""The services of a lab that is being raised: each is prepared, started inside its host, and asked until it answers.

It runs the commands of the lab's clients as well. In what order all of that happens is left to raising.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from portbook.errors import N_, Unavailable
from portbook.lab import namespaces
from portbook.lab.hosts import FOLDER
from portbook.lab.programs import choose, packages
from portbook.lab.servers.place import furnish, give
from portbook.lab.servers.program import PATH
from portbook.lab.state import ServiceState
from portbook.lab.talk import EXCHANGES, answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

    from portbook.lab.programs import Chosen
    from portbook.lab.scenario import Scenario, ServicePlan, Transport
    from portbook.lab.servers.program import Program

SERVICE_SECONDS = 40.0
"""How long a service may take until it answers, and each command that comes before it until it has ended."""

_LISTEN = "0A"
_LAST_WORDS = 5
_STOPPING_SECONDS = 5.0


class Made(NamedTuple):
    """A host as the wire sees it: its init's PID here and on the machine, and its network namespace."""

    pid: int
    seen: int
    inode: int


@dataclass
class Service:
    """A service on its way up.

    `left` are the commands that come after `process`; the last of them is the server, which finds the sockets
    `before` on its port. `asker` is the PID of the process that asks it, 0 for none.
    """

    plan: ServicePlan
    chosen: Chosen
    left: list[tuple[str, ...]]
    process: Popen[bytes]
    before: frozenset[str]
    deadline: float
    asker: int = 0
    refused: bool = False


class Services:
    """The services of one lab, by their names, and the commands that are run inside its hosts."""

    def __init__(self, scenario: Scenario, folder: str, hosts: dict[str, Made]) -> None:
        self.scenario = scenario
        self.folder = folder
        self.hosts = hosts
        self.started: dict[str, Service] = {}

    def start(self, plan: ServicePlan) -> None:
        """Prepare a service and start the first of its commands. Raises Unavailable."""
        folder = f"{self.folder}/{plan.name}"
        os.makedirs(folder, 0o711, exist_ok=True)
        chosen = choose(replace(plan, hosts=self.scenario.hosts), f"{FOLDER}/{plan.name}")
        program = chosen.program
        for path, text in program.files:
            os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
            with open(f"{folder}/{path}", "w", encoding="utf-8") as file:
                file.write(text)
        if program.user is not None:
            try:
                give(folder, program.user)
            except KeyError as error:
                message = N_("{service} is to run as the user {user}, whom this machine has not; is {program} whole?")
                raise Unavailable(message, service=plan.name, user=program.user, program=chosen.name) from error
        first, *left = (*program.commands, program.argv)
        before = self._sockets(plan)
        process = self.run(plan.name, plan.host, first, program)
        self.started[plan.name] = Service(plan, chosen, left, process, before, time.monotonic() + SERVICE_SECONDS)

    def comes_up(self, name: str) -> bool | None:
        """Take a service a step further; return whether it answers, None while that is open. Raises Unavailable."""
        service = self.started[name]
        code = service.process.poll()
        if service.left and code == 0:
            service.before = self._sockets(service.plan)
            service.deadline = time.monotonic() + SERVICE_SECONDS
            service.process = self.run(name, service.plan.host, service.left.pop(0), service.chosen.program)
        elif code is not None or time.monotonic() > service.deadline:
            self._end_asking(service)
            return False
        elif service.asker:
            ended, status = os.waitpid(service.asker, os.WNOHANG)
            if ended:
                service.asker = 0
                return (status == 0 and service.process.poll() is None) or None
        elif not service.left and self._stands(service):
            if service.plan.kind not in EXCHANGES:
                return True  # it answers to no one client
            service.asker = self._ask(service.plan)
        return None

    def _stands(self, service: Service) -> bool:
        """Return whether a service has a socket of its own for each transport, and has told that it is ready.

        Another may answer on the same port, so that an answer alone says nothing.
        """
        plan, ready = service.plan, service.chosen.program.ready
        has = all(self._sockets(plan, transport) - service.before for transport in plan.transports)
        return has and (ready is None or os.path.exists(f"{self.folder}/{plan.name}/{ready}"))

    def _sockets(self, plan: ServicePlan, transport: Transport | None = None) -> frozenset[str]:
        """Return the inodes of the sockets that take what comes to a service's port (proc_net(5)), by one transport.

        By all of its transports without one.
        """
        if transport is None:
            return frozenset().union(*(self._sockets(plan, one) for one in plan.transports))
        found = []
        table = f"/proc/{self.hosts[plan.host].seen}/net/{transport}"
        for family in ("", "6"):
            try:
                with open(table + family, encoding="utf-8") as file:
                    rows = [line.split() for line in file.readlines()[1:]]
            except FileNotFoundError:
                continue  # a kernel without IPv6
            found += [
                row[9]
                for row in rows
                if int(row[1].rpartition(":")[2], 16) == plan.port and (transport == "udp" or row[3] == _LISTEN)
            ]
        return frozenset(found)

    def _ask(self, plan: ServicePlan) -> int:
        """Ask a service from its own host; the one that asks is a process of its own, since it enters the host.

        Return its PID; it ends with 0 where the service answers by every transport.
        """
        made = self.hosts[plan.host]
        address = plan.address or "127.0.0.1"
        with namespaces.entry(made.seen, made.inode, whole=False) as entered:
            asker = os.fork()
            if not asker:
                try:
                    entered()
                    answered = all(answers(plan.kind, (address, plan.port), one) for one in plan.transports)
                    os._exit(0 if answered else 1)
                finally:
                    os._exit(2)
        return asker

    @staticmethod
    def _end_asking(service: Service) -> None:
        if service.asker:
            os.kill(service.asker, signal.SIGKILL)
            os.waitpid(service.asker, 0)
            service.asker = 0

    def run(
        self,
        name: str,
        host: str,
        argv: tuple[str, ...],
        program: Program | None = None,
    ) -> Popen[bytes]:
        """Start a command of a service or of clients inside a host; what it says goes to the log of that name.

        A service's is run in its folder, and at the places of its program; of clients' the output is the caller's.
        Raises Unavailable, and ProcessLookupError for a host that has ended.
        """
        made = self.hosts[host]
        folder = FOLDER if program is None else f"{FOLDER}/{name}"
        environ = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        environ |= {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": folder}
        with namespaces.entry(made.seen, made.inode) as entered, open(self._log(name), "ab") as file:

            def enter() -> None:
                try:
                    entered()
                    os.chdir(folder)
                    if program is not None:
                        furnish(program, folder)
                except Exception as error:
                    # All that subprocess tells is that there was one.
                    os.write(2, f"{error}\n".encode())
                    raise

            try:
                return subprocess.Popen(  # noqa: S603
                    argv,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if program is None else file,
                    stderr=file,
                    start_new_session=True,
                    preexec_fn=enter,
                )
            except subprocess.SubprocessError as error:
                raise self.failed(name, host) from error
            except OSError as error:
                raise self._not_run(name, host, argv[0], error) from error

    def stop(self, name: str) -> None:
        """End a service with all of its sessions, and wait until it has ended."""
        process = self.started[name].process
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOPPING_SECONDS)
        # What holds a conversation stays when the one that listened goes, with some servers.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def check_all_up(self) -> None:
        """Raise Unavailable for a service that has ended by itself since it answered."""
        for name, service in self.started.items():
            if service.refused or service.process.poll() is None:
                continue
            raise Unavailable(
                N_("{service} on {host} ended after it had come up; its last words: {words}"),
                service=name,
                host=service.plan.host,
                words=self.last_words(name) or "-",
            )

    def states(self) -> tuple[ServiceState, ...]:
        """Return what each service of the scenario really is, and whether it is up."""
        return tuple(map(self._state, self.scenario.services))

    def _state(self, plan: ServicePlan) -> ServiceState:
        started = self.started.get(plan.name)
        return ServiceState(
            plan.name,
            plan.host,
            plan.kind,
            plan.port,
            plan.transports,
            plan.address,
            started.chosen.name if started else "",
            started.chosen.product if started else "",
            (started.chosen.program.version or "") if started else "",
            started is not None and started.process.poll() is None,
        )

    def failed(self, name: str, host: str) -> Unavailable:
        """Return the error of a service, or of clients, that did not come up, with the last words."""
        values = {"service": name, "host": host, "words": self.last_words(name)}
        if values["words"]:
            return Unavailable(N_("{service} on {host} did not come up; its last words: {words}"), **values)
        return Unavailable(N_("{service} on {host} did not come up, and said nothing"), **values)

    def last_words(self, name: str) -> str:
        """Return the last lines of a log that say anything."""
        with open(self._log(name), encoding="utf-8", errors="replace") as file:
            return " / ".join(deque((word for line in file if (word := line.strip())), _LAST_WORDS))

    def _log(self, name: str) -> str:
        return f"{self.folder}/log/{name}"

    def _not_run(self, name: str, host: str, command: str, error: OSError) -> Unavailable:
        """Return the error of a command that cannot be run, with the packages of its service where it is missing."""
        plans = tuple(plan for plan in self.scenario.services if plan.name == name)
        if plans and isinstance(error, FileNotFoundError):
            return Unavailable(
                N_(
                    "{service} needs the program {program}, which is not there; portbook lab install installs what a"
                    " scenario needs, here: {packages}"
                ),
                service=name,
                program=command,
                packages=", ".join(packages(replace(self.scenario, services=plans))),
            )
        return Unavailable(
            N_("{command} cannot be run on {host}: {reason}"), command=command, host=host, reason=error.strerror
        )
