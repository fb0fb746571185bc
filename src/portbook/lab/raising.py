"""How a lab is raised from inside: its hosts, its network, its services until they answer, its clients, its story.

All of it runs in the wire's process, whose end is the end of everything made here. What comes about is told as
events; the first thing that fails is raised. How one service comes up is left to services.py.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import NamedTuple

from portbook.errors import N_, Unavailable
from portbook.lab import namespaces, network
from portbook.lab.hosts import hosts_file, make_host
from portbook.lab.programs import client_argv, packages_of, without_spare
from portbook.lab.servers.program import has_ipv6
from portbook.lab.services import Made, Services
from portbook.lab.state import Event, HostState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.lab.scenario import ClientPlan, HostPlan, Outcome, Scenario, ServicePlan, Step
    from portbook.lab.state import LabState

SILENT_SECONDS = 1.2
"""How long a client waits where silence is what must come: TCP has sent its SYN twice by then."""

_PAUSE = 0.005


class _Told(NamedTuple):
    """What a client told: how many of its conversations came out in which way, and how many each server answered."""

    outcomes: dict[str, int]
    servers: dict[str, int]


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
        self.scenario, self.left_out = without_spare(scenario)
        self.state = state
        self.programs = programs
        self.lock = lock
        self.tell = tell
        self.hosts: dict[str, Made] = {}
        self.services = Services(self.scenario, state.folder, self.hosts)

    def play(self) -> None:
        """Raise it all, and write its state. Raises Unavailable."""
        self.tell(Event("lab", self.scenario.title, self.scenario.story))
        for plan in self.left_out:
            self.tell(Event("left-out", plan.name, ", ".join(packages_of(plan)), _place(plan)))
        try:
            self._make_hosts()
            self._start_services()
            for client in self.scenario.clients:
                self._ask(client, "answered")
            for step in self.scenario.steps:
                self._step(step)
        except ProcessLookupError as error:
            raise Unavailable(N_("the lab was killed before it was up")) from error
        self.services.check_all_up()
        self.state.with_services(self.services.states()).write()

    def _start_services(self) -> None:
        """Start those that start by themselves, side by side, and tell them in their order as they come up."""
        untold = [plan for plan in self.scenario.services if plan.autostart]
        waiting = list(untold)
        coming: dict[tuple[str, int], ServicePlan] = {}
        up = set()
        while untold:
            for plan in list(waiting):
                # Of several that want one port nobody could tell whose socket it is that appears.
                if (plan.host, plan.port) not in coming:
                    coming[plan.host, plan.port] = plan
                    waiting.remove(plan)
                    self.services.start(plan)
            for place, plan in list(coming.items()):
                comes = self.services.comes_up(plan.name)
                if comes is False:
                    raise self.services.failed(plan.name, plan.host)
                if comes:
                    up.add(plan.name)
                    del coming[place]
            while untold and untold[0].name in up:
                self._tell_service(untold.pop(0))
            time.sleep(_PAUSE)

    def _tell_service(self, plan: ServicePlan) -> None:
        chosen = self.services.started[plan.name].chosen
        what = f"{chosen.name} {chosen.program.version}" if chosen.program.version else chosen.name
        self.tell(Event("service", plan.name, what, _place(plan)))

    def _make_hosts(self) -> None:
        names = f"{self.state.folder}/hosts"
        with open(names, "w", encoding="utf-8") as file:
            file.write(hosts_file(self.scenario))
        for host in self.scenario.hosts:
            pid, seen = make_host(self.scenario, host, names, {self.lock})
            self.hosts[host.name] = Made(pid, seen, namespaces.namespace_inode(seen))
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
        lines = network.host_lines(self.scenario, host, has_ipv6())
        rules = network.firewall(self.scenario, host)
        with namespaces.entry(made.seen, made.inode, whole=False) as entered:
            network.apply([self.programs["ip"], "-batch", "-"], "\n".join(lines) + "\n", entered)
            if rules:
                network.apply([self.programs["nft"], "-f", "-"], rules, entered)
        addresses = ", ".join(address.partition("/")[0] for _, address in host.addresses)
        self.tell(Event("host", host.name, addresses))

    def _ask(self, client: ClientPlan, expected: Outcome) -> None:
        """Have a client hold its conversations, and tell what they came to.

        Raises Unavailable where that is not what was expected.
        """
        place = f"{client.server} {client.port}/{client.transport}"
        told = self._hold(client, expected)
        if set(told.outcomes) != {expected}:
            raise Unavailable(
                N_("the client on {host} should be {expected} by {place}, but its conversations were: {outcomes}"),
                host=client.host,
                expected=expected,
                place=place,
                outcomes=", ".join(f"{count} {outcome}" for outcome, count in told.outcomes.items()),
            )
        servers = told.servers if len(told.servers) > 1 else {}
        self.tell(Event("client", client.host, place=place, outcomes=told.outcomes, servers=servers))

    def _hold(self, client: ClientPlan, expected: Outcome) -> _Told:
        """Have a client begin its conversations; return how many came out in which way, and who answered."""
        address = self.scenario.address(client.server, client.host, client.family)
        if address is None:
            raise Unavailable(
                N_("{host} has no {family} address that {client} could ask"),
                host=client.server,
                family=client.family,
                client=client.host,
            )
        argv = client_argv(client, address)
        if expected == "silent":
            argv += ("--patience", str(SILENT_SECONDS))
        name = f"clients-{client.host}"
        process = self.services.run(name, client.host, argv)
        assert process.stdout is not None
        with process.stdout:
            told = process.stdout.readline()
        if not client.hold:
            process.wait()
        if not told:
            raise self.services.failed(name, client.host)
        return _Told(**json.loads(told))

    def _step(self, step: Step) -> None:
        words = ""
        if step.client is not None:
            self._ask(step.client, step.expect)
        elif step.service is not None and step.action == "stop":
            self.services.stop(step.service)
            del self.services.started[step.service]
        elif step.service is not None:
            words = self._start_in_step(self.scenario.service(step.service), step.expect)
        self.tell(Event("step", step.text, words))

    def _start_in_step(self, plan: ServicePlan, expected: Outcome) -> str:
        """Start a service, and return its last words where it is refused, as it should be; else nothing."""
        self.services.start(plan)
        while (comes := self.services.comes_up(plan.name)) is None:
            time.sleep(_PAUSE)
        if comes != (expected == "answered"):
            raise self.services.failed(plan.name, plan.host)
        if comes:
            return ""
        self.services.stop(plan.name)
        self.services.started[plan.name].refused = True
        # The first says why; those that follow, that it gave up.
        return self.services.last_words(plan.name).partition(" / ")[0]


def _place(plan: ServicePlan) -> str:
    return f"{plan.host} {plan.port}/{','.join(plan.transports)}"
