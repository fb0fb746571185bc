from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portbook.errors import BadQuestion, Unavailable
from portbook.linux import namespaces, processes
from portbook.linux.cgroups import ContainerNames, workload
from portbook.linux.namespaces import NetworkNamespace, entered, find_namespace, network_namespaces, socket_in

from .children import ChildError, in_child, needs_root, running

if TYPE_CHECKING:
    from .proc_tree import Tree

SIOCGSKNS = 0x894C
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def here() -> int:
    return Path("/proc/thread-self/ns/net").stat().st_ino


def unshare(flags: int) -> None:
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def mount(source: str, target: str, flags: int, kind: str | None = None) -> None:
    if libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None):
        raise OSError(ctypes.get_errno(), "mount")


def apart() -> tuple[int, object]:
    """Go into a network namespace of one's own; its inode is told."""
    unshare(CLONE_NEWNET)
    return here(), None


def namespace_of(sock: socket.socket) -> int:
    """Return the inode of a socket's network namespace (SIOCGSKNS)."""
    descriptor = libc.ioctl(sock.fileno(), SIOCGSKNS)
    assert descriptor >= 0
    inode = os.fstat(descriptor).st_ino
    os.close(descriptor)
    return inode


def test_the_callers_own_comes_first() -> None:
    found = network_namespaces().found
    assert found[0].current
    assert found[0].inode == here()
    assert [one.inode for one in found].count(here()) == 1
    assert not any(one.current for one in found[1:])


@needs_root
def test_two_namespaces_are_found_entered_and_left() -> None:
    before = here()
    with running(apart) as (first, first_inode), running(apart) as (second, second_inode):
        found = {one.inode: one for one in network_namespaces().found}
        assert {first_inode, second_inode, before} <= set(found)
        for pid, inode in ((first, first_inode), (second, second_inode)):
            one = found[inode]
            container = ContainerNames().text(workload(processes.cgroup_of(pid) or "/"))
            assert one == NetworkNamespace(inode, container, pid, f"/proc/{pid}/ns/net", False)
            assert find_namespace(str(pid)) == one
            assert find_namespace(str(inode)) == one
            with entered(one):
                assert here() == inode
            assert here() == before
            with pytest.raises(KeyError), entered(one):
                raise KeyError
            assert here() == before
            with socket_in(one, socket.AF_INET, socket.SOCK_STREAM) as sock:
                assert namespace_of(sock) == inode
            assert here() == before
        with entered(found[first_inode]), entered(found[second_inode]):
            assert here() == second_inode
        assert here() == before


@needs_root
def test_a_namespace_that_is_gone() -> None:
    before = here()
    with running(apart) as (pid, _):
        one = find_namespace(str(pid))
    with pytest.raises(BadQuestion, match="gone"), entered(one):
        pass
    with pytest.raises(BadQuestion, match="gone"):
        socket_in(one, socket.AF_INET, socket.SOCK_STREAM)
    # Another process has taken the PID since.
    other = NetworkNamespace(before + 1, None, os.getpid(), f"/proc/{os.getpid()}/ns/net", False)
    with pytest.raises(BadQuestion, match="gone"), entered(other):
        pass
    assert here() == before


@needs_root
def test_no_such_socket_in_a_namespace() -> None:
    with running(apart) as (pid, _):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(OSError, match="not supported"):
            socket_in(find_namespace(str(pid)), 4095, socket.SOCK_STREAM)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@needs_root
def test_an_unprivileged_reader_is_told_what_is_hidden() -> None:
    with running(apart) as (pid, inode):
        hidden = in_child(network_namespaces, unprivileged=True)
        assert hidden.hidden > 0
        assert inode not in [one.inode for one in hidden.found]
        assert hidden.found[0].inode == here()
        with pytest.raises(ChildError, match=r"Unavailable.*run as root"):
            in_child(lambda: find_namespace(str(pid)), unprivileged=True)
        one = find_namespace(str(pid))

        def enter() -> None:
            with entered(one):
                pass

        for forbidden in (enter, lambda: socket_in(one, socket.AF_INET, socket.SOCK_STREAM)):
            with pytest.raises(ChildError, match=r"Unavailable.*may not be entered"):
                in_child(forbidden, unprivileged=True)


def test_the_own_namespace_may_not_be_entered_without_rights_either() -> None:
    def enter() -> int:
        before = here()
        with pytest.raises(Unavailable), entered(network_namespaces().found[0]):
            pass
        return before - here()

    assert in_child(enter, unprivileged=os.geteuid() == 0) == 0


@needs_root
def test_a_named_namespace_without_a_process() -> None:
    def make_and_enter() -> tuple[int, NetworkNamespace, int, NetworkNamespace]:
        unshare(CLONE_NEWNS)
        mount("none", "/", MS_REC | MS_PRIVATE)
        mount("tmpfs", "/run", 0, "tmpfs")
        for name in ("netns/blue", "netns/stale", "elsewhere"):
            Path("/run", name).parent.mkdir(exist_ok=True)
            Path("/run", name).touch()
        unshare(CLONE_NEWNET)
        bound = here()
        mount("/proc/thread-self/ns/net", "/run/netns/blue", MS_BIND)
        mount("/proc/thread-self/ns/net", "/run/elsewhere", MS_BIND)
        unshare(CLONE_NEWNET)
        one = find_namespace("blue")
        with entered(one):
            inside = here()
        every = [found for found in network_namespaces().found if found.inode == bound]
        assert every == [one]
        with pytest.raises(BadQuestion, match=r"there is no network namespace stale.*blue"):
            find_namespace("stale")
        return bound, one, inside, network_namespaces().found[0]

    before = here()
    bound, one, inside, own = in_child(make_and_enter)
    assert one == NetworkNamespace(bound, "blue", None, "/run/netns/blue", False)
    assert inside == bound
    assert (own.current, own.inode in (bound, before)) == (True, False)


def made_up(tree: Tree) -> list[int]:
    """Make processes in three namespaces, of which files stand in for the inodes; return these."""
    inodes = []
    for number, cgroup in enumerate(("/", "/lxc.payload.web", "/lxc/data")):
        file = tree.folder / f"namespace{number}"
        tree.write(file.name, b"")
        inodes.append(file.stat().st_ino)
        for pid in (number * 10 + 5, number * 10 + 6):
            tree.process(pid, cgroup=cgroup)
            tree.link(f"{pid}/ns/net", str(file))
    tree.link("self", "5")
    return inodes


def test_names_of_containers_and_of_files(tree: Tree) -> None:
    inodes = made_up(tree)
    tree.write(
        "5/mountinfo",
        f"1 2 0:4 net:[{inodes[2]}] /run/netns/b\\040c rw - nsfs nsfs rw\n"
        f"1 2 0:4 net:[{inodes[2]}] /run/docker/netns/1 rw - nsfs nsfs rw\n"
        "1 2 0:4 net:[77] /run/docker/netns/2 rw - nsfs nsfs rw\n"
        "1 2 0:4 mnt:[78] /run/snapd/ns/x.mnt rw - nsfs nsfs rw\n"
        "1 2 0:4 /net:[79] /mnt rw - ext4 x rw\n",
    )
    found = network_namespaces(tree.path)
    assert found.hidden == 0
    assert found.found == (
        NetworkNamespace(inodes[0], None, 5, f"{tree.path}/5/ns/net", True),
        NetworkNamespace(inodes[1], "lxc:web", 15, f"{tree.path}/15/ns/net", False),
        NetworkNamespace(inodes[2], "b c", 25, "/run/netns/b c", False),
        NetworkNamespace(77, None, None, "/run/docker/netns/2", False),
    )
    for text in ("lxc:web", "web", "16", str(inodes[1])):
        assert find_namespace(text, tree.path) == found.found[1]
    with pytest.raises(BadQuestion, match=r"there is no network namespace 999;.*b c, lxc:web"):
        find_namespace("999", tree.path)


def test_a_name_that_several_containers_have(tree: Tree) -> None:
    made_up(tree)
    (tree.folder / "25/cgroup").write_text("0::/machine.slice/machine-web.scope\n")
    with pytest.raises(BadQuestion, match="several network namespaces: lxc:web, nspawn:web"):
        find_namespace("web", tree.path)
    assert find_namespace("nspawn:web", tree.path).pid == 25


def test_without_proc(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="mount /proc"):
        network_namespaces(str(tmp_path))


def test_a_thread_that_cannot_return_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class AbortedError(Exception):
        pass

    def abort() -> None:
        raise AbortedError

    calls: list[int] = []

    def once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 1:
            raise PermissionError

    monkeypatch.setattr(namespaces, "_setns", once)
    monkeypatch.setattr(os, "abort", abort)
    with pytest.raises(AbortedError), entered(network_namespaces().found[0]):
        pass
