"""The network namespaces of this host: which there are, what they are called, how to enter one.

A namespace is known by its inode. Which processes are in it is read from /proc/PID/ns/net, which takes the
rights to trace the process; those bound to a file (by ip-netns(8), by container engines) are read from
mountinfo, which takes none. What the sockets in a namespace are is left to `sock_diag` and, without rights to
enter, to `procnet`.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass

from portbook.errors import N_, BadQuestion, PortbookError, Unavailable
from portbook.linux import processes
from portbook.linux.cgroups import ContainerNames, workload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
NAMED = ("/run/netns/", "/var/run/netns/")
"""Where ip-netns(8) binds the namespaces that it names."""

BOUND = re.compile(r"net:\[([0-9]{1,20})\]")


@dataclass(frozen=True, slots=True)
class NetworkNamespace:
    """One network namespace.

    `name` is what ip-netns(8) calls it, else how its first process's container is shown, else None. `pid` is
    the first process in it, None where none is seen; `path` the file to enter it by. `current` marks the
    caller's own.
    """

    inode: int
    name: str | None
    pid: int | None
    path: str
    current: bool


@dataclass(frozen=True, slots=True)
class NetworkNamespaces:
    """The namespaces that were found, the caller's own first, and how many processes' could not be read."""

    found: tuple[NetworkNamespace, ...]
    hidden: int


def network_namespaces(proc: str = "/proc", root: str = "/") -> NetworkNamespaces:
    """Return each network namespace once. Names of containers come from the files below `root`.

    A namespace that only threads or descriptors keep, without a process or a mount, is not found. Raises
    Unavailable when `proc` tells not even the caller's own.
    """
    own = _inode(f"{proc}/thread-self/ns/net") or _inode(f"{proc}/self/ns/net")
    if own is None:
        raise Unavailable(N_("{path} cannot be read; mount /proc to see network namespaces"), path=f"{proc}/self")
    first: dict[int, int] = {}
    hidden = 0
    for pid in processes.pids(proc):
        try:
            first.setdefault(processes.inode_of(f"{proc}/{pid}/ns/net"), pid)
        except PermissionError:
            hidden += 1
        except OSError:
            continue
    # The files that ip-netns makes come last, and so win over any other that a namespace is bound to.
    files = sorted(processes.mounts(proc), key=lambda mount: mount.point.startswith(NAMED))
    bound = {
        int(found[1]): mount.point
        for mount in files
        if mount.kind == "nsfs" and (found := BOUND.fullmatch(mount.root))
    }
    names = ContainerNames(root)
    namespaces = [
        _namespace(inode, first.get(inode), bound.get(inode), inode == own, proc, names)
        for inode in dict.fromkeys((own, *first, *bound))
    ]
    return NetworkNamespaces(tuple(namespaces), hidden)


def find_namespace(text: str, proc: str = "/proc", root: str = "/") -> NetworkNamespace:
    """Return the namespace that a name (also a container's without its engine), a PID or an inode means.

    Raises BadQuestion when there is none, or several containers of that name; Unavailable when the process is
    another user's.
    """
    every = network_namespaces(proc, root).found
    named = [found for found in every if found.name == text]
    named = named or [found for found in every if found.name and found.name.rpartition(":")[2] == text]
    if len(named) > 1:
        raise BadQuestion(
            N_("{name} is the name of several network namespaces: {names}"),
            name=text,
            names=", ".join(str(found.name) for found in named),
        )
    if named:
        return named[0]
    if text.isascii() and text.isdecimal():
        number = int(text)
        try:
            inode = processes.inode_of(f"{proc}/{number}/ns/net")
        except PermissionError as error:
            raise Unavailable(
                N_("the network namespace of process {pid} is hidden; run as root to see it"), pid=number
            ) from error
        except OSError:
            inode = number
        for found in every:
            if found.inode == inode:
                return found
    raise BadQuestion(
        N_("there is no network namespace {name}; give a PID or one of these names: {names}"),
        name=text,
        names=", ".join(sorted(found.name for found in every if found.name)) or "-",
    )


@contextmanager
def entered(namespace: NetworkNamespace) -> Iterator[None]:
    """Put the calling thread into a network namespace, and back at the end whatever happens.

    Raises Unavailable where rights forbid it, BadQuestion when the namespace is gone. A thread that cannot
    return must not go on where it is: the process is then aborted. While it is inside, /proc/net is still
    that of the process's first thread; /proc/thread-self/net is its own.
    """
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    moved = False
    try:
        target = _opened(namespace)
        try:
            # Said before it is done, since a signal may come between; a refusal has moved nothing.
            moved = True
            _enter(target, namespace)
        except PortbookError:
            moved = False
            raise
        finally:
            os.close(target)
        yield
    finally:
        try:
            if moved:
                _setns(back)
        except OSError:
            os.abort()
        finally:
            os.close(back)


def socket_in(namespace: NetworkNamespace, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a new socket of a namespace, as socket(2) makes it; the caller stays where it is.

    Raises Unavailable where rights forbid it, BadQuestion when the namespace is gone, OSError as socket(2).
    """
    import threading

    made: list[socket.socket] = []
    failed: list[Exception] = []

    def make() -> None:
        try:
            target = _opened(namespace)
            try:
                _enter(target, namespace)
                made.append(socket.socket(family, kind, protocol))
            finally:
                os.close(target)
        except (PortbookError, OSError) as error:
            failed.append(error)

    # setns(2) moves one thread, and this one ends inside: no signal comes between, and nobody has to return.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _namespace(
    inode: int, pid: int | None, bound: str | None, current: bool, proc: str, names: ContainerNames
) -> NetworkNamespace:
    """Return the namespace with its name: first the one it is bound under, then its first process's container."""
    name = None
    for folder in NAMED:
        if bound and bound.startswith(folder):
            name = bound.removeprefix(folder)
    if name is None and pid is not None and not current and (path := processes.cgroup_of(pid, proc)):
        name = names.text(workload(path))
    path = bound or f"{proc}/{pid or 'self'}/ns/net"
    return NetworkNamespace(inode, name, pid, path, current)


def _inode(path: str) -> int | None:
    try:
        return processes.inode_of(path)
    except OSError:
        return None


def _opened(namespace: NetworkNamespace) -> int:
    """Return a descriptor of the namespace; its process may have ended, and another have taken its PID."""
    try:
        descriptor = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise _forbidden(namespace) from error
    except OSError as error:
        raise _gone(namespace) from error
    if os.fstat(descriptor).st_ino != namespace.inode:
        os.close(descriptor)
        raise _gone(namespace)
    return descriptor


def _enter(descriptor: int, namespace: NetworkNamespace) -> None:
    try:
        _setns(descriptor)
    except PermissionError as error:
        raise _forbidden(namespace) from error
    except OSError as error:
        raise _gone(namespace) from error


def _forbidden(namespace: NetworkNamespace) -> Unavailable:
    return Unavailable(
        N_("the network namespace {name} may not be entered; run as root"),
        name=namespace.name or namespace.path,
    )


def _gone(namespace: NetworkNamespace) -> BadQuestion:
    return BadQuestion(
        N_("the network namespace {name} is gone; ask again for those that there are"),
        name=namespace.name or namespace.path,
    )


def _setns(descriptor: int) -> None:
    """Call setns(2) for this thread. Raises OSError."""
    if hasattr(os, "setns"):
        os.setns(descriptor, CLONE_NEWNET)
        return
    # Python has it only from 3.12 on.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
