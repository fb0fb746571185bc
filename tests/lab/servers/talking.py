"""One real server on a host: where it listens, what the lab's own clients hold with it, and that it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from portbook.lab.programs import client_argv
from portbook.lab.scenario import KINDS, ClientPlan, ServicePlan, Step
from portbook.lab.servers.program import bracketed
from tests.lab.conftest import Lab, Raise, eventually
from tests.lab.plans import two_hosts

from .kernel import processes, waiting

if TYPE_CHECKING:
    from portbook.lab.servers.program import Candidate

NAME, PORT, LOW_PORT, MANY = "it", 31025, 99, 12
ADDRESSES = ("192.0.2.2", "2001:db8:2::2")
EVERYWHERE = ("0.0.0.0", "[::]")
APART = ("0.0.0.0", "[::1]", "[2001:db8:2::2]")


def service(kind: str, candidate: Candidate, port: int = PORT, address: str | None = None) -> ServicePlan:
    return ServicePlan(NAME, "server", kind, port, KINDS[kind], address, program=candidate.name)


def raised(lab: Raise, kind: str, candidate: Candidate) -> Lab:
    """Return a lab with the server on `server`, which is the one that was asked for and not root's."""
    up = lab(two_hosts(service(kind, candidate)))
    state = up.services[NAME]
    assert (state.program, state.product) == (candidate.name, candidate.product)
    assert state.version
    users = {uid for uid, _ in processes(up["server"])}
    assert users
    assert 0 not in users
    return up


def listens(lab: Raise, kind: str, candidate: Candidate, everywhere: tuple[str, ...] = EVERYWHERE) -> None:
    """It has the sockets of its plan and no others of these transports; for one address also below port 1024."""
    for address, port, places in (
        (None, PORT, everywhere),
        *((one, LOW_PORT, (bracketed(one),)) for one in ADDRESSES),
    ):
        up = lab(two_hosts(service(kind, candidate, port, address)))
        # InspIRCd has a datagram socket too, for questions to name servers.
        found = {row for row in waiting(up["server"]) if row[0] in KINDS[kind]}
        assert found == {(transport, f"{place}:{port}") for transport in KINDS[kind] for place in places}


def converses(lab: Raise, kind: str, candidate: Candidate, count: int = MANY) -> str | None:
    """Many clients of either family hold conversations; return what it calls itself.

    Stopped in their midst it leaves nothing, and it comes up again.
    """
    plan = two_hosts(service(kind, candidate))
    clients = tuple(
        ClientPlan("client", kind, "server", PORT, transport, family, count=count)
        for transport in KINDS[kind]
        for family in ("ipv4", "ipv6")
    )
    up = lab(replace(plan, clients=clients))
    told = [event for event in up.events if event.kind == "client"]
    assert [event.outcomes for event in told] == [{"answered": count}] * len(clients)
    established = up["server"].run("ss", "-Htn", "state", "established", f"sport = :{PORT}").stdout.splitlines()
    assert len(established) == 2 * count
    steps = (Step("It stops.", "stop", NAME), Step("It starts.", "start", NAME))
    stopped = lab(replace(plan, clients=clients, steps=steps[:1]))
    assert eventually(lambda: processes(stopped["server"]) == [])
    assert lab(replace(plan, clients=clients, steps=steps)).services[NAME].up
    names = set()
    for client in clients:
        argv = client_argv(replace(client, count=1, hold=False), ADDRESSES[client.family == "ipv6"])
        answer = json.loads(up["client"].run(*argv).stdout)
        assert answer["outcomes"] == {"answered": 1}
        names.add(next(iter(answer["servers"]), None))
    [name] = names
    return name
