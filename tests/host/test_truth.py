from __future__ import annotations

import encodings.idna  # noqa: F401 - who has lost the rights can no longer import it
import os
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pytest

from portbook import tcp
from portbook.endpoint import RAW, TCP, UDP, UNIX
from portbook.errors import Unavailable
from portbook.host.reading import PORTED, Selection, read
from portbook.host.sockets import sockets, summary
from portbook.linux import sock_diag

from ..hosts import Cable, Host, hosts
from ..linux.children import in_child, needs_root
from .busy import ADDRESSES, LOOPBACK, dual_stack, in_every_state, pair, unix_sockets, without_states
from .truth import Row, seen_by_portbook, seen_by_ss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portbook.columns import Note


EACH = 110
"""Connections in each state, of each address family."""

ALL_OF_SS = Selection((TCP, UDP, RAW, UNIX))
EVERY_STATE = {
    *("LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING"),
    *("LAST-ACK", "TIME-WAIT"),
}


class Busy(NamedTuple):
    near: Host
    far: Host
    held: list[socket.socket]


@pytest.fixture(scope="module")
def busy() -> Iterator[Busy]:
    with hosts(2) as (near, far), TemporaryDirectory() as folder, ExitStack() as stack:
        held: list[socket.socket] = []
        stack.callback(lambda: closed(held))
        cable = Cable(near, far)
        with near.inside():
            held += dual_stack(40) + unix_sockets(Path(folder), 40)
            for family in ADDRESSES:
                held += without_states(family, EACH)
        for family in ADDRESSES:
            held += in_every_state(cable, family, EACH)
        yield Busy(near, far, held)


def closed(held: list[socket.socket]) -> None:
    for one in held:
        one.close()


def together(selection: Selection, wanted: Callable[[Row], bool] = bool) -> tuple[Counter[Row], Counter[Row]]:
    """Return which of the wanted sockets ss and portbook see, in a moment in which none of them changed."""
    for _ in range(20):
        seen = [seen_by_ss(), seen_by_portbook(selection), seen_by_ss()]
        before, ours, after = (Counter({row: times for row, times in rows.items() if wanted(row)}) for rows in seen)
        if before == after:
            return before, ours
    pytest.fail("the sockets never stood still")


@needs_root
def test_the_sockets_of_a_busy_host_are_those_of_ss(busy: Busy) -> None:
    with busy.near.inside():
        theirs, ours = together(ALL_OF_SS)
    assert ours == theirs
    assert theirs.total() > 2000
    for family in ("ipv4", "ipv6"):
        assert {row[2] for row in theirs if row[:2] == ("tcp", family)} == EVERY_STATE
        for transport in ("udp", "raw"):
            assert (transport, family) in {row[:2] for row in theirs}
    assert {row[1] for row in theirs if row[0] == "unix"} == {"LISTEN", "ESTABLISHED", "UNCONNECTED"}


@needs_root
def test_the_far_end_is_told_from_here(busy: Busy) -> None:
    with busy.far.inside():
        theirs, ours = together(ALL_OF_SS._replace(netns=busy.far.name))
        assert ours == theirs
    assert seen_by_portbook(ALL_OF_SS._replace(netns=busy.far.name)) == theirs
    assert {row[2] for row in theirs} == {
        *("SYN-SENT", "ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2"),
    }


@needs_root
@pytest.mark.parametrize("pure", [True, False])
def test_the_reference_and_the_text_of_proc_see_the_same(
    busy: Busy, pure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pure:
        monkeypatch.setenv("PORTBOOK_PURE", "1")
    else:
        monkeypatch.setattr(sock_diag.Diagnostics, "__init__", refused)
    with busy.near.inside():
        theirs, ours = together(ALL_OF_SS)
        assert sockets(ALL_OF_SS).complete
    if pure:
        assert ours == theirs
        return
    assert Counter(map(in_proc, ours.elements())) == Counter(map(in_proc, theirs.elements()))


def refused(self: sock_diag.Diagnostics, connection: socket.socket | None = None) -> None:
    raise Unavailable("the kernel refuses netlink sock_diag: {reason}", reason="a test")


def in_proc(row: Row) -> Row:
    """Return what /proc/net tells of a socket: neither cookies nor devices, nor the peers of UNIX sockets."""
    if row[0] == "unix":
        return row[:4]
    queues = row[8:9] if row[2] == "LISTEN" else row[8:10]
    return (*row[:7], *queues, *row[10:12])


@needs_root
def test_who_has_no_rights_sees_the_same_sockets_and_no_owner(busy: Busy) -> None:
    def look() -> tuple[Counter[Row], Counter[Row], Counter[tuple[object, object]], list[Note]]:
        closed(busy.held)  # the child's own
        theirs, ours = together(ALL_OF_SS)
        table = sockets(ALL_OF_SS._replace(owners=True))
        owners = Counter((row.owner_by, row.pids) for row in table if row.inode)
        return theirs, ours, owners, table.notes

    with busy.near.inside():
        theirs, ours, owners, notes = in_child(look, unprivileged=True)
    assert ours == theirs
    assert {by for by, _ in owners} <= {"hidden", "cgroup"}
    assert {pids for _, pids in owners} == {None}
    hidden = sum(times for (by, _), times in owners.items() if by == "hidden")
    [(message, values)] = notes
    assert message == "{hidden} of {held} owners hidden; run as root to see them"
    assert values == {"hidden": hidden, "held": owners.total()}


@pytest.mark.parametrize("unprivileged", [False, pytest.param(True, marks=needs_root)])
def test_the_sockets_of_this_host_are_those_of_ss(unprivileged: bool) -> None:
    def look() -> tuple[Counter[Row], Counter[Row]]:
        with TemporaryDirectory() as folder:
            held = [*dual_stack(5), *unix_sockets(Path(folder), 5)]
            for family in LOOPBACK:
                listener = socket.create_server((LOOPBACK[family], 0), family=family)
                ends = [pair(listener, socket.socket(family), LOOPBACK[family]) for _ in range(4)]
                held += [listener, *(end for both in ends for end in both)]
                ends[0][1].shutdown(socket.SHUT_WR)
                server = socket.socket(family, socket.SOCK_DGRAM)
                server.bind((LOOPBACK[family], 0))
                held.append(server)
            own = {os.fstat(one.fileno()).st_ino for one in held}
            return together(ALL_OF_SS, lambda row: row[0] != "raw" and row[3 if row[0] == "unix" else 11] in own)

    theirs, ours = in_child(look, unprivileged)
    assert ours == theirs
    assert theirs.total() > 50


@needs_root
def test_bound_sockets_are_shown_when_they_are_asked_for(busy: Busy) -> None:
    everything = ALL_OF_SS._replace(states=tcp.ALL | 1 << tcp.BOUND_INACTIVE)
    with busy.near.inside():
        without = seen_by_portbook(everything)
        with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
            one.bind(("127.0.0.1", 3))
            other.bind(("::1", 4))
            more = seen_by_portbook(everything) - without
            assert seen_by_portbook(ALL_OF_SS) == without
    assert sorted(row[:5] for row in more) == [
        ("tcp", "ipv4", "CLOSED", "127.0.0.1", 3),
        ("tcp", "ipv6", "CLOSED", "::1", 4),
    ]


@needs_root
def test_the_summary_counts_the_same_sockets(busy: Busy) -> None:
    counts: Counter[tuple[object, ...]] = Counter()
    for row, times in seen_by_portbook(ALL_OF_SS._replace(netns=busy.near.name)).items():
        counts[("unix", row[1]) if row[0] == "unix" else (row[0], row[2])] += times
    told = summary(ALL_OF_SS._replace(netns=busy.near.name))
    assert {(row.transport, row.state): row.count for row in told} == counts
    assert all(row.transport == "unix" or row.ipv4 + row.ipv6 == row.count for row in told)


@needs_root
@pytest.mark.parametrize(
    "name", ["listen", "syn-recv", "SYN_SENT", "established", "fin-wait1", "TIME_WAIT", "closing"]
)
def test_a_state_is_asked_for_by_any_of_its_names(busy: Busy, name: str) -> None:
    mask = tcp.state_mask(name)
    assert mask is not None
    every = seen_by_portbook(ALL_OF_SS._replace(netns=busy.near.name))
    meant = {tcp.STATES[state] for state in range(1, 16) if mask >> state & 1}
    asked = seen_by_portbook(ALL_OF_SS._replace(netns=busy.near.name, states=mask))
    assert asked == Counter({row: n for row, n in every.items() if row[1 if row[0] == "unix" else 2] in meant})
    assert asked


@needs_root
def test_local_ports_are_picked_out_by_the_kernel(busy: Busy) -> None:
    every = read(Selection(PORTED, netns=busy.near.name))
    ports = sorted({port for port in every.store.local_port if port > 7000})
    wanted = range(ports[10], ports[-10] + 1)
    picked = read(Selection(PORTED, netns=busy.near.name, local_ports=wanted))
    assert sorted(picked.store.local_port) == sorted(port for port in every.store.local_port if port in wanted)
    assert 0 < len(picked.store) < len(every.store)
