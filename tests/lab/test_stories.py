"""The story of each scenario, told by the hosts' own kernels: by ss inside, not by what the lab says of itself."""

from __future__ import annotations

from collections import Counter

import pytest

from portbook.lab import hosts, keeper, programs, show
from portbook.lab.servers.program import installed
from tests.lab.conftest import Raise
from tests.lab.stories import (
    check_closed_doors,
    check_port_conflict,
    check_web_ftp,
    inside,
    pairs,
    port_of,
    shown,
    turned,
)


@pytest.fixture(params=["installed", "ours"])
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the story twice: with the servers that are installed, and with none but Python's own."""
    if request.param == "ours":
        monkeypatch.setattr(programs, "CANDIDATES", {})


def test_web_ftp(servers: None, lab: Raise) -> None:
    state = lab("web-ftp").state
    check_web_ftp(state)


def test_client_server(servers: None, lab: Raise) -> None:
    state = lab("client-server").state
    at_client = pairs(state, "client")
    # The database is left out where there is none to serve it.
    database = any(installed(one.name) for one in programs.CANDIDATES.get("mysql", ()))
    assert Counter(remote for _, remote in at_client) == {
        "192.168.2.1:80": 3,
        "[fd00:2::1]:80": 1,
        "192.168.2.1:22": 2,
        **({"192.168.2.1:3306": 2} if database else {}),
    }
    assert {local.rpartition(":")[0] for local, _ in at_client} == {"192.168.2.30", "[fd00:2::30]"}
    assert len(at_client) == (8 if database else 6)
    assert pairs(state, "server") == turned(at_client)
    assert shown(state) == at_client


def test_port_conflict(servers: None, lab: Raise) -> None:
    up = lab("port-conflict")
    check_port_conflict(up.state, up.events)


def test_gateway(lab: Raise) -> None:
    state = lab("gateway").state
    at_server = pairs(state, "server")
    assert Counter((local, remote.rpartition(":")[0]) for local, remote in at_server) == {
        ("203.0.113.7:80", "203.0.113.1"): 3,
        ("[2001:db8:4::7]:80", "[2001:db8:4::1]"): 3,
    }
    # All came from port 1099; on the gateway's one address they need three.
    for family in ("203", "[2001"):
        assert len({remote for local, remote in at_server if local.startswith(family)}) == 3
    begun: Counter[tuple[str, str]] = Counter()
    for number in (1, 2, 3):
        mine = pairs(state, f"client{number}")
        assert mine == {
            (f"192.168.4.1{number}:1099", "203.0.113.7:80"): 1,
            (f"[fd00:4::1{number}]:1099", "[2001:db8:4::7]:80"): 1,
        }
        begun += mine
    assert pairs(state, "gateway") == {}
    # Each is told once, with both of its pairs.
    assert shown(state) == begun
    table = list(show.conversations(state))
    assert Counter((row.server_after, row.client_after) for row in table) == at_server
    assert {row.translated_by for row in table} == {"gateway"}


def test_many_clients(lab: Raise) -> None:
    state = lab("many-clients").state
    at_client = pairs(state, "client")
    to_echo = {port_of(local) for local, remote in at_client if remote == "192.168.5.1:7"}
    assert to_echo == set(range(49152, 50152))
    # A source port that is in use towards port 7 does for port 80.
    [to_web] = [port_of(local) for local, remote in at_client if remote == "192.168.5.1:80"]
    assert to_web in to_echo
    assert pairs(state, "server") == turned(at_client)
    users = inside(state, "server", "ss", "-Htnp", "state", "established", "sport = :7").split("users:")[1:]
    assert len({user.split("pid=")[1].split(",")[0] for user in users}) == 1
    more = hosts.run(
        state, "client", ["python3", "-c", "import socket; socket.create_connection(('192.168.5.1', 7))"]
    )
    assert "Cannot assign requested address" in more.stderr
    counted = {(row.server_port, row.conversations) for row in show.counts(show.conversations(state))}
    assert counted == {(7, 1000), (80, 1)}


def test_closed_doors(servers: None, lab: Raise) -> None:
    state = lab("closed-doors").state
    check_closed_doors(state)


def test_the_table_outlives_a_host(lab: Raise) -> None:
    state = lab("web-ftp").state
    assert len(show.conversations(state)) == 2
    keeper.down(state)
    assert len(show.conversations(state)) == 0
    assert len(show.listeners(state)) == 0
