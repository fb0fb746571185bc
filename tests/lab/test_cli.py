"""The verb `lab` as a reader meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portbook.cli.lab import ACTIONS
from portbook.lab import hosts, keeper, packages, state
from portbook.lab.scenario import Scenario, names
from tests.cli.conftest import Ask, ask, start
from tests.lab.conftest import SOON, Lab, eventually, unique
from tests.lab.plans import echo, two_hosts

__all__ = ["ask", "start"]

Raise = Callable[[str | Scenario], Lab]
PLAN = """
title = "Two hosts"
story = "They see each other."
[networks.net]
ipv4 = "192.0.2.0/24"
[hosts.client]
addresses = ["192.0.2.1"]
[hosts.server]
addresses = ["192.0.2.2"]
[services.word]
host = "server"
kind = "echo"
port = 7
"""


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command line as a process."""
    command = [sys.executable, "-m", "portbook", *arguments]
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_can_be_done_is_told(ask: Ask) -> None:
    answer = ask("lab", "--help")
    assert answer.code == 0
    assert all(f"portbook lab {action} " in answer.out for action in ACTIONS)
    for action in ACTIONS:
        answer = ask("lab", action, "--help")
        assert answer.code == 0
        assert f"portbook lab {action}" in answer.out
    answer = ask("lab")
    assert answer.code == 2
    assert all(action in answer.err for action in ACTIONS)
    assert ask("lab", "raise").code == 2


def test_the_list_has_every_scenario_and_what_is_up(ask: Ask, lab: Raise) -> None:
    up = lab(two_hosts())
    rows = json.loads(ask("lab", "list", "--format", "json").out)
    told = {row["scenario"]: row for row in rows}
    assert list(told)[: len(names())] == [name for name, _ in names()]
    assert up.state.name in told["two-hosts"]["labs"]
    assert told["two-hosts"]["title"] == "Two hosts"


def test_other_systems_are_told_what_they_lack(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    answer = ask("lab", "list")
    assert answer.code == 2
    assert "use a Linux machine" in answer.err
    assert ask("lab", "up", "--help").code == 0


def test_without_a_lab_every_verb_says_what_to_do(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "running", list)
    for arguments in (("show",), ("exec", "client", "--", "true"), ("cut", "client"), ("down",)):
        answer = ask("lab", *arguments)
        assert answer.code == 2
        assert "no lab is up; portbook lab list shows" in answer.err
    assert ask("lab", "down", "--all").code == 0


def test_a_lab_is_raised_from_a_file_shown_and_ended(start: Ask, lab: Raise, tmp_path: Path) -> None:
    lab(two_hosts())  # skips where there are no labs at all
    file = tmp_path / "mine.toml"
    file.write_text(PLAN)
    name = unique("mine")
    answer = start("lab", "up", str(file), "--lab", name)
    try:
        assert answer.code == 0, answer.err
        version = ".".join(map(str, sys.version_info[:3]))
        assert answer.lines == [
            "host client: 192.0.2.1",
            "host server: 192.0.2.2",
            f"service word: python {version}",
        ]
        assert f"the lab {name} is up; portbook lab down {name} ends it" in answer.err
        again = start("lab", "up", str(file), "--lab", name)
        assert (again.code, again.out) == (2, "")
        assert "is up already" in again.err
        rows = json.loads(start("lab", "show", "--lab", name, "--listeners", "--format", "json").out)
        assert {(row["host"], row["local_port"], row["service"]) for row in rows} == {("server", 7, "word")}
    finally:
        answer = start("lab", "down", name)
    assert answer.code == 0
    assert f"the lab {name} has ended" in answer.err
    assert not os.path.exists(f"{state.base_folder()}/{name}")
    assert start("lab", "down", name).code == 2


def test_commands_are_run_inside_with_their_own_options(start: Ask, lab: Raise) -> None:
    name = lab(two_hosts()).state.name
    answer = start("lab", "exec", "server", "--lab", name, "--", "sh", "-c", "hostname; exit 7")
    assert (answer.code, answer.out) == (7, "server\n")
    assert start("lab", "exec", "--lab", name, "server", "--", "ls", "--version").out.startswith("ls (")
    assert "Usage: ls" in start("lab", "exec", "--lab", name, "server", "--", "ls", "--help").out
    assert start("lab", "exec", "--lab", name, "server", "--", "sh", "-c", "kill -TERM $$").code == 143
    assert start("lab", "exec", "--lab", name, "server", SHELL="/bin/true").code == 0
    assert start("lab", "exec", "--lab", name, "server", SHELL="/bin/false").code == 1
    answer = start("lab", "exec", "--lab", name, "elsewhere", "--", "true")
    assert answer.code == 2
    assert "it has: client, server" in answer.err
    assert start("lab", "down", name, "--", "true").code == 2


def test_a_lab_in_the_foreground_ends_with_ctrl_c(lab: Raise, tmp_path: Path) -> None:
    lab(two_hosts())
    file = tmp_path / "mine.toml"
    file.write_text(PLAN)
    name = unique("foreground")
    with started("lab", "up", str(file), "--foreground", "--lab", name) as process:
        assert process.stderr is not None
        assert "Ctrl-C ends it" in process.stderr.readline()
        folder = state.find(name).folder
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 0
    assert not os.path.exists(folder)
    # Killed, it takes its lab with it; ended from elsewhere, it ends.
    with started("lab", "up", str(file), "--foreground", "--lab", name) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.kill()
        process.wait()
        assert eventually(lambda: not os.path.exists(folder))
    with started("lab", "up", str(file), "--foreground", "--lab", name) as process:
        assert process.stderr is not None
        process.stderr.readline()
        keeper.down(state.find(name))
        assert process.wait(SOON) == 0


def test_a_host_is_cut_off_and_joined_by_name(ask: Ask, lab: Raise) -> None:
    up = lab(two_hosts())
    assert ask("lab", "cut", "server", "--lab", up.state.name).code == 0
    assert "NO-CARRIER" in up["server"].run("ip", "link", "show", "eth0").stdout
    assert ask("lab", "restore", "server", "--lab", up.state.name).code == 0
    assert "NO-CARRIER" not in up["server"].run("ip", "link", "show", "eth0").stdout


def test_packets_are_captured_until_ctrl_c(lab: Raise, tmp_path: Path) -> None:
    up = lab(two_hosts(echo("word")))
    file = tmp_path / "some.pcap"
    with started("lab", "capture", "server", "--lab", up.state.name, "-o", str(file)) as process:
        assert process.stderr is not None
        assert "capturing on server" in process.stderr.readline()
        ask_it = "import socket; s = socket.create_connection(('192.0.2.2', 7)); s.sendall(b'portbook'); s.recv(9)"
        assert hosts.run(up.state, "client", ["python3", "-c", ask_it]).returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 0
        assert "packets captured: " in process.stderr.read()
    assert file.read_bytes().count(b"portbook") == 2


def test_packages_are_named_and_only_root_installs_them(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(packages, "missing", lambda wanted: tuple(wanted)[:2])
    monkeypatch.setattr(packages, "install", installed.append)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    answer = ask("lab", "install", "gateway")
    assert answer.code == 1
    assert answer.out == "apt-get install -y --no-install-recommends iproute2 nftables\n"
    assert installed == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ask("lab", "install", "gateway").code == 0
    assert installed == [("iproute2", "nftables")]
    monkeypatch.setattr(packages, "missing", lambda wanted: ())
    assert "is installed" in ask("lab", "install", "gateway").err
    assert ask("lab", "install", "nothing").code == 2


def test_daemons_are_held_back_only_while_packages_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    fake = tmp_path / "apt-get"
    fake.write_text(f'#!/bin/sh\n"{policy}"; test $? -eq 101 && echo "$@" > "{tmp_path}/told"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(packages, "_POLICY", str(policy))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    packages.install(("one", "two"))
    assert (tmp_path / "told").read_text() == "install -y --no-install-recommends one two\n"
    assert not policy.exists()
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    packages.install(("one",))
    assert policy.exists()
