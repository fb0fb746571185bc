"""How a lab is raised from inside: its hosts, its network, its services until they answer, its clients, its story.

All of it runs in the wire's process, whose end is the end of everything made here. What comes about is told as
events; the first thing that fails is raised.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from portbook.errors import N_, Unavailable
from portbook.lab import namespaces, network
from portbook.lab.hosts import hosts_file, make_host
from portbook.lab.programs import choose, client_argv
from portbook.lab.servers.place import furnish, give
from portbook.lab.servers.program import PATH
from portbook.lab.state import Event, HostState, ServiceState
from portbook.lab.talk import EXCHANGES, answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import Popen

    from portbook.lab.programs import Chosen
    from portbook.lab.scenario import ClientPlan, HostPlan, Scenario, ServicePlan, Step, Transport
    from portbook.lab.servers.program import Program
    from portbook.lab.state import LabState

SERVICE_SECONDS = 20.0
"""How long a service may take until it answers."""

_LISTEN = "0A"
_LAST_WORDS = 5


class _Told(NamedTuple):
    """What a client told: how many of its conversations came out in which way, and how many each server answered."""

    outcomes: dict[str, int]
    servers: dict[str, int]


class _Made(NamedTuple):
    """A host as the wire sees it: its init's PID here and on the machine, and its network namespace."""

    pid: int
    seen: int
    inode: int


@dataclass
class _Service:
    """A service that was started, and the sockets that stood on its port before."""

    plan: ServicePlan
    chosen: Chosen
    folder: str
    process: Popen[bytes]
    log: str
    before: frozenset[str]


class Raising:
    """The raising of one lab, in order, by `play`."""

    def __init__(
        self,
        scenario: Scenario,
        state: LabState,
        programs: dict[str, str],
        lock: int,
        tell: Callable[[Event], None],
    ) -> None:
        self.scenario = scenario
        self.state = state
        self.programs = programs
        self.lock = lock
        self.tell = tell
        self.hosts: dict[str, _Made] = {}
        self.services: dict[str, _Service] = {}

    def play(self) -> None:
        """Raise it all, and write its state. Raises Unavailable."""
        self.tell(Event("lab", self.scenario.title))
        self._make_hosts()
        self._start_services()
        for client in self.scenario.clients:
            self._must(client, self._ask(client), "answered")
        for step in self.scenario.steps:
            self._step(step)
        self.state.with_services(tuple(map(self._service_state, self.scenario.services))).write()

    def _start_services(self) -> None:
        """Start those that start by themselves, side by side but for those that want one port."""
        coming: dict[tuple[str, int], _Service] = {}
        for plan in self.scenario.services:
            if plan.autostart:
                place = (plan.host, plan.port)
                if place in coming:
                    # Whose socket it is that appears could not be told otherwise.
                    self._await(coming.pop(place))
                coming[place] = self._start(plan)
        for service in coming.values():
            self._await(service)

    def _make_hosts(self) -> None:
        names = f"{self.state.folder}/hosts"
        with open(names, "w", encoding="utf-8") as file:
            file.write(hosts_file(self.scenario))
        for host in self.scenario.hosts:
            pid, seen = make_host(self.scenario, host, names, {self.lock})
            self.hosts[host.name] = _Made(pid, seen, namespaces.namespace_inode(seen))
        wire = network.wire_lines(self.scenario, {name: made.pid for name, made in self.hosts.items()})
        network.apply([self.programs["ip"], "-batch", "-"], "\n".join(wire) + "\n")
        for host in self.scenario.hosts:
            self._join(host)
        states = [
            HostState(host.name, made.seen, made.inode, host.addresses)
            for host, made in zip(self.scenario.hosts, self.hosts.values(), strict=True)
        ]
        self.state = replace(self.state, hosts=tuple(states))
        self.state.write()

    def _join(self, host: HostPlan) -> None:
        made = self.hosts[host.name]
        lines = network.host_lines(self.scenario, host, os.path.exists("/proc/net/if_inet6"))
        rules = network.firewall(self.scenario, host)
        with namespaces.entry(made.seen, made.inode, whole=False) as entered:
            network.apply([self.programs["ip"], "-batch", "-"], "\n".join(lines) + "\n", entered)
            if rules:
                network.apply([self.programs["nft"], "-f", "-"], rules, entered)
        addresses = ", ".join(address.partition("/")[0] for _, address in host.addresses)
        self.tell(Event("host", host.name, addresses))

    def _start(self, plan: ServicePlan) -> _Service:
        folder = f"{self.state.folder}/{plan.name}"
        os.makedirs(folder, 0o711, exist_ok=True)
        chosen = choose(plan, folder)
        program = chosen.program
        for path, text in program.files:
            os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
            with open(f"{folder}/{path}", "w", encoding="utf-8") as file:
                file.write(text)
        if program.user is not None:
            give(folder, program.user)
        log = f"{self.state.folder}/log/{plan.name}"
        for command in program.commands:
            if self._run(plan.host, command, folder, log, program).wait():
                raise self._failed(plan.name, plan.host, log)
        before = self._sockets(plan)
        process = self._run(plan.host, program.argv, folder, log, program)
        service = _Service(plan, chosen, folder, process, log, before)
        self.services[plan.name] = service
        return service

    def _run(
        self,
        host: str,
        argv: tuple[str, ...],
        folder: str,
        log: str,
        program: Program | None = None,
    ) -> Popen[bytes]:
        """Start a command inside a host, at the places of its program; without one its output is the caller's.

        Whatever else it says goes to its log.
        """
        made = self.hosts[host]
        environ = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        environ |= {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": folder}
        with namespaces.entry(made.seen, made.inode) as entered, open(log, "ab") as file:

            def enter() -> None:
                entered()
                if program is not None:
                    furnish(program, folder)

            try:
                return subprocess.Popen(  # noqa: S603
                    argv,
                    cwd=folder,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if program is None else file,
                    stderr=file,
                    start_new_session=True,
                    preexec_fn=enter,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise Unavailable(
                    N_("{command} cannot be run on {host}: {reason}"), command=argv[0], host=host, reason=str(error)
                ) from error

    def _await(self, service: _Service) -> None:
        """Wait until a service answers, and tell it. Raises Unavailable with its last words."""
        plan = service.plan
        if not self._comes_up(service):
            raise self._failed(plan.name, plan.host, service.log)
        version = service.chosen.program.version
        what = f"{service.chosen.name} {version}" if version else service.chosen.name
        self.tell(Event("service", plan.name, what, f"{plan.host} {plan.port}/{','.join(plan.transports)}"))

    def _comes_up(self, service: _Service) -> bool:
        """Wait until a service has a socket of its own for each transport, and answers by each."""
        plan, ready = service.plan, service.chosen.program.ready
        deadline = time.monotonic() + SERVICE_SECONDS
        while service.process.poll() is None and time.monotonic() < deadline:
            # Another may answer on the same port: what counts is that it has got a socket of its own there.
            has = all(self._sockets(plan, transport) - service.before for transport in plan.transports)
            has = has and (ready is None or os.path.exists(f"{service.folder}/{ready}"))
            if has and all(self._answers(plan, transport) for transport in plan.transports):
                return service.process.poll() is None
            time.sleep(0.01)
        return False

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

    def _answers(self, plan: ServicePlan, transport: Transport) -> bool:
        """Ask a service from its own host; the one that asks is a process of its own, since it enters the host.

        True for one that answers to no one client.
        """
        if plan.kind not in EXCHANGES:
            return True
        made = self.hosts[plan.host]
        address = plan.address or "127.0.0.1"
        with namespaces.entry(made.seen, made.inode, whole=False) as entered:
            asking = os.fork()
            if not asking:
                try:
                    entered()
                    os._exit(0 if answers(plan.kind, (address, plan.port), transport) else 1)
                finally:
                    os._exit(2)
            return os.waitpid(asking, 0)[1] == 0

    def _failed(self, name: str, host: str, log: str) -> Unavailable:
        values = {"service": name, "host": host, "words": " / ".join(_last_words(log))}
        if values["words"]:
            return Unavailable(N_("{service} on {host} did not come up; its last words: {words}"), **values)
        return Unavailable(N_("{service} on {host} did not come up, and said nothing"), **values)

    def _ask(self, client: ClientPlan) -> _Told:
        """Have a client hold its conversations; return how many came out in which way, and who answered."""
        address = self.scenario.address(client.server, client.host, client.family)
        if address is None:
            raise Unavailable(
                N_("{host} has no {family} address that {client} could ask"),
                host=client.server,
                family=client.family,
                client=client.host,
            )
        log = f"{self.state.folder}/log/clients-{client.host}"
        process = self._run(client.host, client_argv(client, address), self.state.folder, log)
        assert process.stdout is not None
        with process.stdout:
            told = process.stdout.readline()
        if not client.hold:
            process.wait()
        if not told:
            raise self._failed(client.kind, client.host, log)
        return _Told(**json.loads(told))

    def _must(self, client: ClientPlan, told: _Told, expected: str) -> None:
        """Tell what a client's conversations came to. Raises Unavailable where it is not what was expected."""
        place = f"{client.server} {client.port}/{client.transport}"
        if set(told.outcomes) != {expected}:
            detail = ", ".join(f"{count} {outcome}" for outcome, count in told.outcomes.items())
            raise Unavailable(
                N_("the client on {host} should be {expected} by {place}, but its conversations were: {outcomes}"),
                host=client.host,
                expected=expected,
                place=place,
                outcomes=detail,
            )
        servers = told.servers if len(told.servers) > 1 else {}
        self.tell(Event("client", client.host, place=place, outcomes=told.outcomes, servers=servers))

    def _step(self, step: Step) -> None:
        words = ""
        if step.client is not None:
            self._must(step.client, self._ask(step.client), step.expect)
        elif step.service is not None and step.action == "stop":
            self._stop(self.services.pop(step.service))
        elif step.service is not None:
            plan = self.scenario.service(step.service)
            service = self._start(plan)
            if self._comes_up(service) != (step.expect == "answered"):
                raise self._failed(plan.name, plan.host, service.log)
            if step.expect == "refused":
                words = " / ".join(_last_words(service.log))
        self.tell(Event("step", step.text, words))

    @staticmethod
    def _stop(service: _Service) -> None:
        service.process.terminate()
        try:
            service.process.wait(5)
        except subprocess.TimeoutExpired:
            service.process.kill()
            service.process.wait()

    def _service_state(self, plan: ServicePlan) -> ServiceState:
        started = self.services.get(plan.name)
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


def _last_words(log: str) -> list[str]:
    """Return the last lines of a log that say anything."""
    with open(log, encoding="utf-8", errors="replace") as file:
        words = [line.strip() for line in file]
    return [word for word in words if word][-_LAST_WORDS:]
