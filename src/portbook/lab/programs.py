"""Which programs serve and ask: the real servers of each kind in order of preference, and how each is run.

A server runs in the foreground from a private configuration in a folder of its own, and gives up its rights itself
once it has its port. Where no real one is installed, or the plan asks for what only ours can do, it is serve.py's.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from portbook.errors import N_, Unavailable
from portbook.lab.scenario import SERVICE_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.lab.scenario import ClientPlan, Scenario, ServicePlan

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Program:
    """How a service is run: `commands` first, one after the other, then `argv`, which stays in the foreground.

    `files` are pairs of a path within the service's folder and its text, written before. The folder is the working
    directory of all.
    """

    name: str
    version: str | None
    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A real server: its program, its Debian package, and how it is run."""

    name: str
    package: str
    prepare: Callable[[str, ServicePlan, str], Program]
    needs_nobody: bool = False
    """Whether it must become another user, which a user namespace of one user does not let it."""


def program_for(service: ServicePlan, folder: str, name: str | None = None) -> Program:
    """Return how a service is run from its private folder: by the first installed candidate.

    `name` chooses one. Raises Unavailable when it is not installed, or knows no such service.
    """
    # A real server has its own mind about these.
    ours = any(value is not SERVICE_OPTIONS[option] for option, value in service.options)
    for candidate in CANDIDATES.get(service.kind, ()):
        if name not in (None, candidate.name) or (ours and name is None):
            continue
        path = _installed(candidate.name)
        if path is not None and not (candidate.needs_nobody and not _may_become_nobody()):
            return candidate.prepare(path, service, folder)
    if name not in (None, "python"):
        raise Unavailable(
            N_("{name} is not installed, or does not serve {kind}; portbook lab install names the packages"),
            name=name,
            kind=service.kind,
        )
    return _ours(service)


def packages(scenario: Scenario) -> tuple[str, ...]:
    """Return the Debian packages of the preferred servers of a scenario, and of what its network needs."""
    named = [CANDIDATES[service.kind][0].package for service in scenario.services if service.kind in CANDIDATES]
    routed = scenario.rules or scenario.published or any(host.masquerade for host in scenario.hosts)
    return tuple(dict.fromkeys(["iproute2", *(["nftables"] if routed else []), *named]))


def client_argv(plan: ClientPlan, address: str) -> tuple[str, ...]:
    """Return the command that holds a plan's conversations with a server's address; see talk.main."""
    options = ["--transport", plan.transport, "--count", str(plan.count)]
    if plan.source_port is not None:
        options += ["--source-port", str(plan.source_port)]
    if plan.hold:
        options.append("--hold")
    return (sys.executable, "-m", "portbook.lab.talk", plan.kind, address, str(plan.port), *options)


def _installed(name: str) -> str | None:
    from shutil import which

    return which(name, path=f"{_PATH}:{os.environ.get('PATH', '')}")


def _version(*command: str) -> str | None:
    """Return the first number with dots that a program tells of itself."""
    import re
    import subprocess

    try:
        told = subprocess.run(command, capture_output=True, timeout=10, check=False)  # noqa: S603 - of CANDIDATES
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"\d+\.\d+[\w.]*", told.stdout + told.stderr)
    return found[0].decode() if found else None


def _ours(service: ServicePlan) -> Program:
    options = [f"--{'' if value else 'no-'}{option.replace('_', '-')}" for option, value in service.options]
    where = [] if service.address is None else ["--address", service.address]
    version = ".".join(map(str, sys.version_info[:3]))
    what = [service.kind, "--name", service.name, "--port", str(service.port), "--transport", service.transport]
    return Program("python", version, (sys.executable, "-m", "portbook.lab.serve", *what, *where, *options))


def _listens(service: ServicePlan) -> list[str]:
    """Return the addresses to listen on as most configurations write them."""
    if service.address is None:
        return ["*", "[::]"] if os.path.exists("/proc/net/if_inet6") else ["*"]
    return [f"[{service.address}]" if ":" in service.address else service.address]


def _nginx(path: str, service: ServicePlan, folder: str) -> Program:
    listens = " ".join(f"listen {address}:{service.port};" for address in _listens(service))
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Where there is nobody else, its folders stay root's, and no worker is started that would change its user.
    user = "user nobody nogroup;" if _may_become_nobody() else "user root root; master_process off;"
    body = f'default_type text/plain; return 200 "Here is {service.name}.\\n";'
    text = (
        f"daemon off; {user} worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {temporary} keepalive_timeout 1d; keepalive_requests 1000000;\n"
        f"  server {{ {listens} location / {{ {body} }} }} }}\n"
    )
    return Program(
        "nginx",
        _version(path, "-v"),
        (path, "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf"),
        (("nginx.conf", text),),
    )


def _sshd(path: str, service: ServicePlan, folder: str) -> Program:
    """Run sshd; the folder /run/sshd, which it wants empty, it finds in a mount namespace of its own."""
    # A plain `Port` listens on every address of both families.
    listens = [f"Port {service.port}"]
    if service.address is not None:
        listens = [f"ListenAddress {address}:{service.port}" for address in _listens(service)]
    quiet = ("PidFile none", "UsePAM no", "PasswordAuthentication no", "AuthorizedKeysFile none")
    patient = ("LoginGraceTime 0", "MaxStartups 10000")
    text = "\n".join((*listens, "HostKey /mnt/host_key", *quiet, *patient, ""))
    alone = (
        'mount --bind "$1" /mnt && mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd'
        ' && exec "$2" -D -e -f /mnt/sshd_config'
    )
    return Program(
        "sshd",
        _version(path, "-V"),
        ("unshare", "--mount", "sh", "-c", alone, "sh", folder, path),
        (("sshd_config", text),),
        (("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/host_key"),),
    )


def _may_become_nobody() -> bool:
    """Return whether the user namespace has more than one user."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file) > 1


CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    "http": (Candidate("nginx", "nginx-light", _nginx),),
    "ssh": (Candidate("sshd", "openssh-server", _sshd, needs_nobody=True),),
}
"""The real servers of each kind, the preferred one first."""
