"""Who owns each socket of a store, and how far that is known.

Where processes were seen to hold a socket, they are its owners, exactly. Where some could not be looked into,
what is left is the control group that the socket was made in, which the kernel tells anybody; else the owner
is hidden. Which process holds what is read by `descriptors`, what a process is by `processes`, and what its
control group means by `cgroups`; this module joins them.
"""

from __future__ import annotations

from dataclasses import dataclass

from portbook.compiled import best
from portbook.linux import cgroups, processes
from portbook.socket import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from portbook.socket import SocketStore

NOBODY = Owner()
HIDDEN = Owner(owner_by="hidden")


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owners of a store's sockets: socket `i` has `owners[codes[i]]` (`codes` is an array of 'I').

    `held` counts the sockets that a process can hold (those with an inode), `hidden` those among them of
    whose owner nothing is known. `denied` counts the processes that could not be looked into: where there are
    any, those may hold further a socket whose owner is exact.
    """

    codes: array[int]
    owners: list[Owner]
    hidden: int
    held: int
    denied: int


def owners(store: SocketStore, proc: str = "/proc", root: str = "/") -> Ownership:
    """Return who owns the sockets of a store. Names of containers come from the files below `root`.

    Raises OSError when `proc` cannot be read.
    """
    descriptors = best("portbook.linux.descriptors")
    holders = descriptors.socket_holders(processes.pids(proc), proc)
    codes, groups, unseen, counts = descriptors.join(store.inode, store.cgroup, holders)
    known = {pid: processes.process(pid, proc) for pid in sorted({pid for group in groups for pid in group})}
    names = cgroups.ContainerNames(root)
    exact = [_exact(group, known, names) for group in groups]
    if holders.denied or (unseen and not processes.sees_all(proc)):
        paths = cgroups.control_groups(unseen, proc)
        inferred = [_inferred(paths.get(cgroup, "/"), proc, names) for cgroup in unseen]
    else:
        inferred = [NOBODY] * len(unseen)
    hidden = sum(count for owner, count in zip(inferred, counts, strict=True) if owner is HIDDEN)
    held = len(codes) - store.inode.count(0)
    return Ownership(codes, [NOBODY, *exact, *inferred], hidden, held, holders.denied)


def _exact(pids: tuple[int, ...], known: dict[int, processes.Process | None], names: cgroups.ContainerNames) -> Owner:
    """Return the owner made of the processes that hold a socket; those that have ended since have a PID only."""
    living = [process for pid in pids if (process := known[pid]) is not None]
    # The numbers of processes begin again at the end, so the lowest need not be the one that has begotten the others.
    eldest = min(living, key=lambda process: (process.started, process.pid), default=None)
    workloads = [cgroups.workload(process.cgroup) for process in living if process.cgroup]
    return Owner(
        pids,
        _listed(process.name for process in living),
        eldest.command if eldest else None,
        eldest.started if eldest else None,
        _listed(workload.unit for workload in workloads),
        _listed(names.text(workload) for workload in workloads),
        "exact",
    )


def _inferred(path: str, proc: str, names: cgroups.ContainerNames) -> Owner:
    """Return the owner that a control group tells of: its process only where all those in it have one name."""
    # Whatever nobody has put elsewhere is in the root group.
    if path == "/":
        return HIDDEN
    found = cgroups.workload(path)
    inside = {processes.name_of(pid, proc) for pid in cgroups.members(path, proc)}
    process = inside.pop() if len(inside) == 1 else None
    container = names.text(found)
    if process is None and found.unit is None and container is None:
        return HIDDEN
    return Owner(process=process, unit=found.unit, container=container, owner_by="cgroup")


def _listed(texts: Iterable[str | None]) -> str | None:
    """Return the different texts in order, joined by commas, None where there is none."""
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None
