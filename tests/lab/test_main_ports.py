"""The main ports, every one with its real server and a conversation that the hosts' own kernels tell of."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from portbook.errors import Unavailable
from portbook.lab import hosts, keeper, programs, show
from portbook.lab.scenario import CLIENT_KINDS, Scenario, load
from portbook.lab.servers.program import installed

from .conftest import unique

if TYPE_CHECKING:
    from portbook.lab.state import LabState

TCP = {
    20: "ftp-data",
    21: "ftp",
    22: "ssh",
    23: "telnet",
    25: "smtp",
    53: "dns",
    80: "http",
    110: "pop3",
    119: "nntp",
    143: "imap",
    194: "irc",
    443: "https",
    465: "smtps",
    993: "imaps",
    995: "pop3s",
    3306: "mysql",
    3389: "rdp",
    5060: "sip",
    5432: "postgresql",
    5900: "vnc",
    8080: "http",
}
UDP = {53: "dns", 67: "dhcp", 123: "ntp", 161: "snmp", 514: "syslog", 5060: "sip"}
ROWS = {20, 21, 22, 23, 25, 53, 67, 68, 80, 110, 119, 123, 143, 161, 194, 443, 465, 514, 993, 995} | {
    *(3306, 3389, 5060, 5432, 5900, 8080),
}


def raised(plan: Scenario) -> LabState:
    """Return the lab; the test is skipped where it cannot be raised for want of a server or of rights."""
    lacking = [
        service.kind
        for service in plan.services
        if service.kind not in programs.OURS
        and not any(installed(one.name) for one in programs.CANDIDATES[service.kind])
    ]
    if lacking:
        pytest.skip(f"no server is installed for: {', '.join(lacking)}")
    events: list[object] = []
    try:
        return keeper.up(plan, events.append, unique(plan.name))[0]
    except Unavailable as error:
        if events:
            raise
        pytest.skip(f"no lab can be raised here: {error}")


@pytest.fixture(scope="module")
def state() -> Iterator[LabState]:
    """The scenario as it ships."""
    found = raised(load("main-ports"))
    yield found
    keeper.down(found)


def inside(state: LabState, host: str, *argv: str) -> str:
    """Return what a command says in a host."""
    done = hosts.run(state, host, argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_row_is_there(state: LabState) -> None:
    assert len(ROWS) == 26
    assert {*TCP, *UDP, 68} == ROWS
    listens = inside(state, "server", "ss", "-Htuln")
    found = {(line.split()[0], int(line.split()[4].rpartition(":")[2])) for line in listens.splitlines()}
    assert {("tcp", port) for port in TCP if port != 20} <= found
    assert {("udp", port) for port in UDP} <= found
    assert ":68 " in inside(state, "newcomer", "ss", "-Huln")


def test_every_tcp_conversation_went_both_ways(state: LabState) -> None:
    told = inside(state, "server", "ss", "-Htin", "state", "established").replace("\n\t", " ")
    bytes_of = {}
    for line in told.splitlines():
        port = int(line.split()[2].rpartition(":")[2])
        client = line.split()[3].rpartition(":")[0]
        sent, received = (re.search(rf"bytes_{way}:(\d+)", line) for way in ("sent", "received"))
        if client == "192.168.6.30":
            bytes_of[port] = (int(sent[1]) if sent else 0, int(received[1]) if received else 0)
    assert set(bytes_of) == set(TCP)
    for port, (out, back) in bytes_of.items():
        assert out > 0, port
        assert back > 0 or port == 20, port  # who fetches a file says nothing on the data connection


def test_every_datagram_is_answered(state: LabState) -> None:
    tracked = "table inet watch { chain input { type filter hook input priority 0; ct state new counter; }; }"
    inside(state, "server", "nft", tracked)
    try:
        for port, kind in UDP.items():
            if kind in CLIENT_KINDS:
                argv = programs.client_argv(
                    next(c for c in load("main-ports").clients if (c.port, c.transport) == (port, "udp")),
                    "192.168.6.1",
                )
                done = hosts.run(state, "client", [word for word in argv if word != "--hold"])
                assert '"answered": 1' in done.stdout, (kind, done.stdout, done.stderr)
        table = inside(state, "server", "cat", "/proc/net/nf_conntrack").splitlines()
    finally:
        inside(state, "server", "nft", "delete table inet watch")
    for port, kind in UDP.items():
        lines = [line for line in table if " udp " in line and f"dport={port} " in line and "192.168.6.30" in line]
        if kind in CLIENT_KINDS:
            # Nobody answers a message to the log (RFC 5426, section 3.3), but it came.
            assert [("[UNREPLIED]" in line) for line in lines] == [kind == "syslog"] * len(lines)
            assert lines, kind


def test_the_newcomer_has_an_address_of_the_server(state: LabState) -> None:
    told = inside(state, "newcomer", "ip", "-4", "-o", "address", "show", "dev", "eth0")
    found = re.search(r"inet ([\d.]+)", told)
    assert found is not None
    assert ip_address(found[1]) in ip_network("192.168.6.0/24")
    assert found[1] not in ("192.168.6.1", "192.168.6.30")
    ask = f"import socket; socket.create_connection(('192.168.6.1', 80), 5, ('{found[1]}', 0))"
    inside(state, "newcomer", "python3", "-c", ask)


def test_each_service_tells_what_it_really_is(state: LabState) -> None:
    for service in state.services:
        assert service.up, service.name
        assert service.product, service.name
        assert re.match(r"\d", service.version), service.name
    rows = list(show.conversations(state))
    known = {(row.transport, row.server_port) for row in rows if row.client_host == "client" and row.program}
    assert {("tcp", port) for port in TCP if port != 20} <= known
    assert {("udp", port) for port, kind in UDP.items() if kind in CLIENT_KINDS} <= known


def moved(plan: Scenario, numbers: random.Random) -> Scenario:
    """Return the scenario with each of its services at another port, its clients following."""
    ports = dict(zip((one.port for one in plan.services), numbers.sample(range(10000, 30000), 40), strict=False))
    kept = {one.port for one in plan.services if one.kind.startswith("dhcp")}
    ports |= {port: port for port in kept}
    return replace(
        plan,
        services=tuple(replace(one, port=ports[one.port]) for one in plan.services),
        clients=tuple(replace(one, port=ports[one.port]) for one in plan.clients),
    )


def test_every_server_serves_at_any_port() -> None:
    plan = moved(load("main-ports"), random.Random(26))
    found = raised(plan)
    try:
        assert all(service.up for service in found.services)
        at_server = inside(found, "server", "ss", "-Htn", "state", "established")
        ports = {int(line.split()[2].rpartition(":")[2]) for line in at_server.splitlines()}
        assert {one.port for one in plan.clients if one.transport == "tcp"} <= ports
    finally:
        keeper.down(found)
