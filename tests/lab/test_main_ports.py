"""The main ports, every one with its real server and a conversation that the hosts' own kernels tell of."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from portbook.lab import hosts, keeper, show
from portbook.lab.packages import lacking
from portbook.lab.programs import client_argv
from portbook.lab.scenario import CLIENT_KINDS, ClientPlan, Scenario, load

from .conftest import raised
from .stories import inside, pairs, port_of

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
ASKED = {port: kind for port, kind in UDP.items() if kind in CLIENT_KINDS}
ROWS = {20, 21, 22, 23, 25, 53, 67, 68, 80, 110, 119, 123, 143, 161, 194, 443, 465, 514, 993, 995} | {
    *(3306, 3389, 5060, 5432, 5900, 8080),
}


@contextmanager
def every_server(plan: Scenario) -> Iterator[LabState]:
    """Raise the plan and end it; the test is skipped where that cannot be for want of a server or of rights."""
    if os.geteuid():
        pytest.skip("without root there is nobody else to become, as some of these servers do")
    if wanted := lacking(plan):
        pytest.skip(f"not installed: {', '.join(wanted)}")
    found = raised(plan).state
    try:
        yield found
    finally:
        keeper.down(found)


@pytest.fixture(scope="module")
def state() -> Iterator[LabState]:
    """The scenario as it ships."""
    with every_server(load("main-ports")) as found:
        yield found


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
        for port, kind in ASKED.items():
            plan = ClientPlan("client", kind, "server", port, "udp", hold=False)
            done = hosts.run(state, "client", client_argv(plan, "192.168.6.1"))
            assert '"answered": 1' in done.stdout, (kind, done.stdout, done.stderr)
        table = inside(state, "server", "cat", "/proc/net/nf_conntrack").splitlines()
    finally:
        inside(state, "server", "nft", "delete table inet watch")
    for port, kind in ASKED.items():
        lines = [line for line in table if " udp " in line and f"dport={port} " in line and "192.168.6.30" in line]
        # Nobody answers a message to the log (RFC 5426, section 3.3), but it came.
        assert {"[UNREPLIED]" in line for line in lines} == {kind == "syslog"}, kind


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
    assert {("udp", port) for port in ASKED} <= known


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


@pytest.mark.lab
def test_every_server_serves_at_any_port() -> None:
    plan = moved(load("main-ports"), random.Random(26))
    with every_server(plan) as found:
        assert [service.name for service in found.services if not service.up] == []
        ports = {port_of(local) for local, _ in pairs(found, "server")}
        assert {one.port for one in plan.clients if one.transport == "tcp"} <= ports
