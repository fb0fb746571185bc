"""Which process holds which socket, read from the descriptor folders of /proc.

Each entry of /proc/PID/fd is a link that reads `socket:[INODE]` where the descriptor is a socket. This is the
reference of the compiled twin `_descriptors`, which has the same functions; what a process is, and what its
holding a socket means for the reader, is left to `processes` and `owners`.

The threads of a process share one table of descriptors; a thread that has left it (unshare(2) with
CLONE_FILES) is not looked at. A process whose first thread has ended is read through another of its threads.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass

from portbook.linux.processes import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GONE = (FileNotFoundError, ProcessLookupError, NotADirectoryError)
INODE_LIMIT = 1 << 64


@dataclass(frozen=True, slots=True)
class Holders:
    """Process `pids[i]` holds socket `inodes[i]`: one pair for each process and socket, by inode, then by PID.

    `inodes` is an array of 'Q', `pids` one of 'I'. `denied` counts the processes that could not be looked
    into, for lack of rights (or, rarely, of descriptors to look with).
    """

    inodes: array[int]
    pids: array[int]
    denied: int


def socket_holders(pids: Iterable[int], proc: str = "/proc") -> Holders:
    """Return which of the processes `pids` hold which sockets. Those that have ended are silently absent.

    Raises OSError when `proc` itself cannot be opened.
    """
    pairs: set[tuple[int, int]] = set()
    denied = 0
    root = os.open(proc, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for pid in pids:
            try:
                pairs.update((inode, pid) for inode in _process_sockets(root, pid))
            except GONE:
                continue
            except OSError:
                denied += 1
    finally:
        os.close(root)
    ordered = sorted(pairs)
    return Holders(array("Q", (pair[0] for pair in ordered)), array("I", (pair[1] for pair in ordered)), denied)


def join(
    inodes: array[int], cgroups: array[int], holders: Holders
) -> tuple[array[int], list[tuple[int, ...]], list[int], list[int]]:
    """Give each socket (`inodes` of 'I', 0 for one that no process can hold) the group of processes that holds it.

    Returns codes, groups, unseen, counts. A socket's code is 0 where its inode is 0; `1 + i` where the
    processes `groups[i]` (ascending) hold it; `1 + len(groups) + i` where none was seen to hold it and its
    control group (`cgroups`, of 'Q') is `unseen[i]`. `counts[i]` is how many sockets are of `unseen[i]`.
    """
    held: dict[int, tuple[int, ...]] = {}
    for inode, pid in zip(holders.inodes, holders.pids, strict=True):
        held[inode] = (*held.get(inode, ()), pid)
    groups: dict[tuple[int, ...], int] = {}
    unseen: dict[int, int] = {}
    counts: list[int] = []
    codes = array("I", bytes(4 * len(inodes)))
    late = []
    for row, (inode, cgroup) in enumerate(zip(inodes, cgroups, strict=True)):
        if not inode:
            continue
        group = held.get(inode)
        if group is not None:
            codes[row] = groups.setdefault(group, len(groups)) + 1
            continue
        place = unseen.setdefault(cgroup, len(unseen))
        if place == len(counts):
            counts.append(0)
        counts[place] += 1
        late.append((row, place))
    for row, place in late:
        codes[row] = 1 + len(groups) + place
    return codes, list(groups), list(unseen), counts


def _process_sockets(root: int, pid: int) -> set[int]:
    """Return the inodes of the sockets of one process. Raises OSError when it is gone or may not be read."""
    count, inodes, refusal = 0, set[int](), None
    try:
        count, inodes = _folder_sockets(root, f"{pid}/fd")
    except GONE:
        raise
    except OSError as error:
        refusal = error
    # Once the first thread has ended, its folder is empty and root's; the others may hold descriptors still.
    for thread in [] if count else _threads(root, pid):
        try:
            count, inodes = _folder_sockets(root, f"{pid}/task/{thread}/fd")
        except GONE:
            continue
        except OSError as error:
            refusal = error
        if count:
            break
    if refusal and not count:
        raise refusal
    return inodes


def _threads(root: int, pid: int) -> list[str]:
    """Return the numbers of a process's threads, none where it has only one."""
    try:
        task = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    except OSError:
        return []
    try:
        # Each thread is a folder, with a link to the one above.
        return [name for name in names_in(task) if _is_number(name)] if os.fstat(task).st_nlink > 3 else []
    except OSError:
        return []
    finally:
        os.close(task)


def _folder_sockets(parent: int, path: str) -> tuple[int, set[int]]:
    """Return how many descriptors a folder has, and the inodes of the sockets among them."""
    inodes = set()
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        names = [name for name in names_in(folder) if _is_number(name)]
        for name in names:
            try:
                inode = _socket_inode(os.readlink(os.fsencode(name), dir_fd=folder))
            except PermissionError:
                raise
            except OSError:
                continue
            if inode:
                inodes.add(inode)
    finally:
        os.close(folder)
    return len(names), inodes


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _socket_inode(link: bytes) -> int:
    """Return the inode in `socket:[INODE]`, 0 where the link is anything else."""
    digits = link[8:-1]
    if not (link.startswith(b"socket:[") and link.endswith(b"]") and digits.isdigit() and len(digits) <= 20):
        return 0
    inode = int(digits)
    return inode if inode < INODE_LIMIT else 0
