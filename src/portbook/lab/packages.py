"""The Debian packages of the servers: which are missing, and how they are installed without starting anything."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from shutil import which

from portbook.errors import N_, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POLICY = "/usr/sbin/policy-rc.d"
"""What the installation of a Debian package asks whether it may start a daemon; 101 is no."""


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Return those of the packages that are not installed. Raises Unavailable on a system without dpkg."""
    program = which("dpkg-query")
    if program is None:
        raise Unavailable(
            N_("this is no Debian; install what provides the packages {packages} there"), packages=" ".join(packages)
        )
    return tuple(package for package in packages if not _is_installed(program, package))


def _is_installed(program: str, package: str) -> bool:
    done = subprocess.run(  # noqa: S603
        [program, "-W", "-f", "${Status}", package], capture_output=True, check=False
    )
    return done.stdout.endswith(b"ok installed")


def install_command(packages: Sequence[str]) -> tuple[str, ...]:
    """Return the command that installs them."""
    return ("apt-get", "install", "-y", "--no-install-recommends", *packages)


def install(packages: Sequence[str]) -> None:
    """Install packages, with apt-get's own output; none of their daemons is started. Raises Unavailable."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_daemons():
        try:
            code = subprocess.call(install_command(packages), env=environ)  # noqa: S603
        except OSError as error:
            raise Unavailable(N_("apt-get cannot be run: {reason}"), reason=error.strerror) from error
    if code:
        raise Unavailable(N_("apt-get ended with exit code {code}; apt-get update may be needed first"), code=code)


@contextmanager
def _no_daemons() -> Iterator[None]:
    try:
        descriptor = os.open(_POLICY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        yield  # the machine's own policy holds
        return
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit 101\n")
        yield
    finally:
        os.unlink(_POLICY)
