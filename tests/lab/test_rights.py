"""Labs of users who are not root, and interpreters that are not read once root's rights have been given up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import portbook
from portbook.errors import Unavailable
from portbook.lab import keeper, namespaces
from portbook.lab.programs import OURS
from portbook.lab.servers.program import installed
from portbook.lab.state import base_folder
from tests.lab.plans import two_hosts
from tests.lab.telling import NO_NAMESPACES
from tests.linux.children import ChildError, drop_rights, in_child, needs_root

SOURCE = Path(portbook.__file__).parents[1]
TESTS = Path(__file__).parents[2]


def tell(*arguments: str, mode: int, unprivileged: bool) -> tuple[int, str]:
    """Run telling.py with the interpreter and the package in a folder of that mode, as nobody if `unprivileged`.

    Return its exit code and what it said. Only the process that runs it sees that folder filled.
    """
    folder = tempfile.mkdtemp()

    def inside() -> tuple[int, str]:
        namespaces.unshare(namespaces.NEW_MOUNTS)
        namespaces.mount("none", "/", None, namespaces.MS_REC | namespaces.MS_PRIVATE)
        namespaces.mount("tmpfs", folder, "tmpfs", 0, f"mode={mode:o}")
        for source, name in ((sys.base_prefix, "prefix"), (str(SOURCE), "source"), (str(TESTS), "tests")):
            os.mkdir(f"{folder}/{name}")
            namespaces.mount(source, f"{folder}/{name}", None, namespaces.MS_BIND | namespaces.MS_REC)
        interpreter = Path(os.path.realpath(sys.executable)).relative_to(os.path.realpath(sys.base_prefix))
        done = subprocess.run(
            [f"{folder}/prefix/{interpreter}", "-m", "tests.lab.telling", *arguments],
            cwd="/",
            env={
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": f"{folder}/source:{folder}/tests",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=drop_rights if unprivileged else None,
        )
        return done.returncode, done.stderr

    try:
        code, said = in_child(inside)
    finally:
        os.rmdir(folder)  # the mounts over it were the child's
    return code, said


@needs_root
@pytest.mark.parametrize("servers", [(), ("ours",)], ids=["installed", "ours"])
@pytest.mark.parametrize("name", ["web-ftp", "port-conflict", "closed-doors"])
def test_scenarios_are_raised_without_root(name: str, servers: tuple[str, ...]) -> None:
    if not servers and installed("nginx") is None:
        pytest.skip("nginx is not installed")
    code, said = tell(name, f"test-{os.getpid()}-{name}", *servers, mode=0o755, unprivileged=True)
    if code == NO_NAMESPACES:
        pytest.skip(f"no lab can be raised without root here: {said}")
    assert (code, said) == (0, "")


@needs_root
@pytest.mark.parametrize("kind", OURS)
def test_our_servers_give_up_rights_though_nobody_may_read_the_interpreter(kind: str) -> None:
    if kind == "https" and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    name = f"test-{os.getpid()}-{kind}"
    assert tell(kind, name, "ours", mode=0o700, unprivileged=False) == (0, "")
    # Nobody may not, indeed.
    with pytest.raises(ChildError, match="PermissionError"):
        tell(kind, name, "ours", mode=0o700, unprivileged=True)


def refused_to_nobody() -> str:
    """Return what nobody is told in a user namespace that may have no others in it."""
    reading, writing = os.pipe()
    mapped, mapping = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            namespaces.unshare(namespaces.NEW_USER)
            os.write(writing, b"\n")
            os.read(mapped, 1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            # The limit is this namespace's own, and binds nobody else.
            Path("/proc/sys/user/max_user_namespaces").write_text("0")
            os.environ.pop("XDG_RUNTIME_DIR", None)
            drop_rights()
            namespaces.be_readable()
            name = f"test-{os.getpid()}-refused"
            try:
                keeper.up(two_hosts(), name=name)
            except Unavailable as error:
                left = os.path.exists(f"{base_folder()}/{name}")
                os.write(writing, f"{error}{' (and left its folder)' * left}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 0 65536")
    os.write(mapping, b"\n")
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(pid, 0)
    return said


@needs_root
def test_a_user_who_may_make_no_namespaces_is_told_so() -> None:
    assert in_child(refused_to_nobody) == (
        "this kernel lets this user make no namespaces (No space left on device); run as root, or have root allow it:"
        " see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and"
        " kernel.apparmor_restrict_unprivileged_userns"
    )
