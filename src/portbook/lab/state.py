"""What is known of the labs that are up: a folder for each, with its lock and its state.

A lab is alive as long as somebody holds the lock in its folder: its keeper and the inits of its hosts do, from
birth to death. So a folder whose lock is free is a dead lab's, and is removed by whoever looks next.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from portbook.columns import Column, Table
from portbook.errors import N_, BadQuestion, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    EventKind = Literal["lab", "host", "left-out", "service", "client", "step"]

DYING_SECONDS = 10.0
"""How long a killed lab's processes may take to be gone."""

SCENARIO_COLUMNS = (
    Column("scenario", "text", N_("Scenario")),
    Column("title", "text", N_("Title"), foreign=True),
    Column("labs", "texts", N_("Labs that are up"), foreign=True),
    Column("hosts", "texts", N_("Their hosts"), foreign=True),
    Column("missing", "texts", N_("Missing packages")),
)
"""What can be raised, and without which packages of servers it cannot be; and what is up."""


@dataclass(frozen=True)
class Event:
    """Something that came about while a lab was raised.

    `name` is the lab's title, the host's, the service's, or of the host a client runs on; of a step its text.
    `detail` is what a lab shows, the addresses of a host, a service's program and version or the packages of one that
    is left out, the last words of a server that was refused. `place` is where a service stands, or whom a client
    asked: host, port and transports. `outcomes` are how many of a client's conversations came out in which way, and
    `servers` how many each server answered, where several did.
    """

    kind: EventKind
    name: str
    detail: str = ""
    place: str = ""
    outcomes: dict[str, int] = field(default_factory=dict)
    servers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HostState:
    """A host that is up: the PID of its init in the caller's namespace, and the inode of its network namespace."""

    name: str
    pid: int
    inode: int
    addresses: tuple[tuple[str, str], ...]

    @property
    def interfaces(self) -> int:
        """How many networks it is joined to."""
        return len(dict(self.addresses))

    @property
    def address(self) -> str:
        """The first of its addresses, without the prefix length."""
        return self.addresses[0][1].partition("/")[0]


@dataclass(frozen=True)
class ServiceState:
    """A service and what it really is. `up` tells whether it was when the lab had been raised."""

    name: str
    host: str
    kind: str
    port: int
    transports: tuple[str, ...]
    address: str | None
    program: str
    product: str
    version: str
    up: bool


@dataclass(frozen=True)
class LabState:
    """A lab: its keeper's PID, the process whose network namespace holds the bridges, its hosts and services."""

    name: str
    scenario: str
    title: str
    folder: str
    keeper: int
    wire: int
    wire_inode: int
    hosts: tuple[HostState, ...]
    services: tuple[ServiceState, ...] = ()
    up: bool = False

    def host(self, name: str) -> HostState:
        """Return a host by its name. Raises BadQuestion."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise BadQuestion(
            N_("the lab {lab} has no host {host}; it has: {hosts}"),
            lab=self.name,
            host=name,
            hosts=", ".join(host.name for host in self.hosts),
        )

    def with_services(self, services: tuple[ServiceState, ...]) -> LabState:
        """Return the state of the same lab, all up."""
        return replace(self, services=services, up=True)

    def write(self) -> None:
        """Write it into the lab's folder, whole or not at all."""
        path = f"{self.folder}/state.json"
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        os.replace(path + ".new", path)


def base_folder() -> str:
    """Return the folder that holds this user's labs. Raises Unavailable for one that others may write to."""
    if os.geteuid() == 0:
        return "/run/portbook/lab"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_own(runtime):
        return f"{runtime}/portbook/lab"
    # Anybody may have made a folder of this name in /tmp before.
    folder = f"/tmp/portbook-{os.geteuid()}"  # noqa: S108
    if os.path.lexists(folder) and not _is_own(folder):
        raise Unavailable(N_("{folder} is not this user's alone; remove it, or set XDG_RUNTIME_DIR"), folder=folder)
    return f"{folder}/lab"


def _is_own(folder: str) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


@contextmanager
def _locked(base: str) -> Iterator[None]:
    """Have nobody else add to the folder of all labs, or remove from it, meanwhile; it goes when empty."""
    # Servers that have given up root's rights pass through to what is theirs.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    while True:
        try:
            os.makedirs(os.path.dirname(base), mode, exist_ok=True)
            os.makedirs(base, mode, exist_ok=True)
            descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another has just removed it
        except OSError as error:
            raise Unavailable(
                N_("the folder {folder} for labs cannot be made: {reason}"), folder=base, reason=error.strerror
            ) from error
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.stat(base).st_ino == os.fstat(descriptor).st_ino:
                break
        except FileNotFoundError:
            pass
        os.close(descriptor)
    try:
        yield
    finally:
        for folder in (base, os.path.dirname(base)):
            try:
                os.rmdir(folder)
            except OSError:
                break  # there are labs in it
        os.close(descriptor)


def claim(name: str) -> tuple[str, int]:
    """Make the folder of a new lab; return it and the descriptor that locks it.

    Raises BadQuestion for a name that is taken, or cannot be a folder's.
    """
    if re.fullmatch(r"\w[\w.-]{0,63}", name) is None:
        raise BadQuestion(N_("{name} is no name for a lab; give it one of letters and digits with --lab"), name=name)
    base = base_folder()
    with _locked(base):
        _clear(base)
        folder = f"{base}/{name}"
        try:
            os.mkdir(folder, 0o711)
        except FileExistsError:
            raise BadQuestion(
                N_("the lab {name} is up already; portbook lab down {name} ends it, --lab gives another name"),
                name=name,
            ) from None
        descriptor = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return folder, descriptor


def is_up(lab: LabState) -> bool:
    """Return whether a lab has not ended since it was found."""
    found = [one for one in running() if one.name == lab.name]
    return bool(found) and found[0].keeper == lab.keeper


def is_whole(folder: str, lock: int) -> bool:
    """Return whether a lab's folder is there still, and not that of another lab which has its name by now."""
    try:
        return os.path.samestat(os.stat(f"{folder}/lock"), os.fstat(lock))
    except OSError:
        return False


def remove(folder: str, lock: int) -> None:
    """Remove the folder of a lab whose processes are gone, as long as it holds the lock that is given."""
    # Not base_folder(): whoever has taken a user namespace has become root, to whom other labs belong.
    with _locked(os.path.dirname(folder)):
        if is_whole(folder, lock):
            shutil.rmtree(folder, ignore_errors=True)


def clear_dead() -> None:
    """Remove what labs that were killed have left."""
    base = base_folder()
    if os.path.isdir(base):
        with _locked(base):
            _clear(base)


def _clear(base: str) -> None:
    for name in os.listdir(base):
        if _is_dead(f"{base}/{name}"):
            shutil.rmtree(f"{base}/{name}", ignore_errors=True)


def _is_dead(folder: str) -> bool:
    """Whether nobody holds the lock; the processes of a keeper that was killed are waited for."""
    try:
        with open(f"{folder}/lock", "rb") as lock:
            deadline = time.monotonic() + DYING_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.seek(0)
                    pid, _, started = lock.read().decode().partition(" ")
                    if not pid or started_at(int(pid)) == started or time.monotonic() > deadline:
                        return False
                    time.sleep(0.005)
                else:
                    return True
    except (FileNotFoundError, NotADirectoryError):
        return True


def started_at(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks since boot; None for one that has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def running() -> list[LabState]:
    """Return the labs that are up or being raised, by name; dead ones are cleared away first."""
    clear_dead()
    base = base_folder()
    found = []
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else ():
        try:
            with open(f"{base}/{name}/state.json", encoding="utf-8") as file:
                values = json.load(file)
        except OSError:
            continue  # it has only begun, or is just being removed
        hosts = tuple(
            HostState(**{**host, "addresses": tuple((network, address) for network, address in host["addresses"])})
            for host in values.pop("hosts")
        )
        services = tuple(
            ServiceState(**{**service, "transports": tuple(service["transports"])})
            for service in values.pop("services")
        )
        found.append(LabState(**values, hosts=hosts, services=services))
    return found


def find(name: str | None = None) -> LabState:
    """Return the lab of that name, or the only one. Raises BadQuestion that says what to do."""
    labs = running()
    named = [lab for lab in labs if name in (None, lab.name)]
    if len(named) == 1:
        return named[0]
    every = ", ".join(lab.name for lab in labs)
    if not labs:
        raise BadQuestion(N_("no lab is up; portbook lab list shows what portbook lab up can raise"))
    if name is None:
        raise BadQuestion(N_("several labs are up: {names}; say which with --lab NAME"), names=every)
    raise BadQuestion(N_("no lab {name} is up; there are: {names}"), name=name, names=every)


def scenarios(translated: Callable[[str], str] = str) -> Table:
    """Return the scenarios that ship and those of the labs that are up, with these labs' names and hosts.

    `translated` gives the title of one that ships in the reader's language.
    """
    from portbook.lab.packages import lacking
    from portbook.lab.plan_file import all_shipped

    labs = running()
    titles: dict[str, tuple[str, tuple[str, ...]]] = {lab.scenario: (lab.title, ()) for lab in labs}
    titles = {one.name: (one.title, lacking(one)) for one in all_shipped()} | titles
    rows = []
    for name, (title, wanted) in titles.items():
        mine = [lab for lab in labs if lab.scenario == name]
        hosts = dict.fromkeys(host.name for lab in mine for host in lab.hosts)
        rows.append((name, translated(title), tuple(lab.name for lab in mine), tuple(hosts), wanted))
    return Table.from_rows(SCENARIO_COLUMNS, rows)
