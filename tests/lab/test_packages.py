"""The packages of scenarios: what is missing, and an apt-get that is no real one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from portbook.errors import Unavailable
from portbook.lab import packages, programs
from portbook.lab.programs import CANDIDATES
from portbook.lab.scenario import ServicePlan
from tests.lab.plans import echo, two_hosts

Apt = Callable[[str], Path]


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    """Put a script in the place of apt-get, and the machine's policy elsewhere; gives the file that it may write."""
    monkeypatch.setattr(packages, "_POLICY", str(tmp_path / "policy-rc.d"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(script: str) -> Path:
        fake = tmp_path / "apt-get"
        fake.write_text(f'#!/bin/sh\ntold="{tmp_path}/told" policy="{tmp_path}/policy-rc.d"\n{script}\n')
        fake.chmod(0o755)
        return tmp_path / "told"

    return install


def test_no_other_package_is_removed_and_no_daemon_started(apt: Apt, tmp_path: Path) -> None:
    told = apt('"$policy"; test $? -eq 101 && echo "$DEBIAN_FRONTEND $@" > "$told"')
    packages.install(("one", "two"))
    assert told.read_text() == "noninteractive install -y --no-install-recommends --no-remove one two\n"
    assert not (tmp_path / "policy-rc.d").exists()


def test_the_machines_own_policy_holds(apt: Apt, tmp_path: Path) -> None:
    told = apt('cat "$policy" > "$told"')
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    packages.install(("one",))
    assert told.read_text() == policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_what_a_killed_installation_has_left_holds_nobody_back(apt: Apt, tmp_path: Path) -> None:
    told = apt('cp "$policy" "$told"')
    packages.install(("one",))
    left = tmp_path / "policy-rc.d"
    gone = subprocess.Popen(["true"])
    gone.wait()
    left.write_text(told.read_text().replace(f"/proc/{os.getpid()} ", f"/proc/{gone.pid} "))
    left.chmod(0o755)
    assert subprocess.run([str(told)], check=False).returncode == 101
    assert subprocess.run([str(left)], check=False).returncode == 0
    # The next takes its place, and holds.
    told = apt('"$policy"; echo $? > "$told"')
    packages.install(("one",))
    assert told.read_text() == "101\n"
    assert not left.exists()


CONFLICT = """
case "$*" in
*--simulate*--no-remove*) exit 100;;
*--simulate*)
    echo 'Remv postfix [3.7] [inn2:amd64 ]'
    echo 'Remv vsftpd [3.0]'
    echo 'Inst exim4 (4.96 Debian:12 [amd64])';;
*) echo 'E: Packages need to be removed but remove is disabled.' >&2; exit 100;;
esac
"""


def test_packages_that_conflict_are_named(apt: Apt, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    apt(CONFLICT)
    with pytest.raises(Unavailable, match=r"exim4 cannot be installed beside postfix, vsftpd; remove these yourself"):
        packages.install(("exim4",))
    assert not (tmp_path / "policy-rc.d").exists()
    # What apt-get itself has said is there to be read; what was only asked of it is not.
    assert capfd.readouterr() == ("", "E: Packages need to be removed but remove is disabled.\n")


def test_another_failure_is_told_by_its_code(apt: Apt) -> None:
    apt("exit 100")
    with pytest.raises(Unavailable, match=r"exit code 100; apt-get update may be needed"):
        packages.install(("one",))


def test_a_machine_without_apt_or_dpkg_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_POLICY", str(tmp_path / "policy-rc.d"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="apt-get cannot be run: No such file"):
        packages.install(("one",))
    with pytest.raises(Unavailable, match="this is no Debian; install what provides the packages one two there"):
        packages.missing(("one", "two"))


def test_packages_that_are_not_installed_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "dpkg-query"
    fake.write_text(
        "#!/bin/sh\ncase $4 in\n"
        "here) printf 'install ok installed';;\nremoved) printf 'deinstall ok config-files';;\n"
        "*) echo 'dpkg-query: no packages found' >&2; exit 1;;\nesac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert packages.missing(("here", "removed", "unknown")) == ("removed", "unknown")


def test_a_scenario_lacks_only_what_nothing_else_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    present: set[str] = set()
    for module in (packages, programs):
        monkeypatch.setattr(module, "installed", lambda name: name if name in present else None)
    rdp, *_ = CANDIDATES["rdp"]
    plan = two_hosts(
        echo("word"), ServicePlan("web", "server", "http", 80), ServicePlan("far", "server", "rdp", 3389)
    )
    assert packages.lacking(plan) == ("iproute2", *rdp.packages)
    present |= {rdp.name, *rdp.needs}
    assert packages.lacking(plan) == ("iproute2",)
    present.add("ip")
    assert packages.lacking(plan) == ()
    # What may be left out is not lacking.
    spare = two_hosts(ServicePlan("far", "server", "mysql", 3306, optional=True))
    assert packages.lacking(spare) == ()
    nginx = two_hosts(ServicePlan("web", "server", "http", 80, program="nginx"))
    assert packages.lacking(nginx) == ("nginx-light",)
