"""The story of each scenario, told by the hosts' own kernels: by ss inside, not by what the lab says of itself."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from portbook.errors import Unavailable
from portbook.lab import hosts, keeper, programs, scenario, show
from portbook.lab.servers.program import installed
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portbook.lab.state import Event, LabState


@contextmanager
def lab(name: str) -> Iterator[tuple[LabState, list[Event]]]:
    """Raise a scenario, give it with what was reported, and end it."""
    events: list[Event] = []
    try:
        state, _ = keeper.up(scenario.load(name), events.append, f"test-{os.getpid()}-{name}")
    except Unavailable as error:
        if events:
            raise
        pytest.skip(f"no lab can be raised here: {error}")
    try:
        yield state, events
    finally:
        keeper.down(state)


@pytest.fixture(params=["installed", "ours"])
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the story twice: with the servers that are installed, and with none but Python's own."""
    if request.param == "ours":
        monkeypatch.setattr(programs, "CANDIDATES", {})


def test_web_ftp(servers: None) -> None:
    with lab("web-ftp") as (state, _):
        check_web_ftp(state)


def test_client_server(servers: None) -> None:
    with lab("client-server") as (state, _):
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


def test_port_conflict(servers: None) -> None:
    with lab("port-conflict") as (state, events):
        check_port_conflict(state, events)


def test_gateway() -> None:
    with lab("gateway") as (state, _):
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


def test_many_clients() -> None:
    with lab("many-clients") as (state, _):
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


def test_closed_doors(servers: None) -> None:
    with lab("closed-doors") as (state, _):
        check_closed_doors(state)


def test_the_table_outlives_a_host() -> None:
    with lab("web-ftp") as (state, _):
        pass
    assert len(show.conversations(state)) == 0
    assert len(show.listeners(state)) == 0
