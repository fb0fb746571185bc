"""Leases: a newcomer's kernel has an address of the pool, and the server's file has the newcomer."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import Unavailable
from portbook.lab.programs import choose, client_argv
from portbook.lab.scenario import ClientPlan, HostPlan, Scenario, ServicePlan
from portbook.lab.servers.dhcp import LEASES, pool
from portbook.lab.servers.program import Candidate, installed
from tests.lab.conftest import Lab, LabHost, Raise, eventually
from tests.lab.plans import echo, two_hosts

from .kernel import candidates, others, ports, processes

ODD = (31067, 31068)
USUAL = (67, 68)
POOL = {f"192.0.2.{number}" for number in range(200, 221)}


def with_newcomer(
    server: str | None, client: str | None, numbers: tuple[int, int], forwards: bool = False
) -> Scenario:
    """Return two hosts and a third that has no IPv4 address but what it is leased."""
    both = two_hosts()
    host = HostPlan("server", both.host("server").addresses, forwards=forwards)
    newcomer = HostPlan("newcomer", (("net", "2001:db8:2::68/64"),))
    services = (
        ServicePlan("leases", "server", "dhcp", numbers[0], ("udp",), program=server),
        ServicePlan("newcomer", "newcomer", "dhcp-client", numbers[1], ("udp",), program=client),
        echo("echo", 31007),
    )
    return Scenario(
        "newcomer", "A newcomer", "It asks.", both.networks, (both.host("client"), host, newcomer), services
    )


def numbers_of(candidate: Candidate) -> tuple[int, int]:
    """Return the odd ports, or the only ones of a program that has no others."""
    return USUAL if candidate.name in ("udhcpd", "dhcpcd") else ODD


def addresses(host: LabHost) -> list[str]:
    """Return the IPv4 addresses of the first interface."""
    told = json.loads(host.run("ip", "-json", "-4", "address", "show", "dev", "eth0").stdout or "[]")
    return [f"{one['local']}/{one['prefixlen']}" for interface in told for one in interface.get("addr_info", [])]


def machine() -> tuple[bytes, dict[str, int]]:
    """Return what must not change on the machine: its resolvers, and the leases of its own clients and servers."""
    resolvers = Path("/etc/resolv.conf")
    kept = [one for name in ("dhcp", "dhcpcd", "misc") for one in Path(f"/var/lib/{name}").glob("*")]
    return resolvers.read_bytes() if resolvers.exists() else b"", {str(one): one.stat().st_mtime_ns for one in kept}


def leased_addresses(path: str, candidate: Candidate) -> str:
    """Return what a server's file of leases says, as text."""
    if candidate.name == "udhcpd":
        data = Path(path).read_bytes()[8:]  # the time; then 40 bytes for each, the address from the fifth on
        return " ".join(str(IPv4Address(data[place + 4 : place + 8])) for place in range(0, len(data), 40))
    return Path(path).read_text()


def check_lease(up: Lab, numbers: tuple[int, int]) -> str:
    """Check that the newcomer has an address of the pool by its kernel, and reaches the server by it; return it."""
    newcomer = up["newcomer"]
    [interface] = addresses(newcomer)
    address, _, length = interface.partition("/")
    assert address in POOL
    assert length == "24"
    assert ("udp", numbers[1]) in ports(newcomer)
    assert ("udp", numbers[0]) in ports(up["server"])
    ask = ClientPlan("newcomer", "echo", "server", 31007, hold=False)
    assert json.loads(newcomer.run(*client_argv(ask, "192.0.2.2")).stdout)["outcomes"] == {"answered": 1}
    return address


@pytest.mark.parametrize("candidate", candidates("dhcp"))
def test_a_newcomer_is_leased_an_address(candidate: Candidate, lab: Raise) -> None:
    if installed("dhclient") is None:
        pytest.skip("dhclient is not installed")
    before = machine()
    numbers = numbers_of(candidate)
    up = lab(with_newcomer(candidate.name, "dhclient", numbers))
    address = check_lease(up, numbers)
    assert up.services["leases"].product == candidate.product
    assert up.services["leases"].version
    path = f"{up.state.folder}/leases/{LEASES}"
    assert eventually(lambda: address in leased_addresses(path, candidate))
    assert "default" not in up["newcomer"].run("ip", "-4", "route").stdout
    assert machine() == before


@pytest.mark.parametrize("candidate", candidates("dhcp-client"))
def test_each_client_takes_what_it_is_leased(candidate: Candidate, lab: Raise) -> None:
    before = machine()
    numbers = numbers_of(candidate)
    up = lab(with_newcomer(None, candidate.name, numbers, forwards=True))
    check_lease(up, numbers)
    assert up.services["newcomer"].product == candidate.product
    assert "default via 192.0.2.2" in up["newcomer"].run("ip", "-4", "route").stdout
    assert machine() == before


@others
@pytest.mark.parametrize("candidate", candidates("dhcp"))
def test_servers_are_nobody_of_rights(candidate: Candidate, lab: Raise) -> None:
    service = ServicePlan("leases", "server", "dhcp", 67, ("udp",), program=candidate.name)
    up = lab(two_hosts(service))
    assert ports(up["server"]) == {("udp", 67)}
    assert [uid for uid, _ in processes(up["server"])]
    assert 0 not in {uid for uid, _ in processes(up["server"])}


@pytest.mark.parametrize(
    ("kind", "name", "port"), [("dhcp", "udhcpd", 31067), ("dhcp-client", "dhcpcd", 31068), ("ntp", "ntpd", 31123)]
)
def test_a_program_of_one_port_refuses_others(kind: str, name: str, port: int, tmp_path: Path) -> None:
    if installed(name) is None:
        pytest.skip(f"{name} is not installed")
    service = ServicePlan("it", "server", kind, port, ("udp",), program=name, hosts=two_hosts().hosts)
    with pytest.raises(Unavailable, match=f"cannot have port {port}"):
        choose(service, os.fspath(tmp_path))


def serving(*hosts: HostPlan, address: str | None = None) -> ServicePlan:
    """Return the plan of a server of leases on the first of some hosts."""
    return ServicePlan("leases", hosts[0].name, "dhcp", 67, ("udp",), address, hosts=hosts)


@pytest.mark.parametrize(
    ("own", "first", "last"),
    [
        ("192.0.2.1/24", "192.0.2.200", "192.0.2.220"),
        ("192.0.2.220/24", "192.0.2.199", "192.0.2.219"),
        ("192.0.2.210/24", "192.0.2.211", "192.0.2.220"),
        ("10.0.0.1/16", "10.0.255.200", "10.0.255.220"),
        ("192.0.2.1/27", "192.0.2.10", "192.0.2.30"),
        ("192.0.2.1/29", "192.0.2.2", "192.0.2.6"),
        ("192.0.2.2/30", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_pool_is_at_the_end_of_the_network(own: str, first: str, last: str) -> None:
    found = pool(serving(HostPlan("server", (("net", own),))))
    assert (found.interface, str(found.first), str(found.last)) == ("eth0", first, last)
    assert found.router is None


def test_the_pool_is_of_the_network_of_the_servers_address() -> None:
    router = HostPlan("router", (("left", "10.1.0.1/24"), ("right", "fd00::1/64"), ("right", "10.2.0.1/24")))
    server = HostPlan("server", router.addresses, forwards=True)
    found = pool(serving(server, address="10.2.0.1"))
    assert (found.interface, str(found.last), str(found.router)) == ("eth1", "10.2.0.220", "10.2.0.1")
    behind = HostPlan("server", (("right", "10.2.0.9/24"),), gateway="router")
    assert str(pool(serving(behind, router)).router) == "10.2.0.1"


@pytest.mark.parametrize("addresses", [(), ("fd00::1/64",), ("192.0.2.1/32",), ("192.0.2.0/31",)])
def test_without_addresses_to_lease_it_says_so(addresses: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable, match="server"):
        pool(serving(HostPlan("server", tuple(("net", address) for address in addresses))))


@given(st.integers(8, 32), st.sets(st.integers(0, 300), min_size=1, max_size=300))
def test_no_address_of_the_pool_is_anybodys(length: int, places: set[int]) -> None:
    block = ip_network(f"10.0.0.0/{length}")
    taken = {block[-1 - place % block.num_addresses] for place in places}
    hosts = [HostPlan(f"host{number}", (("net", f"{one}/{length}"),)) for number, one in enumerate(taken)]
    try:
        found = pool(serving(*hosts))
    except Unavailable:
        assert block.num_addresses <= len(taken) + 2
        return
    leased = {IPv4Address(int(found.first) + number) for number in range(found.size)}
    assert 1 <= len(leased) <= 21
    assert max(leased) == found.last
    assert not leased & taken
    assert {one for one in leased if one in block} == leased
    assert not leased & {block.network_address, block.broadcast_address}
