"""One connection: what the kernel says of it, by the compiled twin as by the reference."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import re
import resource
import select
import shutil
import socket
import subprocess
import warnings
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portbook.compiled import twin
from portbook.probe import connecting as reference
from portbook.probe.connecting import RESET, NoFamily, NoSocket, Result, again, begin, new_socket, round_trip_ms
from portbook.probe.datagrams import port_test
from portbook.probe.targets import Target
from tests.hosts import Cable, hosts
from tests.linux.children import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Begin = Callable[[socket.socket, list[tuple[str, int]], int], tuple[list[float], Result | None]]

compiled = twin("portbook.probe.connecting")
needs_twin = pytest.mark.skipif(compiled is None, reason="the compiled twin is not built")
ADDRESSES = ("127.0.0.1", "::1")


@pytest.fixture(params=["reference", pytest.param("compiled", marks=needs_twin)])
def begin_all(request: pytest.FixtureRequest) -> Begin:
    chosen: Begin = (reference if request.param == "reference" or compiled is None else compiled).begin_all
    return chosen


def family_of(ip: str) -> int:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


@pytest.fixture(params=ADDRESSES)
def ip(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    try:
        socket.socket(family_of(found)).close()
    except OSError:
        pytest.skip("this host has no such family")
    return found


@pytest.fixture
def closed(ip: str) -> Iterator[list[tuple[str, int]]]:
    """Ports that are bound and do not listen."""
    with ExitStack() as stack:
        bound = [stack.enter_context(socket.socket(family_of(ip))) for _ in range(5)]
        for one in bound:
            one.bind((ip, 0))
        yield [one.getsockname()[:2] for one in bound]


@pytest.fixture
def listening(ip: str) -> Iterator[tuple[str, int]]:
    with socket.create_server((ip, 0), family=family_of(ip), backlog=1024) as server:
        yield server.getsockname()[:2]


def test_one_socket_meets_one_reset_after_another(begin_all: Begin, ip: str, closed: list[tuple[str, int]]) -> None:
    with new_socket(family_of(ip)) as made:
        waited, came = begin_all(made, closed, 0)
        assert came is RESET
        assert len(waited) == len(closed)
        assert all(milliseconds > 0 for milliseconds in waited)
        assert begin_all(made, closed, 3)[1] is RESET
        assert begin_all(made, closed, len(closed)) == ([], RESET)


def test_what_is_open_stops_it_and_has_the_socket(
    begin_all: Begin, ip: str, closed: list[tuple[str, int]], listening: tuple[str, int]
) -> None:
    with new_socket(family_of(ip)) as made:
        waited, came = begin_all(made, [*closed, listening, *closed], 1)
        assert (len(waited), came) == (len(closed) - 1, Result("open", "accepted"))
        assert made.getpeername()[:2] == listening


@needs_twin
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(order=st.lists(st.integers(-1, 4), max_size=12), start=st.integers(0, 12))
def test_the_twin_says_what_the_reference_says(
    closed: list[tuple[str, int]], listening: tuple[str, int], order: list[int], start: int
) -> None:
    assert compiled is not None
    addresses = [listening if place < 0 else closed[place] for place in order]
    told = []
    for module in (reference, compiled):
        with new_socket(family_of(listening[0])) as made:
            waited, came = module.begin_all(made, addresses, start)
            told.append((len(waited), came))
    assert told[0] == told[1]


def test_an_odd_address_is_an_answer(begin_all: Begin, closed: list[tuple[str, int]]) -> None:
    for address, state in (
        (("255.255.255.255", 80), ("unreachable", "error", "rejected")),
        (("fe80::1%nowhere0", 80), ("unreachable",)),
        (("fe80::1", 80), ("unreachable",)),
    ):
        with new_socket(family_of(address[0])) as made:
            waited, came = begin_all(made, [address, *closed], 0)
            assert waited == []
            assert came is not None
            assert came.state in state, (address, came)


def test_a_host_far_away_is_waited_for(begin_all: Begin) -> None:
    with hosts(2) as (near, far):
        cable = Cable(near, far)
        cable.cut("10.66.0.2")
        cable.cut("fd66::2")
        for address in (("10.66.0.2", 80), ("fd66::2", 80)):
            with near.inside():
                made = new_socket(family_of(address[0]))
            with closing(made):
                assert begin_all(made, [address], 0) == ([], None)
                assert again(made, address) is None


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_icmp_error_tells_its_type_code_and_sender(begin_all: Begin, family: int) -> None:
    """It comes before connect(2) has returned, and is not waited for until the next SYN."""
    with hosts(2) as (near, far):
        Cable(near, far)
        kind = "icmp type port-unreachable" if family == socket.AF_INET else "icmpv6 type admin-prohibited"
        rule = f"tcp dport 83 reject with {kind}"
        with far.inside():
            nft(f"table inet t {{ chain i {{ type filter hook input priority 0; {rule}; }}; }}")
        where = "10.66.0.2" if family == socket.AF_INET else "fd66::2"
        with near.inside():
            made = new_socket(family)
        with closing(made):
            waited, came = begin_all(made, [(where, 81), (where, 83)], 0)
            assert len(waited) == 1
            if came is None:
                came = again(made, (where, 83))
            assert came is not None
            assert came[:2] == ("rejected", "icmp")
            assert came.icmp is not None
            assert came.icmp[1:] == ((3, 3, where) if family == socket.AF_INET else (1, 1, where))


def nft(rules: str) -> None:
    try:
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("nft is not installed")


def test_a_neighbour_that_is_not_there_is_no_rejection() -> None:
    """The kernel tells itself so, by an ICMP error of its own."""
    with hosts(2) as (near, far):
        Cable(near, far)
        with near.inside():
            # Otherwise three seconds are waited for an answer.
            for family in ("ipv4", "ipv6"):
                for name, value in (("mcast_solicit", "1"), ("retrans_time_ms", "100")):
                    write(f"/proc/sys/net/{family}/neigh/cable/{name}", value)
            for address in (("10.66.0.200", 80), ("fd66::200", 80)):
                with new_socket(family_of(address[0])) as made:
                    came = begin(made, address)
                    while came is None:
                        watched = select.poll()
                        watched.register(made, select.POLLOUT)
                        assert watched.poll(20_000)
                        came = again(made, address)
                    assert came == Result("unreachable", "EHOSTUNREACH")


def write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def test_a_link_local_address_is_reached_by_its_zone(begin_all: Begin) -> None:
    with hosts(2) as (near, far):
        Cable(near, far)
        for host, ip in ((near, "fe80::1"), (far, "fe80::2")):
            host.ip("address", "add", f"{ip}/64", "dev", "cable", "nodad")
        with far.inside():
            server = socket.create_server(("::", 0), family=socket.AF_INET6)
        address = ("fe80::2%cable", server.getsockname()[1])
        with server, near.inside(), new_socket(socket.AF_INET6) as made:
            _, came = begin_all(made, [address], 0)
            while came is None:
                watched = select.poll()
                watched.register(made, select.POLLOUT)
                assert watched.poll(20_000)
                came = again(made, address)
            assert came == Result("open", "accepted")
            test = asyncio.run(port_test(Target(address[0], address[0], address[0]), 10, identify=True))
            assert (test.state, test.icmp_from) == ("closed", "fe80::2")


def test_a_socket_that_met_itself_has_found_nobody(begin_all: Begin) -> None:
    """With one source port there is, the kernel takes it for a connection to that very port."""
    with hosts(1) as (host,), host.inside():
        write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000")
        for address in (("127.0.0.1", 40000), ("::1", 40000)):
            with new_socket(family_of(address[0])) as made:
                assert begin_all(made, [address], 0) == ([], Result("closed", "self-connect"))
                assert made.getsockname() == made.getpeername()


def test_no_route_and_no_ipv6(begin_all: Begin) -> None:
    with hosts(1) as (host,), host.inside():
        write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
        for address, reasons in (
            (("192.0.2.1", 80), {"ENETUNREACH"}),
            (("2001:db8::1", 80), {"ENETUNREACH", "EADDRNOTAVAIL"}),
        ):
            with new_socket(family_of(address[0])) as made:
                waited, came = begin_all(made, [address], 0)
                assert came is not None
                assert (waited, came.state) == ([], "unreachable")
                assert came.reason in reasons


def test_no_file_is_left() -> None:
    def body() -> list[str]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), 4096))
        held, told = [], []
        try:
            while True:
                held.append(new_socket(socket.AF_INET))
        except NoSocket as error:
            told.append(errno.errorcode[error.errno or 0])
        return told

    assert in_child(body) == ["EMFILE"]


def test_a_family_that_the_kernel_has_not() -> None:
    with pytest.raises(NoFamily) as refused:
        new_socket(45)
    assert refused.value.name == "EAFNOSUPPORT"


def test_the_kernels_round_trip_is_what_ss_tells(ip: str, listening: tuple[str, int]) -> None:
    if not shutil.which("ss"):
        pytest.skip("ss is not installed")
    with new_socket(family_of(ip)) as made:
        assert begin(made, listening) == Result("open", "accepted")
        told = round_trip_ms(made)
        filters = ["sport", "=", f":{made.getsockname()[1]}"]
        line = subprocess.run(["ss", "-Htni", *filters], check=True, capture_output=True, text=True).stdout
        by_ss = re.search(r" rtt:([\d.]+)/", line)
        assert by_ss is not None
        assert told == float(by_ss[1])
    assert round_trip_ms(made) is None


def test_an_unconnected_socket_has_no_round_trip() -> None:
    with new_socket(socket.AF_INET) as made:
        assert round_trip_ms(made) is None


def test_nothing_stays_open(begin_all: Begin, ip: str, listening: tuple[str, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with new_socket(family_of(ip)) as made:
            begin_all(made, [listening], 0)
        gc.collect()
