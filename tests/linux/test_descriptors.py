from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import tempfile
import threading
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.compiled import twin
from portbook.linux import descriptors as reference
from portbook.linux.descriptors import Holders

from .children import in_child, needs_root, running
from .proc_tree import Tree

if TYPE_CHECKING:
    from types import ModuleType

compiled = twin("portbook.linux.descriptors")
EXIT = {"x86_64": 60, "aarch64": 93}
"""The number of exit(2), which ends one thread, by machine."""

needs_twin = pytest.mark.skipif(compiled is None, reason="the compiled twin is not built")


@pytest.fixture(params=["reference", pytest.param("compiled", marks=needs_twin)])
def descriptors(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "reference" or compiled is None:
        return reference
    return compiled


def pairs(holders: Holders) -> list[tuple[int, int]]:
    return list(zip(holders.inodes, holders.pids, strict=True))


def inode_of(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def test_pairs_are_in_order_and_each_is_there_once(descriptors: ModuleType, tree: Tree) -> None:
    tree.process(20, inodes=(7, 5, 7, 900))
    tree.process(10, inodes=(900, 1 << 40))
    holders = descriptors.socket_holders([20, 10, 20], tree.path)
    assert pairs(holders) == [(5, 20), (7, 20), (900, 10), (900, 20), (1 << 40, 10)]
    assert (holders.inodes.typecode, holders.pids.typecode, holders.denied) == ("Q", "I", 0)


def test_what_is_no_socket_is_left_out(descriptors: ModuleType, tree: Tree) -> None:
    tree.process(1, inodes=(5,))
    for number, target in enumerate(
        (
            "/dev/null",
            "pipe:[6]",
            "anon_inode:[eventpoll]",
            "socket:[]",
            "socket:[0]",
            "socket:[12",
            "socket:12]",
            "socket:[1x2]",
            "socket:[-1]",
            "socket:[٣]",
            "socket:[18446744073709551616]",
            "socket:[99999999999999999999]",
            "socket:[1] (deleted)",
            "socket:[" + "1" * 21 + "]",
            "socket:[" + "0" * 21 + "]",
            "s" * 4000,
        ),
        start=100,
    ):
        tree.link(f"1/fd/{number}", target)
    tree.link("1/fd/200", "socket:[18446744073709551615]")
    tree.link("1/fd/201", "socket:[007]")
    for name in ("x", "1x", "-1", "٣", "9" * 200 + "y"):
        tree.link(f"1/fd/{name}", "socket:[66]")
    tree.write("1/fd/300", "no link at all")
    assert pairs(descriptors.socket_holders([1], tree.path)) == [(5, 1), (7, 1), (2**64 - 1, 1)]


def test_processes_that_are_gone_are_silently_absent(descriptors: ModuleType, tree: Tree) -> None:
    tree.process(1, inodes=(5,))
    tree.write("2/fd", "a file where the folder should be")
    (tree.folder / "3").mkdir()
    holders = descriptors.socket_holders([1, 2, 3, 4], tree.path)
    assert (pairs(holders), holders.denied) == ([(5, 1)], 0)
    assert pairs(descriptors.socket_holders([], tree.path)) == []


def test_no_proc_is_an_error(descriptors: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        descriptors.socket_holders([1], str(tmp_path / "none"))


@needs_root
def test_folders_that_may_not_be_read_are_counted(descriptors: ModuleType) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        tree = Tree(Path(folder))
        for pid in (1, 2, 3):
            tree.process(pid, inodes=(pid * 11,))
        (tree.folder / "2/fd").chmod(0o700)
        # This can be opened, but what its links lead to is not told, as with a process of more rights.
        (tree.folder / "3/fd").chmod(0o744)
        holders = in_child(lambda: descriptors.socket_holders([1, 2, 3], folder), unprivileged=True)
    assert (pairs(holders), holders.denied) == ([(11, 1)], 2)


def test_a_socket_of_this_process_and_its_copies(descriptors: ModuleType) -> None:
    with socket.socket() as sock, sock.dup():
        holders = descriptors.socket_holders([os.getpid()])
        assert pairs(holders).count((inode_of(sock), os.getpid())) == 1


def test_a_socket_shared_by_fork_has_all_its_holders(descriptors: ModuleType) -> None:
    with (
        socket.socket() as sock,
        running(lambda: (0, 0)) as (first, _),
        running(lambda: (0, 0)) as (second, _),
    ):
        every = {os.getpid(), first, second}
        holders = descriptors.socket_holders(sorted(every))
        assert {pid for inode, pid in pairs(holders) if inode == inode_of(sock)} == every


def test_a_socket_passed_to_another_process(descriptors: ModuleType) -> None:
    with socket.socket() as passed:
        inode = inode_of(passed)
        ours, theirs = socket.socketpair()
        socket.send_fds(ours, [b"x"], [passed.fileno()])

    # From here on the socket is in the queue alone: the child does not have it by birth.
    def receive() -> tuple[int, object]:
        held = socket.recv_fds(theirs, 1, 1)[1]
        return os.fstat(held[0]).st_ino, held

    with ours, theirs, running(receive) as (pid, received):
        assert received == inode
        holders = descriptors.socket_holders([os.getpid(), pid])
        assert [holder for held, holder in pairs(holders) if held == inode] == [pid]


@pytest.mark.skipif(os.uname().machine not in EXIT, reason="the number of exit(2) is not known here")
def test_a_process_whose_first_thread_has_ended(descriptors: ModuleType) -> None:
    sock = socket.socket()
    inode = inode_of(sock)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:

        def live_on() -> None:
            # The first thread is gone once it is a zombie, which its own status says.
            while b"\nState:\tZ" not in Path("/proc/self/status").read_bytes():
                signal.sigtimedwait([], 0.001)
            os.write(writing, b"x")
            signal.pause()

        try:
            threading.Thread(target=live_on).start()
            ctypes.CDLL(None).syscall(EXIT[os.uname().machine], 0)
        finally:
            os._exit(1)
    try:
        sock.close()
        os.close(writing)
        assert os.read(reading, 1) == b"x"
        assert (inode, pid) in pairs(descriptors.socket_holders([pid]))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)


def test_every_descriptor_of_a_large_process_is_read(descriptors: ModuleType) -> None:
    def hold_many() -> tuple[list[int], object]:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        held = [end for _ in range(min(hard - 200, 8000) // 2) for end in socket.socketpair()]
        return [inode_of(end) for end in held], held

    with running(hold_many) as (pid, inodes):
        holders = descriptors.socket_holders([pid])
        assert set(inodes) <= set(holders.inodes)
        assert len(set(pairs(holders))) == len(pairs(holders))
        assert set(holders.pids) == {pid}


@needs_twin
def test_both_read_this_machine_alike() -> None:
    pids = [os.getpid(), os.getppid()]
    assert compiled is not None
    assert compiled.socket_holders(pids) == reference.socket_holders(pids)


INODES = st.one_of(st.integers(0, 40), st.integers(0, 2**64 + 5))
TARGETS = st.one_of(
    INODES.map("socket:[{}]".format),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
    st.text("socket:[]0123456789", min_size=1, max_size=34),
)
NAMES = st.one_of(
    st.integers(0, 300).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
        lambda name: name not in (".", "..")
    ),
)
FOLDERS = st.one_of(st.none(), st.just("file"), st.dictionaries(NAMES, TARGETS, max_size=12))


@needs_twin
@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(1, 400), FOLDERS, max_size=8), st.lists(st.integers(1, 400), max_size=6))
def test_both_read_made_up_trees_alike(made: dict[int, Any], others: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))
        for pid, descriptors in made.items():
            (tree.folder / str(pid)).mkdir()
            if descriptors == "file":
                tree.write(f"{pid}/fd", b"")
            elif descriptors is not None:
                for name, target in descriptors.items():
                    tree.link(f"{pid}/fd/{name}", target)
        assert compiled is not None
        assert compiled.socket_holders([*made, *others], folder) == reference.socket_holders([*made, *others], folder)


def holders_of(found: list[tuple[int, int]]) -> Holders:
    ordered = sorted(set(found))
    return Holders(array("Q", (inode for inode, _ in ordered)), array("I", (pid for _, pid in ordered)), 0)


def test_join_tells_held_unseen_and_nobodys(descriptors: ModuleType) -> None:
    holders = holders_of([(5, 100), (6, 200), (6, 100), (7, 200), (7, 100), (8, 100), (99, 300)])
    inodes = array("I", [7, 0, 5, 42, 6, 8, 43, 44])
    cgroups = array("Q", [0, 9, 9, 2**63, 1, 1, 3, 2**63])
    codes, groups, unseen, counts = descriptors.join(inodes, cgroups, holders)
    assert groups == [(100, 200), (100,)]
    assert unseen == [2**63, 3]
    assert counts == [2, 1]
    assert list(codes) == [1, 0, 2, 3, 1, 2, 4, 3]
    assert codes.typecode == "I"


def test_join_of_nothing(descriptors: ModuleType) -> None:
    codes, groups, unseen, counts = descriptors.join(array("I"), array("Q"), holders_of([]))
    assert (list(codes), groups, unseen, counts) == ([], [], [], [])


def test_join_refuses_arrays_of_different_lengths(descriptors: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"length|argument"):
        descriptors.join(array("I", [1, 2]), array("Q", [1]), holders_of([]))
    with pytest.raises(ValueError, match=r"length|argument"):
        descriptors.join(array("I", [1]), array("Q", [1]), Holders(array("Q", [1, 2]), array("I", [1]), 0))


@needs_twin
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1)), st.integers(0, 2**64 - 1)),
        max_size=40,
    ),
    st.lists(
        st.tuples(st.one_of(st.integers(1, 12), st.integers(1, 2**64 - 1)), st.integers(1, 2**22)),
        max_size=40,
    ),
)
def test_both_join_alike(rows: list[tuple[int, int]], found: list[tuple[int, int]]) -> None:
    inodes, cgroups = array("I", (row[0] for row in rows)), array("Q", (row[1] for row in rows))
    holders = holders_of(found)
    assert compiled is not None
    codes, groups, unseen, counts = compiled.join(inodes, cgroups, holders)
    assert (codes, groups, unseen, counts) == reference.join(inodes, cgroups, holders)
    for code, (inode, cgroup) in zip(codes, rows, strict=True):
        pids = tuple(sorted({pid for held, pid in found if held == inode}))
        if not inode:
            assert code == 0
        elif pids:
            assert groups[code - 1] == pids
        else:
            assert unseen[code - 1 - len(groups)] == cgroup
    assert sum(counts) == sum(code > len(groups) for code in codes)
