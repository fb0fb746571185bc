"""The Debian packages of a scenario: which are missing, and how they are installed without starting anything.

Which packages a server needs is said where the server is, in the modules of servers/.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from shutil import which

from portbook.errors import N_, Unavailable
from portbook.lab.network import needed_packages
from portbook.lab.programs import ours_may_serve, packages_of, present_for
from portbook.lab.servers.program import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portbook.lab.scenario import Scenario

_POLICY = "/usr/sbin/policy-rc.d"
"""What the installation of a Debian package asks whether it may start a daemon; 101 is no."""

_MARK = b"# Made by portbook lab install, and void once that has ended.\n"


def lacking(scenario: Scenario) -> tuple[str, ...]:
    """Return the packages without which a scenario cannot be raised here; of several servers the preferred one's."""
    wanted = [package for name, package in needed_packages(scenario).items() if installed(name) is None]
    for service in scenario.services:
        if not (service.optional or ours_may_serve(service) or present_for(service)):
            wanted += packages_of(service)
    return tuple(dict.fromkeys(wanted))


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
    """Return the command that installs them, and that removes no other package for them."""
    return ("apt-get", "install", "-y", "--no-install-recommends", "--no-remove", *packages)


def install(packages: Sequence[str]) -> None:
    """Install packages, with apt-get's own output; none of their daemons is started, and no package is removed.

    Raises Unavailable, with the packages that they conflict with where it is that.
    """
    with _no_daemons(), _inn_settings() as inn:
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "INNCONF": inn}
        try:
            code = subprocess.call(install_command(packages), env=environ)  # noqa: S603
        except OSError as error:
            raise Unavailable(N_("apt-get cannot be run: {reason}"), reason=error.strerror) from error
    if not code:
        return
    if conflicting := _conflicting(packages):
        raise Unavailable(
            N_(
                "nothing was installed: {packages} cannot be installed beside {conflicting}; remove these yourself,"
                " or name another server by its program = in a scenario of your own"
            ),
            packages=", ".join(packages),
            conflicting=", ".join(conflicting),
        )
    raise Unavailable(N_("apt-get ended with exit code {code}; apt-get update may be needed first"), code=code)


def _conflicting(packages: Sequence[str]) -> list[str]:
    """Return the installed packages that apt-get would remove for these."""
    command = ("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    told = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, errors="replace", check=False, env={**os.environ, "LC_ALL": "C"}
    )
    return re.findall(r"^Remv (\S+)", told.stdout, re.MULTILINE)


@contextmanager
def _inn_settings() -> Iterator[str]:
    """Give the path of a configuration of INN with which its package can be installed, for as long as that takes.

    Its own has no domain, and on a machine without one in its name the installation would end there.
    """
    from tempfile import NamedTemporaryFile

    paths = {"news": "/usr/lib/news", "bin": "/usr/lib/news/bin", "etc": "/etc/news", "db": "/var/lib/news"}
    paths |= {"spool": "/var/spool/news", "run": "/run/news", "log": "/var/log/news"}
    settings = {"mta": "/bin/false", "domain": "lab.test", "hismethod": "hisv6", "ovmethod": "tradindexed"}
    settings |= {f"path{name}": path for name, path in paths.items()}
    with NamedTemporaryFile("w", prefix="portbook-inn-", encoding="ascii") as file:
        file.writelines(f"{name}: {value}\n" for name, value in settings.items())
        file.flush()
        os.chmod(file.name, 0o644)  # the user news reads it
        yield file.name


@contextmanager
def _no_daemons() -> Iterator[None]:
    """Have the machine start no daemon meanwhile; what a killed installation leaves behind says nothing any more."""
    try:
        with open(_POLICY, "rb") as file:
            if _MARK not in file.read(4096):
                yield  # the machine's own policy holds
                return
    except FileNotFoundError:
        pass
    descriptor = os.open(_POLICY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755)
    try:
        with os.fdopen(descriptor, "wb") as made:
            made.write(b"#!/bin/sh\n" + _MARK + b"test ! -d /proc/%d || exit 101\n" % os.getpid())
        yield
    finally:
        os.unlink(_POLICY)
