"""The story of each scenario, told by the hosts' own kernels: by ss inside, not by what the lab says of itself."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from portbook.errors import Unavailable
from portbook.lab import hosts, keeper, programs, scenario, show

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


def inside(state: LabState, host: str, *argv: str) -> str:
    """Return what a command says in a host."""
    done = hosts.run(state, host, argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pairs(state: LabState, host: str, kind: str = "established") -> Counter[tuple[str, str]]:
    """Return the local and the remote endpoints of the TCP sockets of a host that are in a state."""
    rows = [line.split() for line in inside(state, host, "ss", "-Htan", "state", kind).splitlines()]
    return Counter((row[2], row[3]) for row in rows)


def listening(state: LabState, host: str) -> set[str]:
    return {line.split()[3] for line in inside(state, host, "ss", "-Htln").splitlines()}


def turned(found: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    return Counter({(remote, local): count for (local, remote), count in found.items()})


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def shown(state: LabState) -> Counter[tuple[str, str]]:
    """Return the established pairs of our own table, the client's socket first."""

    def end(ip: str, port: int) -> str:
        return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"

    return Counter(
        (end(row.client_ip, row.client_port), end(row.server_ip, row.server_port))
        for row in show.conversations(state)
        if row.state == "ESTABLISHED"
    )


def test_web_ftp(servers: None) -> None:
    with lab("web-ftp") as (state, _):
        at_client = pairs(state, "client")
        assert at_client == {
            ("192.168.1.5:1099", "192.168.1.7:80"): 1,
            ("192.168.1.5:1305", "192.168.1.7:21"): 1,
        }
        # Source and destination swapped.
        assert pairs(state, "server") == turned(at_client)
        assert listening(state, "server") == {"0.0.0.0:80", "[::]:80", "0.0.0.0:21", "[::]:21"}
        assert shown(state) == at_client
        rows = {(row.client_port, row.client_host, row.server_host, row.service) for row in show.conversations(state)}
        assert rows == {(1099, "client", "server", "web"), (1305, "client", "server", "ftp")}


def test_client_server(servers: None) -> None:
    with lab("client-server") as (state, _):
        at_client = pairs(state, "client")
        assert Counter(remote for _, remote in at_client) == {
            "192.168.2.1:80": 3,
            "[fd00:2::1]:80": 1,
            "192.168.2.1:22": 2,
        }
        assert {local.rpartition(":")[0] for local, _ in at_client} == {"192.168.2.30", "[fd00:2::30]"}
        assert len({(local, remote) for local, remote in at_client}) == 6
        assert pairs(state, "server") == turned(at_client)
        assert shown(state) == at_client


def test_port_conflict(servers: None) -> None:
    with lab("port-conflict") as (state, events):
        told = [event for event in events if event.kind == "step"]
        assert [event.name for event in told] == [step.text for step in scenario.load("port-conflict").steps]
        assert listening(state, "server") == {"0.0.0.0:80", "[::]:80"}
        # The forty conversations with the two that shared, which the servers closed first.
        waiting = pairs(state, "server", "time-wait")
        assert len(waiting) == 40
        assert {local for local, _ in waiting} == {"192.168.1.7:80"}
        assert pairs(state, "client", "time-wait") == {}
        [(local, remote)] = pairs(state, "server")
        assert (local, remote.rpartition(":")[0]) == ("192.168.1.7:80", "192.168.1.5")
        counted = {(row.state, row.conversations) for row in show.counts(show.conversations(state))}
        assert counted == {("TIME-WAIT", 40), ("ESTABLISHED", 1)}
        # The port is taken again, and the kernel says so.
        again = hosts.run(state, "server", ["python3", "-c", "import socket; socket.create_server(('', 80))"])
        assert "Address already in use" in again.stderr


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


def counters(state: LabState, host: str) -> dict[str, int]:
    """Return the counters of a host's kernel in /proc/net/snmp and snmp6 which are not 0."""
    found = {}
    lines = inside(state, host, "cat", "/proc/net/snmp").splitlines()
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        group, *words = names.split()
        found.update(
            {
                group + name: int(number)
                for name, number in zip(words, numbers.split()[1:], strict=True)
                if number != "0"
            }
        )
    return found | {
        name: int(number)
        for name, number in (line.split() for line in inside(state, host, "cat", "/proc/net/snmp6").splitlines())
        if number != "0"
    }


ASK = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2.5).close()
except TimeoutError:
    print("silence")
except OSError as error:
    print(errno.errorcode[error.errno])
else:
    print("open")
"""


def test_closed_doors() -> None:
    with lab("closed-doors") as (state, _):

        def meets(address: str, port: int) -> tuple[str, bool, bool]:
            """Return what connecting comes to, whether a reset came, and whether an ICMP error came."""
            before = counters(state, "client")
            answer = inside(state, "client", "python3", "-c", ASK, address, str(port)).strip()
            after = counters(state, "client")

            def grown(*names: str) -> bool:
                return any(after.get(name, 0) > before.get(name, 0) for name in names)

            return answer, grown("Tcp:AttemptFails"), grown("Icmp:InDestUnreachs", "Icmp6InDestUnreachs")

        for address, prohibited in (("192.168.3.1", "EHOSTUNREACH"), ("fd00:3::1", "EACCES")):
            assert meets(address, 80) == ("open", False, False)
            assert meets(address, 81) == ("ECONNREFUSED", True, False)
            assert meets(address, 82)[::2] == ("silence", False)
            assert meets(address, 83)[::2] == ("ECONNREFUSED", True)
            assert meets(address, 84)[::2] == (prohibited, True)
            assert meets(address, 85) == ("ECONNREFUSED", True, False)
            assert meets(address, 86) == ("ECONNREFUSED", True, False)
            assert meets(address, 8080) == ("open", False, False)
        # All but 81 and 8080 are listened on: it is the firewall, or the address, that keeps the client out.
        listened = listening(state, "server")
        assert {port_of(one) for one in listened} == {80, 82, 83, 84, 85, 86}
        assert {one for one in listened if port_of(one) == 86} == {"127.0.0.1:86", "[::1]:86"}
        # What is published arrives at the host inside, from the client's own address.
        assert {(local, remote.rpartition(":")[0]) for local, remote in pairs(state, "inner")} == {
            ("10.0.3.2:80", "192.168.3.30"),
            ("[fd00:3:1::2]:80", "[fd00:3::30]"),
        }
        published = [
            row for row in show.conversations(state) if row.server_port == 8080 and row.state == "ESTABLISHED"
        ]
        assert {(row.server_host, row.service, row.translated_by) for row in published} == {
            ("inner", "published", "server")
        }
        assert {row.server_after for row in published} == {"10.0.3.2:80", "[fd00:3:1::2]:80"}


def test_the_table_outlives_a_host() -> None:
    with lab("web-ftp") as (state, _):
        pass
    assert len(show.conversations(state)) == 0
    assert len(show.listeners(state)) == 0
