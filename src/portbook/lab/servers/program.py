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
from shutil import which

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.lab.scenario import ServicePlan

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games"


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

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages that it needs."""
        return (self.package, *self.also)


def installed(name: str) -> str | None:
    """Return the path of a program, None where it is not installed."""
    return which(name, path=f"{PATH}:{os.environ.get('PATH', '')}")


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
    return version("dpkg-query", "-W", "-f", "${Version}", package, pattern=r"^(?:\d+:)?([\w.]+)")


def may_become_others() -> bool:
    """Return whether the user namespace has more than one user."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file) > 1


def has_ipv6() -> bool:
    """Return whether the kernel has IPv6."""
    return os.path.exists("/proc/net/if_inet6")


def addresses(service: ServicePlan) -> tuple[str, ...]:
    """Return the addresses that a service listens on: its own, else the unspecified one of each family."""
    if service.address is not None:
        return (service.address,)
    return ("0.0.0.0", "::") if has_ipv6() else ("0.0.0.0",)  # noqa: S104 - reached in the lab only


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
