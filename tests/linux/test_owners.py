from __future__ import annotations

import os
import shutil
import socket
import subprocess
from array import array
from typing import TYPE_CHECKING, Any

import pytest

from portbook import compiled
from portbook.endpoint import TCP
from portbook.linux import processes
from portbook.linux.owners import Ownership, owners
from portbook.linux.sock_diag import Diagnostics
from portbook.socket import Owner, SocketStore

from .children import drop_rights, in_child, needs_root, running

if TYPE_CHECKING:
    from pathlib import Path

    from .proc_tree import Tree

ID = "0123456789abcdef" * 4


@pytest.fixture(autouse=True, params=["reference", "compiled"])
def which(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "reference":
        monkeypatch.setenv("PORTBOOK_PURE", "1")
    elif compiled.twin("portbook.linux.descriptors") is None:
        pytest.skip("the compiled twin is not built")


def store_of(*rows: tuple[int, int]) -> SocketStore:
    """Return a store that has only what owners are found by: inodes and control groups."""
    store = SocketStore()
    store.inode = array("I", (inode for inode, _ in rows))
    store.cgroup = array("Q", (cgroup for _, cgroup in rows))
    return store


def each(found: Ownership) -> list[Owner]:
    return [found.owners[code] for code in found.codes]


def listening() -> tuple[socket.socket, int]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock, sock.getsockname()[1]


def owner_of(port: int) -> tuple[Owner, Ownership]:
    """Return who owns the listener of a port, by the kernel's own table."""
    store = SocketStore()
    with Diagnostics() as diagnostics:
        diagnostics.read(TCP, (socket.AF_INET,), store)
    found = owners(store)
    rows = [row for row in range(len(store)) if store.local_port[row] == port and not store.remote_port[row]]
    assert len(rows) == 1
    return found.owners[found.codes[rows[0]]], found


def test_owners_in_a_made_up_tree(tree: Tree) -> None:
    tree.process(1, b"init", b"/sbin/init\0", "/init.scope", inodes=(50, 60))
    tree.process(7, b"web", b"web\0-x\0", "/system.slice/web.service", inodes=(60, 61))
    tree.process(8, b"web", b"", f"/docker/{ID}", inodes=(61, 62))
    tree.link("self/ns/pid", "/proc/self/ns/pid")
    started = 1700000000 + 250 / os.sysconf("SC_CLK_TCK")
    docker = f"docker:{ID[:12]}"
    found = owners(store_of((61, 5), (0, 5), (60, 0), (62, 9), (50, 0), (61, 6)), tree.path, tree.path)
    both = Owner((7, 8), "web", "web -x", started, "web.service", docker, "exact")
    assert each(found) == [
        both,
        Owner(),
        Owner((1, 7), "init, web", "/sbin/init", started, "init.scope, web.service", None, "exact"),
        Owner((8,), "web", "[web]", started, None, docker, "exact"),
        Owner((1,), "init", "/sbin/init", started, "init.scope", None, "exact"),
        both,
    ]
    assert (found.held, found.hidden, found.denied) == (5, 0, 0)


def test_the_eldest_holder_tells_the_command_whatever_its_number(tree: Tree) -> None:
    tree.process(7, b"web", b"worker\0", inodes=(60,), ticks=900)
    tree.process(30000, b"web", b"master\0", inodes=(60,), ticks=100)
    tree.link("self/ns/pid", "/proc/self/ns/pid")
    found = owners(store_of((60, 0)), tree.path)
    owner = found.owners[found.codes[0]]
    assert (owner.pids, owner.command) == ((7, 30000), "master")


def test_what_nobody_holds_where_every_process_is_seen(tree: Tree) -> None:
    if processes.inode_of("/proc/self/ns/pid") != processes.INITIAL_PID_NAMESPACE:
        pytest.skip("the tests run in a PID namespace of their own")
    tree.process(1, inodes=(50,))
    tree.link("self/ns/pid", "/proc/self/ns/pid")
    found = owners(store_of((51, 5), (52, 0)), tree.path)
    assert each(found) == [Owner(), Owner()]
    assert (found.held, found.hidden) == (2, 0)


def test_what_nobody_is_seen_to_hold_where_processes_are_out_of_sight(tree: Tree) -> None:
    tree.process(9, inodes=(50,))
    found = owners(store_of((51, 0), (50, 0), (0, 0), (51, 0)), tree.path)
    assert [owner.owner_by for owner in each(found)] == ["hidden", "exact", None, "hidden"]
    assert (found.held, found.hidden, found.denied) == (3, 2, 0)


def test_a_process_that_dies_before_it_is_looked_at_closely(tree: Tree) -> None:
    tree.process(7, b"web", b"web\0", inodes=(50, 51))
    tree.process(8, inodes=(51,))
    (tree.folder / "8/stat").unlink()
    started = 1700000000 + 250 / os.sysconf("SC_CLK_TCK")
    assert each(owners(store_of((50, 0), (51, 0)), tree.path)) == [
        Owner((7,), "web", "web", started, owner_by="exact"),
        Owner((7, 8), "web", "web", started, owner_by="exact"),
    ]
    (tree.folder / "7/stat").unlink()
    assert each(owners(store_of((50, 0)), tree.path)) == [Owner((7,), owner_by="exact")]


def test_owners_by_control_group_in_a_made_up_tree(tree: Tree, tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    paths = ["", "a.service", f"docker-{ID}.scope", "two.service", "nameless", "empty", "many"]
    for path in paths:
        (top / path).mkdir()
        (top / path / "cgroup.procs").write_text("")
    (top / "a.service/cgroup.procs").write_text("7\n8\n")
    (top / "two.service/cgroup.procs").write_text("7\n9\n")
    (top / "nameless/cgroup.procs").write_text("9\n")
    (top / "many/cgroup.procs").write_text("7\n9\n")
    tree.process(7, b"web")
    tree.process(8, b"web")
    tree.process(9, b"other")
    tree.write("self/mountinfo", f"31 23 0:28 / {top} rw - cgroup2 cgroup2 rw\n")
    ids = [(top / path).stat().st_ino for path in paths]
    found = owners(store_of(*((100 + row, number) for row, number in enumerate([*ids, 1]))), tree.path, tree.path)
    assert each(found) == [
        Owner(owner_by="hidden"),
        Owner(process="web", unit="a.service", owner_by="cgroup"),
        Owner(unit=f"docker-{ID}.scope", container=f"docker:{ID[:12]}", owner_by="cgroup"),
        Owner(unit="two.service", owner_by="cgroup"),
        Owner(process="other", owner_by="cgroup"),
        Owner(owner_by="hidden"),
        Owner(owner_by="hidden"),
        Owner(owner_by="hidden"),
    ]
    assert (found.held, found.hidden) == (8, 4)


def test_nothing_to_own(tree: Tree) -> None:
    found = owners(SocketStore(), tree.path)
    assert (list(found.codes), found.held, found.hidden) == ([], 0, 0)


def test_a_listener_of_this_process() -> None:
    sock, port = listening()
    with sock:
        owner, found = owner_of(port)
        this = processes.process(os.getpid())
        assert this is not None
        assert (owner.pids, owner.owner_by) == ((os.getpid(),), "exact")
        assert (owner.process, owner.command, owner.started) == (this.name, this.command, this.started)
        assert found.held > 0


def test_a_listener_that_workers_share() -> None:
    sock, port = listening()
    with sock, running(lambda: (0, 0)) as (first, _), running(lambda: (0, 0)) as (second, _):
        owner, _found = owner_of(port)
        assert owner.pids == tuple(sorted((os.getpid(), first, second)))
        assert owner.started == min(held.started for held in map(processes.process, owner.pids) if held)


def test_owners_are_those_that_lsof_names() -> None:
    lsof = shutil.which("lsof")
    if lsof is None:
        pytest.skip("lsof is not installed")
    sock, port = listening()
    with sock, running(lambda: (0, 0)):
        told = subprocess.run([lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"], capture_output=True, text=True)
        owner, _found = owner_of(port)
        assert owner.pids == tuple(sorted(int(line) for line in told.stdout.split()))


def listener_of_root(group: Path | None = None) -> Any:
    def body() -> tuple[int, object]:
        if group is not None:
            (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        sock, port = listening()
        return port, sock

    return running(body)


@needs_root
def test_an_unprivileged_reader_finds_roots_listener_hidden() -> None:
    with listener_of_root() as (pid, port):
        assert owner_of(port)[0].pids == (pid,)
        owner, found = in_child(lambda: owner_of(port), unprivileged=True)
        # Where this suite runs in a control group of its own, as in systemd's session, that much is told.
        assert (owner.pids, owner.command, owner.owner_by in ("hidden", "cgroup")) == (None, None, True)
        assert found.denied > 0
        assert found.hidden == sum(found.owners[code].owner_by == "hidden" for code in found.codes)
        assert found.held >= found.hidden + (owner.owner_by == "cgroup")


@needs_root
def test_an_unprivileged_reader_finds_its_own_listener() -> None:
    def body() -> tuple[int, object]:
        drop_rights()
        sock, port = listening()
        return port, sock

    # Who has changed its user may be looked into by root only, until it runs another program.
    with running(body) as (pid, port):
        owner, _found = in_child(lambda: owner_of(port), unprivileged=True)
        assert (owner.pids, owner.owner_by in ("hidden", "cgroup")) == (None, True)
        assert owner_of(port)[0].pids == (pid,)

    def own() -> tuple[Owner, int]:
        sock, port = listening()
        with sock:
            return owner_of(port)[0], os.getpid()

    owner, pid = in_child(own, unprivileged=True)
    assert (owner.pids, owner.owner_by) == ((pid,), "exact")


@needs_root
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("foo.service", {"unit": "foo.service"}),
        (f"docker-{ID}.scope", {"unit": f"docker-{ID}.scope", "container": f"docker:{ID[:12]}"}),
    ],
)
def test_an_unprivileged_reader_is_told_the_control_group(
    control_group: Path, name: str, expected: dict[str, str]
) -> None:
    group = control_group / name
    group.mkdir()
    try:
        with listener_of_root(group) as (pid, port):
            comm = processes.name_of(pid)
            owner, _found = in_child(lambda: owner_of(port), unprivileged=True)
            assert owner == Owner(process=comm, owner_by="cgroup", **expected)  # type: ignore[arg-type]
            exact, _found = owner_of(port)
            assert (exact.pids, exact.owner_by, exact.unit) == ((pid,), "exact", expected["unit"])
            assert exact.container == expected.get("container")
    finally:
        group.rmdir()
