"""A server as the lab runs it: its program, its private files, and the places that it finds changed.

A server runs in the foreground, from a configuration and with its data in a folder of its own. What it wants to find
at fixed places is put there for it alone, in a mount namespace of its own. Which servers there are is left to the
other modules here.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from glob import glob
from shutil import which

from portbook.errors import N_, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.lab.scenario import ServicePlan

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games"

_APART = ("/usr/lib/postgresql/*/bin", "/usr/lib/news/bin")
"""Where Debian keeps servers of which several versions may be installed, or which nobody is to run by hand."""


@dataclass(frozen=True)
class Program:
    """How a service is run: `commands` first, one after the other, then `argv`, which stays in the foreground.

    `files` are pairs of a path within the service's folder and its text, written before. The folder is the working
    directory of all. `empty` are directories that these processes find empty and may write to, `binds` pairs of a
    path within the folder and the path that shows it to them; both must exist on the machine. `user` is whom they
    run as where it is not root, and whose the folder is then. `ready` is the path of a file within the folder that
    appears when the service is ready, for one that cannot be asked.
    """

    argv: tuple[str, ...]
    version: str | None
    files: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    empty: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    ready: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A real server: its program, the product it is, its Debian package, and how it is run.

    `prepare` is given the path of the program, the plan and the service's folder. `also` are the packages of other
    programs that are needed.
    """

    name: str
    product: str
    package: str
    prepare: Callable[[str, ServicePlan, str], Program]
    also: tuple[str, ...] = ()
    needs_users: bool = False
    """Whether it must become another user, which a user namespace of one user does not let it."""
    needs: tuple[str, ...] = ()
    """The names of other programs, or the paths of other files, without which it cannot be run."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages that it needs."""
        return (self.package, *self.also)


def installed(name: str) -> str | None:
    """Return the path of a program, None where it is not installed. Of several versions it is the newest.

    A name that is a path stands for that file.
    """
    if name.startswith("/"):
        return name if os.path.exists(name) else None
    apart = [path for pattern in _APART for path in sorted(glob(pattern), key=_numbers, reverse=True)]
    return which(name, path=":".join((PATH, os.environ.get("PATH", ""), *apart)))


def _numbers(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


@cache
def version(*command: str, pattern: str = r"\d+\.\d+[\w.]*") -> str | None:
    """Return what a program tells of its version: the first match of `pattern`, or its first group."""
    try:
        told = subprocess.run(  # noqa: S603 - a program of a Candidate
            command, capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(pattern.encode(), told.stdout + told.stderr)
    return found[found.re.groups and 1].decode() if found else None


@cache
def package_version(package: str) -> str | None:
    """Return the upstream version of an installed Debian package, for a program that does not tell its own."""
    return version("dpkg-query", "-W", "-f", "${Version}", package, pattern=r"^(?:\d+:)?(\d[\w.]*)")


def may_become_others() -> bool:
    """Return whether the user namespace has more than one user."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file) > 1


def user_among(*names: str) -> str | None:
    """Return the first of these users that there is, else nobody; None where there is nobody else to become."""
    if not may_become_others():
        return None
    import pwd

    known = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in names if name in known), "nobody")


def insist_on_port(service: ServicePlan, program: str, port: int) -> None:
    """Raise Unavailable where a service is to have another port than the only one that its program serves."""
    if service.port != port:
        raise Unavailable(
            N_("{service} cannot have port {port}: {program} has port {only} only; choose another program for it"),
            service=service.name,
            port=service.port,
            program=program,
            only=port,
        )


def has_ipv6() -> bool:
    """Return whether the kernel has IPv6."""
    return os.path.exists("/proc/net/if_inet6")


def addresses(service: ServicePlan) -> tuple[str, ...]:
    """Return the addresses that a service listens on: its own, else the unspecified one of each family."""
    if service.address is not None:
        return (service.address,)
    return ("0.0.0.0", "::") if has_ipv6() else ("0.0.0.0",)  # noqa: S104 - reached in the lab only


def addresses_apart(service: ServicePlan) -> tuple[str, ...]:
    """Return the same for a server whose socket of `::` would take IPv4 too: of IPv6 each address of its host."""
    if service.address is not None or not has_ipv6():
        return addresses(service)
    own = [address for host in service.hosts if host.name == service.host for _, address in host.addresses]
    return ("0.0.0.0", "::1", *(address.partition("/")[0] for address in own if ":" in address))  # noqa: S104 - likewise


def bracketed(address: str) -> str:
    """Return an address as it stands before a port: IPv6 in brackets (RFC 3986, section 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def certificate(service: ServicePlan, folder: str) -> tuple[str, ...]:
    """Return the command that makes `key.pem` and a self-signed `certificate.pem` in a folder, for TLS.

    It names the host and is valid for a year.
    """
    return (
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem", "-days", "365"),
        *("-subj", f"/O=portbook lab/CN={service.host}", "-addext", f"subjectAltName=DNS:{service.host}"),
    )
