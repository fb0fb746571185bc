"""The kernel's namespaces as the lab uses them: made for a child, entered for a command.

The system calls are reached by ctypes, since Python has unshare(2) and setns(2) only from 3.12 on; so are those by
which a process keeps some of root's rights. What is put into the namespaces is left to hosts.py and network.py.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import contextmanager

from portbook.errors import N_, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

NEW_MOUNTS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NAME = 1, 4, 8, 15

LOW_PORTS = 1 << 10
"""The right to have ports below 1024: CAP_NET_BIND_SERVICE (capabilities(7)) in a set of rights."""

_CAPABILITY_VERSION_3 = 0x20080522

_ENTERED = (("mnt", NEW_MOUNTS), ("uts", NEW_UTS), ("ipc", NEW_IPC), ("net", NEW_NET), ("pid", NEW_PID))
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """Put this process into new namespaces; a new PID namespace is its children's. Raises OSError."""
    _checked(_libc().unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount a file system or bind a file (mount(2)). Raises OSError that names the target."""
    words = (source.encode(), target.encode(), kind and kind.encode(), flags, options and options.encode())
    try:
        _checked(_libc().mount(*words))
    except OSError as error:
        error.filename = target
        raise


def mount_empty(target: str, mode: int = 0o755) -> None:
    """Put an empty directory over one, in memory (tmpfs(5)). Raises OSError."""
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode:o}")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (PR_SET_PDEATHSIG)."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_process_name(name: str) -> None:
    """Set the name that ps(1) shows, of which the kernel keeps 15 bytes."""
    _libc().prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def be_readable() -> None:
    """Let this process read its own /proc/self, which one that has changed its user may not (PR_SET_DUMPABLE)."""
    _libc().prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def keep_rights() -> None:
    """Let this process keep the rights that it may have when it gives up being root (PR_SET_KEEPCAPS)."""
    _libc().prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)


def set_rights(effective: int, inheritable: int = 0) -> None:
    """Set the rights of this process (capset(2)); it may have those alone that are in effect. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _checked(_libc().capset(header, (ctypes.c_uint32 * 6)(effective, effective, inheritable, 0, 0, 0)))


def own_rights() -> bool:
    """Enter a new PID namespace for the children, and a new user namespace where that takes one.

    Whether it took a user namespace is returned; in it the caller is root, and nobody else exists. Raises
    Unavailable where the kernel allows neither.
    """
    if os.geteuid() == 0:
        try:
            unshare(NEW_PID)
        except OSError:  # root without rights, in a container
            pass
        else:
            return False
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(NEW_USER | NEW_PID)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise not_allowed(error) from error
    return True


def not_allowed(error: OSError) -> Unavailable:
    """Return the error of a kernel that lets this user make no namespaces."""
    return Unavailable(
        N_(
            "this kernel lets this user make no namespaces ({reason}); run as root, or have root allow it: see the"
            " sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and"
            " kernel.apparmor_restrict_unprivileged_userns"
        ),
        reason=error.strerror or error,
    )


def namespace_inode(pid: int | str, kind: str = "net") -> int:
    """Return the inode of a process's namespace. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


@contextmanager
def entry(pid: int, inode: int, whole: bool = True) -> Iterator[Callable[[], None]]:
    """Give a `preexec_fn` that takes a command into the namespaces of a process.

    `inode` is that of its network namespace, so that a PID which another process has by now is found out: then
    ProcessLookupError is raised, as where the process has ended. With `whole` the command is a process of the
    host; its parent stays outside, passes signals on and ends as it does. Otherwise only the network is entered.
    """
    opened: list[tuple[int, int]] = []
    try:
        kinds = _ENTERED if whole else (("net", NEW_NET),)
        try:
            if namespace_inode(pid, "user") != namespace_inode("self", "user"):
                kinds = (("user", NEW_USER), *kinds)
            for kind, flag in kinds:
                opened.append((os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), flag))
                if kind == "net" and os.fstat(opened[-1][0]).st_ino != inode:
                    raise ProcessLookupError
        except FileNotFoundError as error:
            raise ProcessLookupError from error
        yield lambda: _enter(opened, whole)
    finally:
        for descriptor, _ in opened:
            os.close(descriptor)


def _enter(opened: list[tuple[int, int]], whole: bool) -> None:
    libc = _libc()
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = "/"  # it has been removed
    be_readable()
    # Inside, /proc is the host's, in which this process is not.
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")] if whole else []
    for descriptor, flag in opened:
        _checked(libc.setns(descriptor, flag))
    if not whole:
        return
    try:
        os.chdir(folder)
    except OSError:
        os.chdir("/")
    signals = {signal.SIGCHLD, *_PASSED_ON}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # One enters a PID namespace by being born in it.
    child = os.fork()
    if child:
        for descriptor in descriptors:
            if descriptor > 2:
                _close(descriptor)
        _stand_for(child, signals)
    die_with_parent()
    for number in _PASSED_ON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # that of the list itself


def _stop_as(child: int) -> None:
    """Stop with all of this job, as the child has stopped, and have it go on when the job does.

    A child in this process group was stopped with it by the terminal, and goes on with it.
    """
    if os.getpgid(child) != os.getpgrp():
        os.kill(0, signal.SIGSTOP)
        os.killpg(os.getpgid(child), signal.SIGCONT)


def _stand_for(child: int, signals: set[signal.Signals]) -> NoReturn:
    """Pass on every signal that a process sent, and end as the child ends."""
    try:
        while True:
            info = signal.sigwaitinfo(signals)
            if info.si_signo != signal.SIGCHLD:
                # Those of the terminal (SI_KERNEL) go to its whole process group, and so to the child as well.
                if info.si_code <= 0:
                    os.kill(child, info.si_signo)
                continue
            found, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
            if not found:
                continue
            if os.WIFSTOPPED(status):
                _stop_as(child)
                continue
            if os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                if number not in (signal.SIGKILL, signal.SIGSTOP):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                os.kill(os.getpid(), number)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    finally:
        os._exit(255)
