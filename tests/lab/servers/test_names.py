"""Name servers, asked by dig from another host."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from portbook.lab.programs import client_argv
from portbook.lab.scenario import KINDS, ClientPlan, ServicePlan
from portbook.lab.servers.names import records
from portbook.lab.servers.program import Candidate, bracketed, installed
from tests.lab.conftest import LabHost, Raise
from tests.lab.plans import two_hosts

from .kernel import candidates, others, ports, processes, waiting
from .talking import ADDRESSES

PORT = 31053
TOLD = {"BIND": "", "Unbound": "unbound ", "dnsmasq": "dnsmasq-", "NSD": "NSD "}
"""What stands before the version where a server tells it."""


def plan(candidate: Candidate, port: int = PORT, address: str | None = None) -> ServicePlan:
    return ServicePlan("names", "server", "dns", port, ("udp", "tcp"), address, program=candidate.name)


def dig(host: LabHost, address: str, *question: str, port: int = PORT) -> str:
    """Return what dig is answered."""
    if installed("dig") is None:
        pytest.skip("dig is not installed")
    done = host.run("dig", f"@{address}", "-p", str(port), "+tries=1", "+norecurse", *question)
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


@pytest.mark.parametrize("candidate", candidates("dns"))
def test_it_knows_the_hosts_of_its_lab(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate)))
    assert up.services["names"].product == candidate.product
    for address in ADDRESSES:
        for transport in ("+notcp", "+tcp"):
            short = (transport, "+short")
            assert dig(up["client"], address, *short, "server.lab", "A") == "192.0.2.2"
            assert dig(up["client"], address, *short, "server.lab", "AAAA") == "2001:db8:2::2"
            assert dig(up["client"], address, *short, "client.lab", "A") == "192.0.2.1"
            assert dig(up["client"], address, *short, "lab", "A") == "192.0.2.2"
            assert "status: NXDOMAIN" in dig(up["client"], address, transport, "nobody.lab", "A")
            # Nothing is asked outside.
            assert "status: REFUSED" in dig(up["client"], address, transport, "www.example.com", "A")


@pytest.mark.parametrize("candidate", candidates("dns"))
def test_it_tells_what_it_is(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate)))
    wanted = TOLD[candidate.product] + up.services["names"].version
    for address in ADDRESSES:
        text = dig(up["client"], address, "+short", "version.bind", "CH", "TXT").strip('"')
        assert text == wanted or text.startswith((f"{wanted}-", f"{wanted} "))
        for transport in KINDS["dns"]:
            client = ClientPlan("client", "dns", "server", PORT, transport, hold=False)
            told = json.loads(up["client"].run(*client_argv(client, address)).stdout)
            assert told == {"outcomes": {"answered": 1}, "servers": {text: 1}}


@pytest.mark.parametrize("candidate", candidates("dns"))
def test_many_streams_stay_open(candidate: Candidate, lab: Raise) -> None:
    clients = (ClientPlan("client", "dns", "server", PORT, count=40),)
    up = lab(replace(two_hosts(plan(candidate)), clients=clients))
    open_ones = up["server"].run("ss", "-Htn", "state", "established", f"sport = :{PORT}").stdout.splitlines()
    assert len(open_ones) == 40


@others
@pytest.mark.parametrize("candidate", candidates("dns"))
def test_it_is_nobody_of_rights_and_waits_on_its_port_alone(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate, 53)))
    assert ports(up["server"]) == {("udp", 53), ("tcp", 53)}
    assert {endpoint.startswith("[") for _, endpoint in waiting(up["server"])} == {True, False}
    assert processes(up["server"])
    assert 0 not in {uid for uid, _ in processes(up["server"])}


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("candidate", candidates("dns"))
def test_it_waits_on_one_address_when_planned(candidate: Candidate, address: str, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate, PORT, address)))
    endpoint = f"{bracketed(address)}:{PORT}"
    assert waiting(up["server"]) == {("udp", endpoint), ("tcp", endpoint)}
    assert dig(up["client"], address, "+short", "server.lab", "A") == "192.0.2.2"


def test_the_zone_has_every_host_and_the_servers_as_its_own() -> None:
    scenario = two_hosts()
    service = ServicePlan("names", "server", "dns", 53, hosts=scenario.hosts)
    assert records(service) == [
        ("client.lab.", "A", "192.0.2.1"),
        ("client.lab.", "AAAA", "2001:db8:2::1"),
        ("server.lab.", "A", "192.0.2.2"),
        ("server.lab.", "AAAA", "2001:db8:2::2"),
        ("lab.", "A", "192.0.2.2"),
        ("lab.", "AAAA", "2001:db8:2::2"),
    ]
