from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import Malformed
from portbook.linux import processes

from .children import in_child, running

if TYPE_CHECKING:
    from .proc_tree import Tree

PR_SET_NAME = 15
HOSTILE_NAMES = [
    (b"x", "x"),
    (b"", ""),
    (b"a b", "a b"),
    (b") R 1 (", ") R 1 ("),
    (b"a)\nUid:\t0\t0\t0\t", "a)\nUid:\t0\t0\t0\t"),
    (b"\x1b[31mred", "\x1b[31mred"),
    (b"\xff\xfe", "\\xff\\xfe"),
    (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ("порт".encode(), "порт"),
    (b"((((((", "(((((("),
]


@pytest.mark.parametrize(("name", "text"), HOSTILE_NAMES)
def test_parse_stat_whatever_the_name(name: bytes, text: str) -> None:
    data = b"42 (" + name + b") S 1 42 42 0 -1 4194304 9 9 9 9 9 9 9 9 20 0 1 0 777 1000 10 18446744073709551615\n"
    assert processes.parse_stat(data) == processes.Stat(42, text, False, 777)


def test_parse_stat_of_a_kernel_thread() -> None:
    data = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0"
    assert processes.parse_stat(data) == processes.Stat(2, "kthreadd", True, 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"1", b"1 (", b"1 (a", b"1 (a)", b"1 (a) S 1 2 3", b"x (a)" + b" 1" * 30, b"1 (a)" + b" x" * 30],
)
def test_parse_stat_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        processes.parse_stat(data)


@pytest.mark.parametrize(("name", "text"), HOSTILE_NAMES)
def test_a_hostile_name_from_the_kernel(name: bytes, text: str) -> None:
    def take_name() -> tuple[int, object]:
        assert not ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
        return os.getppid(), None

    with running(take_name) as (pid, _):
        found = processes.process(pid)
        assert found is not None
        assert found.name == text[:15]
        assert found.uid == os.geteuid()
        assert processes.name_of(pid) == text[:15]


def test_parse_effective_uid() -> None:
    data = b"Name:\ta\\nUid:\t1\t1\t1\t1\nUmask:\t0022\nUid:\t0\t1000\t0\t0\nGid:\t5\t5\t5\t5\n"
    assert processes.parse_effective_uid(data) == 1000
    for malformed in (
        b"",
        b"Uid:\t0\t0\t0\t0\n",
        b"a\nUid:\t0\t0\n",
        b"a\nUid:\t0\tx\t0\t0\n",
        b"a\nUid:\t0\t-1\t0\t0",
    ):
        with pytest.raises(Malformed):
            processes.parse_effective_uid(malformed)


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"", ""),
        (b"\0\0", ""),
        (b"nginx\0-g\0daemon off;\0", "nginx -g daemon off;"),
        (b"postgres: writer process \0\0\0\0", "postgres: writer process "),
        (b"a\0\0b\0", "a  b"),
        (b"\xffx\0\n", "\\xffx \n"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ],
)
def test_parse_command(data: bytes, command: str) -> None:
    assert processes.parse_command(data) == command


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"", None),
        (b"0::/\n", "/"),
        (b"0::/system.slice/a.service\n", "/system.slice/a.service"),
        (b"0::/a b:c\n", "/a b:c"),
        (b"0::/gone.scope (deleted)\n", "/gone.scope"),
        (b"12:pids:/p\n1:name=systemd:/s\n0::/u\n", "/u"),
        (b"12:pids:/p\n1:name=systemd:/s\n0::/\n", "/s"),
        (b"12:pids:/p\n1:name=systemd:/\n0::/\n", "/p"),
        (b"12:pids:/\n5:cpu,cpuacct:/first\n4:memory:/second\n", "/first"),
        (b"12:pids:/\n1:name=systemd:/\n", "/"),
        (b"0::/\xff\n", "/\\xff"),
        (b"0::/a\rb\n", "/a\rb"),
    ],
)
def test_parse_cgroup(data: bytes, path: str | None) -> None:
    assert processes.parse_cgroup(data) == path


@pytest.mark.parametrize("data", [b"x", b"0:", b"0::", b"0::relative\n", b"0::/\n1\n"])
def test_parse_cgroup_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        processes.parse_cgroup(data)


def test_parse_boot_time() -> None:
    assert processes.parse_boot_time(b"cpu 1\nbtime 1700000000\nprocesses 1\n") == 1700000000
    for malformed in (b"", b"btime 1\n", b"cpu 1\nbtime x\n", b"cpu 1\nbtime \n"):
        with pytest.raises(Malformed):
            processes.parse_boot_time(malformed)


def test_parse_mounts() -> None:
    data = (
        b"36 35 98:0 / /a\\040b\\134c rw,noatime master:1 - ext3 /dev/root rw\n"
        b"37 35 0:4 net:[4026532291] /run/netns/a rw shared:5 - nsfs nsfs rw\n"
    )
    assert processes.parse_mounts(data) == [
        processes.Mount("ext3", "/", "/a b\\c"),
        processes.Mount("nsfs", "net:[4026532291]", "/run/netns/a"),
    ]
    for malformed in (b"36 35 98:0 / /a rw", b"1 2 - ext3 a b"):
        with pytest.raises(Malformed):
            processes.parse_mounts(malformed)


@given(st.binary(max_size=200))
def test_the_parsers_raise_only_malformed(data: bytes) -> None:
    for parse in (
        processes.parse_stat,
        processes.parse_effective_uid,
        processes.parse_command,
        processes.parse_cgroup,
        processes.parse_boot_time,
        processes.parse_mounts,
        processes.foreign_text,
    ):
        try:
            str(parse(data)).encode()
        except Malformed:
            continue


def test_process_in_a_made_up_tree(tree: Tree) -> None:
    tree.process(7, b"web", b"web\0--port\x0080\0", "/system.slice/web.service")
    tree.process(8, b"gone (now)")
    ticks = os.sysconf("SC_CLK_TCK")
    assert processes.process(7, tree.path) == processes.Process(
        7, "web", "web --port 80", 1000, 1700000000 + 250 / ticks, "/system.slice/web.service"
    )
    zombie = processes.process(8, tree.path)
    assert zombie is not None
    assert (zombie.name, zombie.command, zombie.cgroup) == ("gone (now)", "[gone (now)]", "/")


def test_a_process_that_dies_while_it_is_read(tree: Tree) -> None:
    for missing in ("stat", "status", "cmdline"):
        tree.process(9)
        (tree.folder / "9" / missing).unlink()
        assert processes.process(9, tree.path) is None
    tree.process(9)
    (tree.folder / "9/cgroup").unlink()
    found = processes.process(9, tree.path)
    assert found is not None
    assert found.cgroup is None
    tree.write("9/stat", b"half of i")
    assert processes.process(9, tree.path) is None
    assert processes.process(10, tree.path) is None
    assert processes.name_of(10, tree.path) is None


def test_pids_are_ascending_numbers_only(tree: Tree) -> None:
    for name in ("10", "9", "self", "٣", "1x"):
        (tree.folder / name).mkdir()
    assert processes.pids(tree.path) == [9, 10]
    assert os.getpid() in processes.pids()


def test_this_process_is_as_psutil_says() -> None:
    found, truth = processes.process(os.getpid()), psutil.Process()
    assert found is not None
    assert found.pid == truth.pid
    assert found.name == Path("/proc/self/comm").read_text().rstrip("\n")
    assert found.command == " ".join(truth.cmdline())
    assert found.uid == truth.uids().effective
    assert found.started == pytest.approx(truth.create_time(), abs=1)
    assert found.started < time.time()
    assert processes.process(os.getpid()) == found


def test_a_kernel_thread_has_its_name_in_brackets() -> None:
    threads = [found for pid in processes.pids() if pid < 50 and (found := processes.process(pid))]
    kernel = [found for found in threads if found.command == f"[{found.name}]"]
    if Path("/proc/2/comm").is_file() and Path("/proc/2/comm").read_text() == "kthreadd\n":
        assert "kthreadd" in [found.name for found in kernel]
    else:
        pytest.skip("no kernel thread is visible in this PID namespace")


def test_sees_all(tree: Tree) -> None:
    assert not processes.sees_all(tree.path)
    tree.process(1)
    tree.write("self/ns/pid", b"")
    assert not processes.sees_all(tree.path)
    (tree.folder / "self/ns/pid").unlink()
    if Path("/proc/self/ns/pid").stat().st_ino != processes.INITIAL_PID_NAMESPACE:
        pytest.skip("the tests run in a PID namespace of their own")
    tree.link("self/ns/pid", "/proc/self/ns/pid")
    assert processes.sees_all(tree.path)
    (tree.folder / "1").rename(tree.folder / "2")
    assert not processes.sees_all(tree.path)


def test_mounts_of_a_tree_without_any(tree: Tree) -> None:
    assert processes.mounts(tree.path) == []
    tree.write("self/mountinfo", b"nonsense\n")
    assert processes.mounts(tree.path) == []
    assert any(mount.kind == "proc" and mount.point == "/proc" for mount in processes.mounts())


def test_an_unprivileged_reader_sees_another_users_process() -> None:
    pid = os.getpid()
    found = in_child(lambda: processes.process(pid), unprivileged=os.geteuid() == 0)
    assert found == processes.process(pid)
