"""What the kernel tells of a process: its name, command line, user, start and control group (proc(5)).

The parsers take the bytes of a file of /proc and raise nothing but Malformed; what a process calls itself may
hold any bytes, and those that are not UTF-8 come out as backslash escapes. What a control group means is left
to `cgroups`, which sockets a process holds to `descriptors`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

from portbook.errors import Malformed

COMMAND_LIMIT = 128 * 1024
"""How many bytes of a command line are read: as much as one argument may have (MAX_ARG_STRLEN)."""

KERNEL_THREAD = 0x00200000
"""PF_KTHREAD among a process's flags (include/linux/sched.h)."""

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the namespace that all processes are in (PID_NS_INIT_INO, include/uapi/linux/nsfs.h)."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `started` is in seconds since the epoch; `cgroup` a path in the version 2 or systemd's hierarchy.

    `command` is its command line, arguments separated by spaces as ps(1) does; a process without one (a
    kernel thread, a zombie) has its name in brackets there. `uid` is the effective user.
    """

    pid: int
    name: str
    command: str
    uid: int
    started: float
    cgroup: str | None


@dataclass(frozen=True, slots=True)
class Stat:
    """What portbook uses of /proc/PID/stat; `started` is in clock ticks since the system came up."""

    pid: int
    name: str
    kernel: bool
    started: int


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo: what is mounted where, and which folder of its file system that is."""

    kind: str
    root: str
    point: str


def foreign_text(data: bytes) -> str:
    """Return bytes that should be UTF-8 as text, what is not as backslash escapes."""
    return data.decode("utf-8", "backslashreplace")


def parse_stat(data: bytes) -> Stat:
    """Read /proc/PID/stat. Raises Malformed."""
    # The name may hold parentheses, spaces and newlines; nothing after it holds a parenthesis.
    before, opening, rest = data.partition(b"(")
    name, closing, after = rest.rpartition(b")")
    fields = after.split()
    if not opening or not closing or len(fields) < 20:
        raise Malformed("stat")
    flags = _number(fields[6])
    return Stat(_number(before.strip()), foreign_text(name), bool(flags & KERNEL_THREAD), _number(fields[19]))


def parse_effective_uid(data: bytes) -> int:
    """Read the effective user from /proc/PID/status. Raises Malformed."""
    # The name in the first line has its newlines escaped.
    _, found, rest = data.partition(b"\nUid:")
    fields = rest.split(b"\n", 1)[0].split()
    if not found or len(fields) != 4:
        raise Malformed("status")
    return _number(fields[1])


def parse_command(data: bytes) -> str:
    """Return /proc/PID/cmdline with its arguments separated by spaces, empty for a process without one."""
    return foreign_text(data.rstrip(b"\0").replace(b"\0", b" "))


def parse_cgroup(data: bytes) -> str | None:
    """Return the path that says most in /proc/PID/cgroup (cgroups(7)), None for an empty file. Raises Malformed.

    That of version 2, else systemd's own hierarchy, else the first other that is not the root.
    """
    paths: list[tuple[int, str]] = []
    for line in data.split(b"\n"):
        if not line:
            continue
        parts = line.split(b":", 2)
        if len(parts) != 3 or not parts[2].startswith(b"/"):
            raise Malformed("cgroup")
        rank = 0 if parts[0] == b"0" and not parts[1] else 1 if parts[1] == b"name=systemd" else 2
        path = foreign_text(parts[2].removesuffix(b" (deleted)"))
        paths.append((rank + (3 if path == "/" else 0), path))
    return min(paths, key=lambda ranked: ranked[0])[1] if paths else None


def parse_boot_time(data: bytes) -> int:
    """Return the time at which the system came up, in epoch seconds, from /proc/stat. Raises Malformed."""
    _, found, rest = data.partition(b"\nbtime ")
    if not found:
        raise Malformed("stat")
    return _number(rest.split(b"\n", 1)[0])


def parse_mounts(data: bytes) -> list[Mount]:
    """Read /proc/PID/mountinfo. Raises Malformed."""
    mounts = []
    for line in data.split(b"\n"):
        if not line:
            continue
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if not separator or len(fields) < 6:
            raise Malformed("mountinfo")
        mounts.append(Mount(foreign_text(after.split(b" ")[0]), _unescaped(fields[3]), _unescaped(fields[4])))
    return mounts


def read_file(path: str, limit: int = 1 << 16) -> bytes:
    """Return the first `limit` bytes of a file. Raises OSError."""
    parts = []
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while limit > 0 and (part := os.read(descriptor, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def names_in(folder: str | int) -> list[str]:
    """Return the names in a folder, given by its path or descriptor. Raises OSError."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def inode_of(path: str) -> int:
    """Return the inode number of what a path leads to. Raises OSError."""
    return os.stat(path).st_ino


def pids(proc: str = "/proc") -> list[int]:
    """Return the processes that can be seen, ascending. Raises OSError when `proc` cannot be read."""
    return sorted(int(name) for name in names_in(proc) if name.isascii() and name.isdecimal())


def sees_all(proc: str = "/proc") -> bool:
    """Return whether `pids` are all the processes of this host.

    They are not inside a container with a PID namespace of its own, nor where /proc is mounted with hidepid.
    """
    try:
        if inode_of(f"{proc}/self/ns/pid") != INITIAL_PID_NAMESPACE:
            return False
    except OSError:
        return False
    return os.path.lexists(f"{proc}/1")


@lru_cache(maxsize=4)
def boot_time(proc: str = "/proc") -> int:
    """Return the time at which the system came up, in epoch seconds; asked once, so that it is the same for all.

    Raises OSError or Malformed when `proc` does not tell.
    """
    return parse_boot_time(read_file(f"{proc}/stat", 1 << 22))


def mounts(proc: str = "/proc") -> list[Mount]:
    """Return what is mounted for this process, nothing where that cannot be read."""
    try:
        return parse_mounts(read_file(f"{proc}/self/mountinfo", 1 << 24))
    except (OSError, Malformed):
        return []


def name_of(pid: int, proc: str = "/proc") -> str | None:
    """Return the name of a process, None when it has ended or may not be seen."""
    try:
        return foreign_text(read_file(f"{proc}/{pid}/comm").removesuffix(b"\n"))
    except OSError:
        return None


def cgroup_of(pid: int, proc: str = "/proc") -> str | None:
    """Return the control group of a process as `Process` has it, None where that is not known."""
    try:
        return parse_cgroup(read_file(f"{proc}/{pid}/cgroup"))
    except (OSError, Malformed):
        return None


def process(pid: int, proc: str = "/proc") -> Process | None:
    """Return what is known of a process, None when it has ended or may not be seen."""
    try:
        stat = parse_stat(read_file(f"{proc}/{pid}/stat"))
        uid = parse_effective_uid(read_file(f"{proc}/{pid}/status"))
        command = parse_command(read_file(f"{proc}/{pid}/cmdline", COMMAND_LIMIT))
        started = boot_time(proc) + stat.started / os.sysconf("SC_CLK_TCK")
    except (OSError, Malformed):
        return None
    if stat.kernel or not command:
        command = f"[{stat.name}]"
    return Process(pid, stat.name, command, uid, started, cgroup_of(pid, proc))


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise Malformed(digits[:20].hex())
    return int(digits)


def _unescaped(field: bytes) -> str:
    """Undo the octal escapes of mountinfo: space, tab, newline and backslash."""
    for escape, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escape, byte)
    return foreign_text(field)
