"""The stories of scenarios as the hosts' own kernels tell them: by ss inside, not by what the lab says of itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from portbook.endpoint import Endpoint
from portbook.lab import hosts, scenario, show

if TYPE_CHECKING:
    from portbook.lab.state import Event, LabState


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
    return Counter(
        (str(Endpoint(row.client_ip, row.client_port)), str(Endpoint(row.server_ip, row.server_port)))
        for row in show.conversations(state)
        if row.state == "ESTABLISHED"
    )


def check_web_ftp(state: LabState) -> None:
    """Assert the story of web-ftp."""
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


def check_port_conflict(state: LabState, events: list[Event]) -> None:
    """Assert the story of port-conflict, of which `events` were told."""
    told = [event for event in events if event.kind == "step"]
    steps = scenario.load("port-conflict").steps
    assert [event.name for event in told] == [step.text for step in steps]
    # Whoever is refused says why.
    words = [event.detail for event, step in zip(told, steps, strict=True) if step.expect == "refused"]
    assert len(words) == 2
    assert all("Address already in use" in one for one in words)
    [shared] = [event.servers for event in events if event.outcomes == {"answered": 40}]
    assert set(shared) == {"first-sharing", "second-sharing"}
    assert sum(shared.values()) == 40
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


def check_closed_doors(state: LabState) -> None:
    """Assert the story of closed-doors."""

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
    published = [row for row in show.conversations(state) if row.server_port == 8080 and row.state == "ESTABLISHED"]
    assert {(row.server_host, row.service, row.translated_by) for row in published} == {
        ("inner", "published", "server")
    }
    assert {row.server_after for row in published} == {"10.0.3.2:80", "[fd00:3:1::2]:80"}
