"""The verb `lab` as a reader meets it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portbook.cli.lab import ACTIONS
from portbook.lab import hosts, keeper, packages, programs, state
from portbook.lab.plan_file import ORDER
from tests.cli.conftest import Ask, ask, start
from tests.lab.conftest import SOON, Raise, eventually, unique
from tests.lab.plans import echo, two_hosts

__all__ = ["ask", "start"]

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
    assert all(f"\n    {action} " in answer.out for action in ACTIONS)
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
    assert tuple(told)[: len(ORDER)] == ORDER
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
            "Two hosts",
            "    They see each other.",
            "host client: 192.0.2.1",
            "host server: 192.0.2.2",
            f"service word (server 7/tcp,udp): python {version}",
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
    assert answer.out == "apt-get install -y --no-install-recommends --no-remove iproute2 nftables\n"
    assert installed == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ask("lab", "install", "gateway").code == 0
    assert installed == [("iproute2", "nftables")]
    monkeypatch.setattr(packages, "missing", lambda wanted: ())
    assert "is installed" in ask("lab", "install", "gateway").err
    assert ask("lab", "install", "nothing").code == 2


def test_a_command_without_the_dashes_is_told_where_they_go(ask: Ask) -> None:
    answer = ask("lab", "exec", "server", "ls")
    assert answer.code == 2
    assert "the command stands behind --: portbook lab exec server -- ls" in answer.err


def test_packages_without_which_a_scenario_cannot_be_raised_are_listed(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "running", list)
    for module in (packages, programs):
        monkeypatch.setattr(module, "installed", lambda _: None)
    rows = {row["scenario"]: row for row in json.loads(ask("lab", "list", "--format", "json").out)}
    assert rows["web-ftp"]["missing"] == ["iproute2"]
    assert rows["gateway"]["missing"] == ["iproute2", "nftables"]
    assert {"bind9", "rsyslog"} < set(rows["main-ports"]["missing"])
    assert "Missing packages" in ask("lab", "list").out
    # Where nothing is, the table does without the column.
    for module in (packages, programs):
        monkeypatch.setattr(module, "installed", lambda name: name)
    assert "Missing packages" not in ask("lab", "list").out


def test_the_hosts_of_a_lab_are_listed_for_whoever_asks(ask: Ask, lab: Raise) -> None:
    up = lab(two_hosts())
    rows = [row for row in json.loads(ask("lab", "list", "--format", "json").out) if up.state.name in row["labs"]]
    assert [row["hosts"] for row in rows] == [["client", "server"]]


def test_a_reader_who_has_enough_does_not_end_the_lab(lab: Raise, tmp_path: Path) -> None:
    lab(two_hosts())
    file = tmp_path / "mine.toml"
    file.write_text(PLAN)
    name = unique("read")
    up = shlex.join((sys.executable, "-m", "portbook", "lab", "up", str(file), "--lab", name))
    script = f"{up} | head -n 1; echo ${{PIPESTATUS[0]}}"
    try:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["Two hosts", "0"]
        assert "Traceback" not in done.stderr
        assert [service.name for service in state.find(name).services] == ["word"]
    finally:
        keeper.down(state.find(name))


def test_an_answer_that_cannot_be_written_ends_the_lab(lab: Raise, tmp_path: Path) -> None:
    lab(two_hosts())
    file = tmp_path / "mine.toml"
    file.write_text(PLAN)
    name = unique("full")
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "portbook", "lab", "up", str(file), "--lab", name],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "portbook: cannot write the answer: No space left on device\n"
    assert not os.path.exists(f"{state.base_folder()}/{name}")


SLOW = (
    PLAN
    + """
[[steps]]
text = "The network keeps silent."
ask = { host = "client", server = "server", kind = "echo", port = 9, hold = false }
expect = "silent"
[[rules]]
host = "server"
port = 9
action = "drop"
"""
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_lab_that_is_given_up_in_the_middle_leaves_nothing(
    lab: Raise, tmp_path: Path, number: signal.Signals
) -> None:
    lab(two_hosts())
    file = tmp_path / "mine.toml"
    file.write_text(SLOW)
    name = unique("middle")
    with started("lab", "up", str(file), "--lab", name) as process:
        assert process.stdout is not None
        assert any("service word" in line for line in process.stdout)
        assert os.path.exists(f"{state.base_folder()}/{name}")
        process.send_signal(number)
        assert process.wait(SOON) == (1 if number == signal.SIGINT else -number)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert eventually(lambda: not os.path.exists(f"{state.base_folder()}/{name}"))


def test_a_capture_ends_with_its_lab(lab: Raise, tmp_path: Path) -> None:
    up = lab(two_hosts())
    with started("lab", "capture", "server", "--lab", up.state.name, "-o", str(tmp_path / "some.pcap")) as process:
        assert process.stderr is not None
        assert "capturing on server" in process.stderr.readline()
        keeper.down(up.state)
        assert process.wait(SOON) == 0
        assert "packets captured: " in process.stderr.read()


def test_a_capture_that_cannot_be_written_is_one_line(ask: Ask, lab: Raise) -> None:
    up = lab(two_hosts())
    for path, reason in (("/dev/full", "No space left on device"), ("/there/is/none", "No such file or directory")):
        answer = ask("lab", "capture", "server", "--lab", up.state.name, "-o", path)
        assert answer.code == 2
        assert answer.err.splitlines()[-1] == f"portbook: {path} cannot be written: {reason}"
        assert "Traceback" not in answer.err


def test_a_reader_of_a_capture_may_have_enough(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    capture = shlex.join(
        (sys.executable, "-m", "portbook", "lab", "capture", "server", "--lab", up.state.name, "-o", "/dev/stdout")
    )
    script = f"{capture} | head -c 24 | od -An -tx4 -N4; echo ${{PIPESTATUS[0]}}"
    with subprocess.Popen(
        ["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stderr is not None
        assert "capturing on server" in reader.stderr.readline()
        ask_it = "import socket; s = socket.create_connection(('192.0.2.2', 7)); s.sendall(b'portbook'); s.recv(9)"
        while reader.poll() is None:
            assert hosts.run(up.state, "client", ["python3", "-c", ask_it]).returncode == 0
        assert reader.stdout is not None
        assert reader.stdout.read().split() == ["a1b23c4d", "0"]
        assert reader.stderr.read() == ""


def test_what_is_watched_ends_with_the_lab(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    arguments = ("lab", "show", "--listeners", "--watch", "--lab", up.state.name, "--format", "ndjson")
    with started(*arguments) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["service"] == "word"
        keeper.down(up.state)
        assert process.wait(SOON) == 0
        assert process.stderr is not None
        assert process.stderr.read() == f"portbook: the lab {up.state.name} has ended\n"


def test_a_watcher_who_has_enough_is_no_error(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    watch = shlex.join(
        (sys.executable, "-m", "portbook", "lab", "show", "--listeners", "--watch", "--lab", up.state.name)
    )
    script = f"{watch} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_what_is_watched_can_be_stopped(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    with started("lab", "show", "--listeners", "--watch", "--lab", up.state.name) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 0
