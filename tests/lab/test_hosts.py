"""The hosts of a lab from inside: what they see of the machine, and commands with and without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

from portbook.lab import hosts
from tests.lab.conftest import SOON, Lab, Raise, children, eventually
from tests.lab.plans import echo, two_hosts


def test_a_host_sees_no_daemon_and_no_other_lab_of_the_machine(lab: Raise) -> None:
    other = lab(two_hosts())
    up = lab(two_hosts(echo("word")))
    for name in ("client", "server"):
        assert up[name].run("ls", "/run").stdout == "lab\n"
        assert other.state.name not in up[name].run("ls", "-R", "/run").stdout
    # Its own folder is there, as others outside have it.
    inside = up["server"].run("ls", "/run/lab").stdout.split()
    assert sorted(inside) == sorted(os.listdir(up.state.folder))
    # What one host writes into its /run the other does not see.
    up["client"].run("touch", "/run/mark")
    assert up["server"].run("ls", "/run").stdout == "lab\n"
    assert not os.path.exists("/run/mark")


def test_a_host_sees_its_own_interfaces_only(lab: Raise) -> None:
    up = lab(two_hosts())
    if os.geteuid():
        pytest.skip("a container's root may not mount a /sys of its own")
    assert sorted(up["server"].run("ls", "/sys/class/net").stdout.split()) == ["eth0", "lo"]


def test_a_command_is_where_the_caller_is(lab: Raise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up = lab(two_hosts())
    monkeypatch.chdir(tmp_path)
    assert up["client"].run("pwd").stdout == f"{tmp_path}\n"
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert up["client"].run("true").returncode == 0


def test_a_command_without_a_terminal_reads_and_writes_as_outside(lab: Raise) -> None:
    up = lab(two_hosts())
    done = up["client"].run("sh", "-c", "cat; echo words >&2; test -t 0 || echo none", input="text\n")
    assert (done.stdout, done.stderr) == ("text\nnone\n", "words\n")
    # There may be nothing to read from at all.
    closed = f"{exec_command(up, 'sh', '-c', ':')} <&-"
    assert subprocess.run(["sh", "-c", closed], check=False).returncode == 0


def test_a_command_that_becomes_a_daemon_stays_until_the_lab_ends(lab: Raise) -> None:
    up = lab(two_hosts())
    before = children()
    daemon = "setsid sleep 1234567 < /dev/null > /dev/null 2>&1 & echo begun"
    done = up["client"].run("sh", "-c", daemon)
    assert (done.returncode, done.stdout) == (0, "begun\n")
    assert up["client"].run("pgrep", "-fc", "^sleep 1234567").stdout == "1\n"
    # It is the host's now, and nobody's out here.
    assert children() == before
    parent = up["client"].run("sh", "-c", "ps -o ppid= $(pgrep -f '^sleep 1234567')").stdout
    assert parent.strip() == "1"


class Terminal:
    """A terminal, the command that runs on it, and what has appeared and was not met yet."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.seen = ""

    def meet(self, until: str, typed: str = "") -> str:
        """Type something, and return what appears up to a text."""
        os.write(self.descriptor, typed.encode())
        deadline = time.monotonic() + SOON
        while until not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self.seen += os.read(self.descriptor, 4096).decode(errors="replace").replace("\r", "")
        before, _, self.seen = self.seen.partition(until)
        return before

    def foreground(self) -> str:
        """Return the name of the command that what is typed goes to."""
        try:
            return Path(f"/proc/{os.tcgetpgrp(self.descriptor)}/comm").read_text().strip()
        except OSError:
            return ""


@contextmanager
def terminal(*argv: str, rows: int = 33, columns: int = 77) -> Iterator[Terminal]:
    """Run a command on a terminal of its own, until it ends."""
    pid, descriptor = pty.fork()
    if not pid:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.environ.update(TERM="dumb", PS1="> ", LC_ALL="C.UTF-8")
            os.execv(argv[0], argv)
        finally:
            os._exit(127)
    try:
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)


BASH = which("bash") or ""
needs_bash = pytest.mark.skipif(not BASH, reason="there is no bash to control jobs with")


def exec_command(up: Lab, *command: str) -> str:
    argv = (sys.executable, "-m", "portbook", "lab", "exec", "--lab", up.state.name, "client", "--", *command)
    return shlex.join(argv)


@needs_bash
def test_a_shell_inside_has_the_terminal_and_controls_its_jobs(lab: Raise) -> None:
    up = lab(two_hosts())
    with terminal(BASH, "--norc", "-i") as here:
        here.meet("> ")
        here.meet("> ", f"{exec_command(up, BASH, '--norc', '-i')}\n")
        assert here.meet("> ", "hostname; stty size\n").split("\n")[1:3] == ["client", "33 77"]
        here.meet("> ", "sleep 500 &\n")
        assert "Running" in here.meet("> ", "jobs\n")
        here.meet("sleep 500\n", "fg\n")
        assert eventually(lambda: here.foreground() == "sleep")
        assert "Stopped" in here.meet("> ", "\x1a")
        here.meet("sleep 500\n", "fg\n")
        assert eventually(lambda: here.foreground() == "sleep")
        here.meet("> ", "\x03")
        assert here.meet("> ", "echo code $?\n").split("\n")[1] == "code 130"
        # Suspended, it gives the terminal back to the shell outside, and it is taken up again.
        assert "Stopped" in here.meet("> ", "suspend\n")
        here.meet("--norc -i\n", "fg\n")
        here.meet("> ")
        assert "client" in here.meet("> ", "hostname\n").split("\n")
        here.meet("> ", "exit 5\n")
        assert here.meet("> ", "echo code $?\n").split("\n")[1] == "code 5"
        here.meet("exit\n", "exit\n")


@needs_bash
def test_a_command_inside_is_a_job_of_the_shell_outside(lab: Raise) -> None:
    up = lab(two_hosts())

    def copying() -> bool:
        state = up["client"].run("sh", "-c", "ps -o state= -C cat").stdout.strip()
        return state == "S"

    with terminal(BASH, "--norc", "-i") as here:
        here.meet("> ")
        here.meet("cat\n", f"{exec_command(up, 'cat')}\n")
        assert eventually(copying)
        here.meet("a\na\n", "a\n")
        assert "Stopped" in here.meet("> ", "\x1a")
        assert not copying()
        here.meet("cat\n", "fg\n")
        assert eventually(copying)
        here.meet("b\nb\n", "b\n")
        here.meet("> ", "\x03")
        assert here.meet("> ", "echo code $?\n").split("\n")[1] == "code 130"
        here.meet("exit\n", "exit\n")


@needs_bash
def test_a_script_has_its_terminal_back_after_a_shell_inside(lab: Raise) -> None:
    up = lab(two_hosts())
    # A shell that controls no jobs takes back no terminal by itself.
    script = exec_command(up, "env", "PS1=> ", BASH, "--norc", "-i") + "; read line; echo got $line"
    with terminal(BASH, "--norc", "-c", script) as here:
        here.meet("> ")
        here.meet("exit\n", "exit\n")
        here.meet("got harbour\n", "harbour\n")


def test_the_size_of_the_terminal_follows(lab: Raise) -> None:
    up = lab(two_hosts())
    resized = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    pid, descriptor = pty.fork()
    if not pid:
        try:
            os._exit(hosts.enter(up.state, "client", ["sh", "-c", resized]))
        finally:
            os._exit(127)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(descriptor, 4096)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 55, 0, 0))
    while b"44 55" not in seen:
        seen += os.read(descriptor, 4096)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(descriptor)
    assert eventually(lambda: up["client"].run("pgrep", "-c", "sh").stdout == "0\n")
