"""Many ports at once, between hosts of the tests' own: nothing is missed, and nothing is said twice."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import tracemalloc
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from portbook.probe import reach
from portbook.probe.connecting import NoFamily, NoSocket, new_socket
from portbook.probe.files import room_for_files
from portbook.probe.reach import ALL_OPEN, Limits, Reach
from portbook.probe.waiting import MANY_PORTS, Queue
from portbook.probe.witnesses import OPEN_ASKS, OPEN_INTERVAL, Canaries, Open
from tests.hosts import Cable, Host, hosts
from tests.linux.children import ChildError, in_child

from .run import reached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEAR, FAR, FAR6 = "10.66.0.1", "10.66.0.2", "fd66::2"
OPEN = (22, 80, 443, 1111, 2345, 3210, 3999)


@pytest.fixture
def pair() -> Iterator[tuple[Host, Host]]:
    with hosts(2) as (near, far):
        Cable(near, far)
        yield near, far


def nft(host: Host, rules: str) -> None:
    """Have a host's firewall judge what comes in."""
    table = f"table inet t {{ chain i {{ type filter hook input priority 0; {rules} }}; }}"
    with host.inside():
        try:
            subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("nft is not installed")


@contextmanager
def listening(host: Host, ports: Sequence[int]) -> Iterator[None]:
    """Have ports of a host accept, both families; nobody takes the connections."""
    with ExitStack() as stack:
        with host.inside():
            for port in ports:
                stack.enter_context(
                    socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
                )
        yield


def states(found: dict[tuple[str, int], Any]) -> dict[str, set[int]]:
    told: dict[str, set[int]] = {}
    for (_, port), outcome in found.items():
        told.setdefault(outcome[1].state, set()).add(port)
    return told


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "reference"])
@pytest.mark.parametrize("unprivileged", [False, True], ids=["root", "nobody"])
def test_every_port_of_a_host_that_answers(
    pair: tuple[Host, Host], unprivileged: bool, pure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = pair
    if pure:
        monkeypatch.setenv("PORTBOOK_PURE", "1")
    ports = [(ip, port) for ip in (FAR, FAR6) for port in range(1, 4001)]
    with listening(far, OPEN):
        found, missed = reached(near.inside, ports, unprivileged=unprivileged)
    assert set(found) == set(ports)
    assert states(found) == {"open": set(OPEN), "closed": set(range(1, 4001)) - set(OPEN)}
    assert missed == 0
    for _, _, rtt, attempts, note, made in found.values():
        assert rtt > 0
        assert (attempts, note, made) == (1, None, None)


SILENT = f"tcp dport {{ {', '.join(map(str, OPEN))} }} accept; tcp flags & (syn | ack) == syn drop;"


@pytest.mark.parametrize("ip", [FAR, FAR6])
def test_none_is_missed_where_all_else_is_silent(pair: tuple[Host, Host], ip: str) -> None:
    near, far = pair
    nft(far, SILENT)
    ports = [(ip, port) for port in range(1, 4001)]
    with listening(far, OPEN):
        found, missed = reached(near.inside, ports)
    assert states(found) == {"open": set(OPEN), "filtered": set(range(1, 4001)) - set(OPEN)}
    assert missed == 0
    assert {outcome[3] for outcome in found.values() if outcome[1].state == "filtered"} <= {3, 4}


def test_none_is_missed_where_one_syn_in_ten_is_lost(pair: tuple[Host, Host]) -> None:
    near, far = pair
    nft(far, f"tcp flags & (syn | ack) == syn numgen random mod 10 == 0 drop; {SILENT}")
    ports = [(FAR, port) for port in range(1, 1001)]
    with listening(far, OPEN[:4]):
        found, missed = reached(near.inside, ports)
    assert states(found) == {"open": {22, 80, 443}, "filtered": set(range(1, 1001)) - set(OPEN)}
    assert missed < 0.0001


def test_a_middlebox_that_accepts_everything_is_noticed(pair: tuple[Host, Host]) -> None:
    near, far = pair
    with far.inside():
        subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        rules = "table ip t { chain p { type nat hook prerouting priority -100; meta l4proto tcp redirect to :7; }; }"
        try:
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            pytest.skip("nft cannot translate addresses here")
    ports = [(ip, port) for ip in (FAR, FAR6) for port in range(1, MANY_PORTS + 1)]
    with listening(far, [7]):
        found, _ = reached(near.inside, ports)
        few, _ = reached(near.inside, ports[: MANY_PORTS - 1])
    assert {outcome[1].state for (ip, _), outcome in found.items() if ip == FAR} == {"open"}
    assert {outcome[4] for (ip, _), outcome in found.items() if ip == FAR} == {ALL_OPEN}
    assert {outcome[4] for (ip, _), outcome in found.items() if ip == FAR6} == {None}
    assert found[FAR6, 7][1].state == "open"
    assert {outcome[4] for outcome in few.values()} == {None}


def test_what_is_open_waits_only_so_long_for_the_controls(pair: tuple[Host, Host]) -> None:
    near, far = pair
    nft(far, SILENT)
    with listening(far, [22, 80]):
        found, _ = reached(near.inside, [(FAR, port) for port in range(20, 100)])
    assert states(found)["open"] == {22, 80}
    assert {outcome[4] for outcome in found.values()} == {None}


def test_few_files_are_enough(pair: tuple[Host, Host]) -> None:
    near, far = pair
    nft(far, SILENT)
    ports = [(FAR, port) for port in range(1, 41)]
    with listening(far, [22]):
        found, _ = reached(near.inside, ports, files=40)
    assert states(found) == {"open": {22}, "filtered": set(range(1, 41)) - {22}}


def test_without_a_file_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_WAIT_FOR_SOCKET", 0.1)

    def body() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        taken = []
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        os.close(taken.pop())  # what is left is for epoll
        list(Reach().outcomes([("127.0.0.1", 1)]))

    with pytest.raises(ChildError, match="raise the limit of open files"):
        in_child(body)


def test_a_socket_that_is_missing_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made, refusals = new_socket, [24, 24, 24]

    def now_and_then(family: int) -> socket.socket:
        if refusals:
            raise NoSocket(refusals.pop(), "too many")
        return made(family)

    monkeypatch.setattr(reach, "new_socket", now_and_then)
    with socket.create_server(("127.0.0.1", 0)) as server:
        (outcome,) = Reach().outcomes([server.getsockname()])
    assert outcome.result.state == "open"


def test_the_soft_limit_of_files_is_raised() -> None:
    def body() -> tuple[int, int, int]:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        room = room_for_files()
        return room, resource.getrlimit(resource.RLIMIT_NOFILE)[0], hard

    room, soft, hard = in_child(body)
    assert (soft == hard, room < soft, room > 0) == (True, True, True)


def test_an_address_without_a_route_is_told_for_every_port() -> None:
    with hosts(1) as (host,):
        found, _ = reached(host.inside, [("192.0.2.1", port) for port in range(1, 101)])
    assert {outcome[1][:2] for outcome in found.values()} == {("unreachable", "ENETUNREACH")}
    assert {outcome[2] for outcome in found.values()} == {None}


def test_without_ipv6_the_kernel_is_asked_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(family: int) -> socket.socket:
        raise NoFamily(97, "Address family not supported by protocol")

    monkeypatch.setattr(reach, "new_socket", without)
    ports = [("::1", port) for port in range(1, 200)]
    found = list(Reach().outcomes(ports))
    assert sorted(outcome.address for outcome in found) == ports
    assert {outcome.result for outcome in found} == {("unreachable", "EAFNOSUPPORT", None)}


def test_open_connections_are_handed_out_where_they_are_wanted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (outcome,) = Reach(Limits(keep=True)).outcomes([server.getsockname()])
        assert outcome.made is not None
        with outcome.made:
            assert outcome.made.getpeername() == server.getsockname()


def test_a_run_that_is_left_early_leaves_nothing() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = Reach().outcomes([("127.0.0.1", one) for one in range(port - 100, port + 100)], [server.getsockname()])
        next(iter(run))
        run.close()  # type: ignore[attr-defined]
    assert set(os.listdir("/proc/self/fd")) == before


class Endpoints:
    """A hundred thousand addresses that nobody holds."""

    def __len__(self) -> int:
        return 100_000

    def __getitem__(self, place: int) -> tuple[str, int]:
        if not 0 <= place < len(self):
            raise IndexError(place)
        return f"127.0.0.{place // 50_000 + 1}", place % 50_000 + 1


def test_a_hundred_thousand_endpoints_take_little_memory() -> None:
    tracemalloc.start()
    try:
        queue = Queue(Endpoints(), [("127.0.0.1", 80)], shuffle=True)  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(queue) == 100_000 + 4
    taken = [address for _ in range(4) for address in queue.take(1)]
    assert [address[0] for address in taken] == ["127.0.0.1"] * 2 + ["127.0.0.2"] * 2
    assert min(port for _, port in taken) >= 49152
    assert queue.take(1) == [("127.0.0.1", 80)]
    rest = [address for _ in range(1000) for address in queue.take(100)]
    assert len(rest) == len(set(rest)) == 99_999
    assert rest != sorted(rest)


def test_the_order_is_kept_where_that_is_asked_for() -> None:
    ports = [("127.0.0.1", port) for port in (5, 3, 9)] + [("::1", 1), ("127.0.0.1", 2)]
    queue = Queue(ports, [("127.0.0.1", 9)], shuffle=False)
    assert queue.take(10) == ports[:3]
    assert queue.take(10) == ports[3:4]
    taken = queue.take(10)
    assert taken == ports[4:]
    assert len(queue) == 0
    queue.put_back(taken, control=False)
    assert queue.take(1) == taken


def test_an_open_port_is_not_bothered_often_and_a_closed_one_bothers_nobody() -> None:
    canaries = Canaries()
    assert canaries.next(0.0) is None
    both = {("192.0.2.1", 22), ("192.0.2.1", 25)}
    canaries.opens.extend(Open(address) for address in both)
    asked = [canaries.next(step / 100) for step in range(100)]
    assert [asked.count(address) for address in both] == [OPEN_ASKS, OPEN_ASKS]
    assert asked[2 * OPEN_ASKS :] == [None] * (100 - 2 * OPEN_ASKS)
    last = (2 * OPEN_ASKS - 1) / 100
    assert {canaries.next(last + OPEN_INTERVAL), canaries.next(last + OPEN_INTERVAL)} == both
    assert canaries.next(last + OPEN_INTERVAL + 0.1) is None
    canaries.resets.append(("192.0.2.1", 1))
    canaries.resets.append(("192.0.2.1", 2))
    assert {canaries.next(0.0), canaries.next(0.0)} == {("192.0.2.1", 1), ("192.0.2.1", 2)}
