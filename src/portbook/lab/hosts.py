"""The hosts of a lab: a process as init of each, in namespaces of its own, and commands that run inside.

A host has a name, processes, mounts and a network of its own, and shares the files of the machine. How its network
is joined to others is left to network.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress

from portbook.errors import N_, BadQuestion, Unavailable
from portbook.lab import namespaces
from portbook.lab.network import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from subprocess import CompletedProcess, Popen
    from typing import Any, NoReturn

    from portbook.lab.scenario import HostPlan, Scenario
    from portbook.lab.state import LabState


FOLDER = "/run/lab"
"""Where a host finds its lab's folder: a short path, since that of a UNIX socket has 107 bytes (unix(7))."""


def hosts_file(scenario: Scenario) -> str:
    """Return /etc/hosts of all hosts: every address with its host's name."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    for host in scenario.hosts:
        lines += [f"{address.partition('/')[0]} {host.name}" for _, address in host.addresses]
    return "\n".join(lines) + "\n"


def make_host(scenario: Scenario, host: HostPlan, names: str, kept: set[int]) -> tuple[int, int]:
    """Start a host's init; return its PID as the caller sees it, and as the caller's /proc does.

    `names` is the file that becomes its /etc/hosts, `kept` the descriptors that the init holds. It ends with the PID
    namespace of the caller. Raises Unavailable.
    """
    reading, writing = os.pipe()
    maker = os.fork()
    if not maker:
        try:
            namespaces.unshare(
                namespaces.NEW_PID
                | namespaces.NEW_NET
                | namespaces.NEW_MOUNTS
                | namespaces.NEW_UTS
                | namespaces.NEW_IPC
            )
            init = os.fork()
            if not init:
                _be_init(scenario, host, names, writing, {writing, *kept})
            os.write(writing, f"pid {init}\n".encode())
        except OSError as error:
            os.write(writing, f"failed {error}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        told = dict(line.rstrip("\n").split(" ", 1) for line in pipe)
    os.waitpid(maker, 0)
    if "failed" in told or "seen" not in told:
        raise Unavailable(
            N_("the host {host} could not be made: {reason}"), host=host.name, reason=told.get("failed", "killed")
        )
    return int(told["pid"]), int(told["seen"])


def _be_init(scenario: Scenario, host: HostPlan, names: str, writing: int, kept: set[int]) -> NoReturn:
    """Make this process the init of a host: furnish it, then reap what is orphaned until the end."""
    try:
        # Ignored, so that the kernel reaps the children.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        close_all_but(kept)
        seen = os.readlink("/proc/self")  # this /proc is still the machine's
        socket.sethostname(host.name)
        namespaces.set_process_name(f"init-{host.name}")
        namespaces.mount("none", "/", None, namespaces.MS_REC | namespaces.MS_PRIVATE)
        _hide_machine(os.path.dirname(names))
        if os.path.exists("/etc/hosts"):
            namespaces.mount(f"{FOLDER}/{os.path.basename(names)}", "/etc/hosts", None, namespaces.MS_BIND)
        quiet = namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC
        namespaces.mount("proc", "/proc", "proc", quiet)
        for path, text in settings(scenario, host).items():
            if os.path.exists(f"/proc/sys/net/{path}"):
                with open(f"/proc/sys/net/{path}", "w", encoding="utf-8") as file:
                    file.write(text)
        os.chdir("/")
        os.write(writing, f"seen {seen}\n".encode())
        os.close(writing)
        while True:
            signal.pause()
    except OSError as error:
        os.write(writing, f"failed {error}\n".encode())
    finally:
        os._exit(1)


def _hide_machine(lab: str) -> None:
    """Give the host a /run and a /sys of its own, so that it meets no daemon and no interface of the machine.

    In this /run it finds the folder of the lab.
    """
    held = os.open(lab, os.O_PATH | os.O_DIRECTORY)
    namespaces.mount_empty("/run")
    os.mkdir(FOLDER)
    namespaces.mount(f"/proc/self/fd/{held}", FOLDER, None, namespaces.MS_BIND)
    os.close(held)
    try:
        namespaces.mount("sysfs", "/sys", "sysfs", namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC)
    except OSError:
        return  # a container's root may not; what it sees there is then the machine's


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor but the standard three and these."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # that of the list itself


@contextmanager
def inside(state: LabState, host: str) -> Iterator[Callable[[], None]]:
    """Give what `subprocess` takes as its `preexec_fn` to run a command inside a host. Raises BadQuestion."""
    found = state.host(host)
    try:
        with namespaces.entry(found.pid, found.inode) as entered:
            yield entered
    except ProcessLookupError as error:
        raise Unavailable(
            N_("the host {host} of the lab {lab} has ended; portbook lab down {lab} ends the rest"),
            host=host,
            lab=state.name,
        ) from error


def run(state: LabState, host: str, argv: Sequence[str], **options: Any) -> CompletedProcess[str]:
    """Run a command inside a host and return what it said, as text; `options` are those of subprocess.run.

    Raises BadQuestion for a host that there is not, OSError for a command, TimeoutExpired.
    """
    with inside(state, host) as entered:
        return subprocess.run(  # noqa: S603
            list(argv),
            **{"capture_output": True, "check": False, **options},
            text=True,
            preexec_fn=entered,
        )


def spawn(state: LabState, host: str, argv: Sequence[str], **options: Any) -> Popen[str]:
    """Start a command inside a host; `options` are those of subprocess.Popen. Raises as `run` does."""
    with inside(state, host) as entered:
        return subprocess.Popen(list(argv), **options, text=True, preexec_fn=entered)  # noqa: S603


def enter(state: LabState, host: str, argv: Sequence[str]) -> int:
    """Run a command inside a host with this process's terminal; return its exit code as a shell counts it.

    Raises BadQuestion where the host or the command is not there.
    """
    terminal = _terminal()
    held = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        with inside(state, host) as entered:
            code = subprocess.call(list(argv), preexec_fn=entered)  # noqa: S603
    except OSError as error:
        raise BadQuestion(
            N_("{command} cannot be run on {host}: {reason}"), command=argv[0], host=host, reason=error.strerror
        ) from error
    finally:
        if terminal is not None:
            # A shell inside cannot give it back: to it there is no process group out here.
            held[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            with suppress(OSError):  # it may have been hung up
                os.tcsetpgrp(terminal, os.getpgrp())
        for number, handler in held.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _terminal() -> int | None:
    """Return the descriptor of the terminal that this process is in the foreground of."""
    for descriptor in range(3):
        try:
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                return descriptor
        except OSError:
            continue  # it is no terminal, or that of others
    return None
