"""What a control group says of the workload in it: systemd's unit, the container, the pod (cgroups(7)).

`workload` reads a path alone. Names come from the files that container engines keep and the reader may read,
below `root`; the tree of control groups of version 2 is walked where it is mounted. Which group a process is
in is read by `processes`, which one a socket was made in by `sock_diag`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from portbook.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

UNIT_TYPES = (".service", ".socket", ".scope", ".mount", ".swap")
SHOWN_DIGITS = 12
"""How many digits of a container's id are shown, as the engines themselves do."""

WALK_LIMIT = 50_000
"""How many control groups are looked at for an id before it counts as unknown."""

FILE_LIMIT = 1 << 24

CONTAINER = re.compile(r"(?:([a-z-]+)-)?([0-9a-f]{64})(?:\.scope)?")
ENGINES = {
    "docker": "docker",
    "libpod": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
"""The engine by the prefix of its scopes. Others (`libpod-conmon`, `crio-conmon`) are not the container
itself.
"""

PARENTS = {"docker": "docker", "libpod_parent": "podman"}
"""The engine by the folder in which it puts its containers without systemd."""

POD = re.compile(r"(?:kubepods.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?")
MACHINE = re.compile(r"machine-(.+)\.scope|systemd-nspawn@(.+)\.service")
LIBVIRT_LXC = re.compile(r"lxc-[0-9]+-(.+)")


@dataclass(frozen=True, slots=True)
class Workload:
    """What a control group belongs to.

    `unit` is the innermost unit of systemd; `engine` and `container` the innermost container, by its id of 64
    hexadecimal digits or by its name; `pod` the UID of the Kubernetes pod around it. `engine` is None where
    the path does not tell it.
    """

    unit: str | None = None
    engine: str | None = None
    container: str | None = None
    pod: str | None = None


def workload(path: str) -> Workload:
    """Return what the path of a control group tells, all None where it tells nothing."""
    unit: str | None = None
    user = engine = container = pod = None
    before = ""
    for part in path.split("/"):
        # systemd puts an underscore before a unit whose name could be that of one of the kernel's files.
        name = part.removeprefix("_")
        if name.endswith(UNIT_TYPES) and name[0] != ".":
            # The manager of a user's units is itself in a group named as the system's first process is.
            unit = user if name == "init.scope" and user else name
            user = name if name.startswith("user@") and name.endswith(".service") else user
        elif name.endswith(".slice") and name[0] != "." and (unit is None or unit.endswith(".slice")):
            unit = name
        if found := POD.fullmatch(part.partition(":")[0]):
            pod = found[1].replace("_", "-")
        if named := _container(before, part):
            engine, container = named
        before = part
    return Workload(unit, engine, container, pod)


def _container(before: str, part: str) -> tuple[str | None, str] | None:
    """Return the engine and the container that one part of a path names, after the part before."""
    # Without its systemd driver, containerd makes folders named SLICE:cri-containerd:ID.
    pieces = part.split(":")
    if len(pieces) == 3 and pieces[1] in ENGINES and CONTAINER.fullmatch(pieces[2]):
        return ENGINES[pieces[1]], pieces[2]
    if found := CONTAINER.fullmatch(part):
        if found[1] is None:
            return PARENTS.get(before), found[2]
        return (ENGINES[found[1]], found[2]) if found[1] in ENGINES else None
    if before in ("lxc", "lxc.payload") and part:
        return "lxc", part
    if part.startswith("lxc.payload.") and part != "lxc.payload.":
        return "lxc", part.removeprefix("lxc.payload.")
    if found := MACHINE.fullmatch(part):
        name = _unit_text(found[1] or found[2])
        if inside := LIBVIRT_LXC.fullmatch(name):
            return "lxc", inside[1]
        return None if name.startswith("qemu-") else ("nspawn", name)
    return None


def _unit_text(escaped: str) -> str:
    r"""Undo the \xNN escapes in the name of a unit (systemd.unit(5))."""
    data = escaped.encode("utf-8", "backslashreplace")
    return processes.foreign_text(re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), data))


class ContainerNames:
    """What the container engines' files below `root` call their containers. Each is read once, when first asked."""

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")
        self._docker: dict[str, str | None] = {}
        self._docker_folders: list[str] | None = None
        self._podman: dict[str, str] | None = None
        self._pods: dict[str, str] | None = None

    def text(self, found: Workload) -> str | None:
        """Return how the container of a workload is shown, None where it is in none.

        `docker:web`, with the first digits of the id where the name is not known; a pod's stands before it.
        """
        parts = ["pod", self._pod(found.pod)] if found.pod else []
        if found.container:
            name = self._name(found.engine, found.container)
            if name is None:
                name = found.container[:SHOWN_DIGITS] if CONTAINER.fullmatch(found.container) else found.container
            parts.append(f"{found.engine}:{name}" if found.engine else name)
        # JSON, and the name of a folder, may hold half a surrogate pair.
        return " ".join(parts).encode("utf-8", "backslashreplace").decode("utf-8") or None

    def _name(self, engine: str | None, container: str) -> str | None:
        if engine == "docker":
            if container not in self._docker:
                self._docker[container] = self._docker_name(container)
            return self._docker[container]
        if engine == "podman":
            if self._podman is None:
                self._podman = dict(self._podman_names())
            return self._podman.get(container)
        return None

    def _pod(self, uid: str) -> str:
        if self._pods is None:
            try:
                folders = processes.names_in(f"{self._root}/var/log/pods")
            except OSError:
                folders = []
            # NAMESPACE_NAME_UID, where neither name can hold an underscore (RFC 1123 labels).
            parts = (folder.split("_") for folder in folders)
            self._pods = {part[2]: f"{part[0]}/{part[1]}" for part in parts if len(part) == 3}
        return self._pods.get(uid, uid)

    def _docker_name(self, container: str) -> str | None:
        if self._docker_folders is None:
            settings = _json_file(f"{self._root}/etc/docker/daemon.json")
            moved = settings.get("data-root") if isinstance(settings, dict) else None
            self._docker_folders = [
                *([moved] if isinstance(moved, str) else []),
                "/var/lib/docker",
                "/var/snap/docker/common/var-lib-docker",
                *(f"{home}/.local/share/docker" for home in self._homes()),
            ]
        for folder in self._docker_folders:
            config = _json_file(f"{self._root}{folder}/containers/{container}/config.v2.json")
            name = config.get("Name") if isinstance(config, dict) else None
            if isinstance(name, str) and name.strip("/"):
                return name.strip("/")
        return None

    def _podman_names(self) -> Iterator[tuple[str, str]]:
        folders = ["/var/lib/containers/storage"]
        folders += [f"{home}/.local/share/containers/storage" for home in self._homes()]
        for folder in folders:
            for name in ("containers.json", "volatile-containers.json"):
                held = _json_file(f"{self._root}{folder}/overlay-containers/{name}")
                for entry in held if isinstance(held, list) else []:
                    names = entry.get("names") if isinstance(entry, dict) else None
                    if isinstance(names, list) and names and isinstance(names[0], str):
                        yield str(entry.get("id")), names[0]

    def _homes(self) -> list[str]:
        own = os.path.expanduser("~")
        try:
            others = [f"/home/{name}" for name in sorted(processes.names_in(f"{self._root}/home"))]
        except OSError:
            others = []
        return list(dict.fromkeys([own, *others]))


def _json_file(path: str) -> object:
    """Return what a JSON file holds, None where it is not there, may not be read, is too long or is no JSON."""
    import json

    try:
        return json.loads(processes.read_file(path, FILE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None


def control_groups(ids: Collection[int], proc: str = "/proc") -> dict[int, str]:
    """Return the paths of control groups of version 2 by their ids, as /proc/PID/cgroup has them.

    An id is the inode number of the group's folder. One that is not below what is mounted here (another
    container's), is gone, or was not met among the first WALK_LIMIT groups is absent.
    """
    wanted = set(ids) - {0}
    found: dict[int, str] = {}
    mount = _mount(proc)
    if mount is None or not wanted:
        return found
    top = mount.root.rstrip("/")
    try:
        inode = processes.inode_of(mount.point)
    except OSError:
        return found
    if inode in wanted:
        found[inode] = top or "/"
    paths = [""]
    for path in paths:  # which grows on the way
        if len(found) == len(wanted):
            break
        try:
            # A folder's links tell that it has no folders in it; its many files need not be listed then.
            if os.stat(mount.point + path).st_nlink == 2:
                continue
            with os.scandir(mount.point + path) as entries:
                folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        for folder in folders[: max(WALK_LIMIT - len(paths), 0)]:
            inside = f"{path}/{folder.name}"
            paths.append(inside)
            if folder.inode() in wanted:
                found[folder.inode()] = processes.foreign_text(os.fsencode(top + inside))
    return found


def members(path: str, proc: str = "/proc") -> list[int]:
    """Return the processes in the control group of version 2 at `path`, those that this PID namespace can name."""
    mount = _mount(proc)
    if mount is None:
        return []
    inside = path.removeprefix(mount.root.rstrip("/"))
    try:
        lines = processes.read_file(f"{mount.point}{inside}/cgroup.procs", FILE_LIMIT).split()
    except OSError:
        return []
    return sorted(int(line) for line in lines if line.isdigit() and line != b"0")


def _mount(proc: str) -> processes.Mount | None:
    """Return where the control groups of version 2 are mounted: the mount that shows most of them."""
    held = [mount for mount in processes.mounts(proc) if mount.kind == "cgroup2"]
    return min(held, key=lambda mount: len(mount.root), default=None)
