"""The life of a lab: raised, entered, ended; and that nothing outlives it, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from portbook.errors import BadQuestion, PortbookError, Unavailable
from portbook.lab import hosts, keeper, namespaces, state
from portbook.lab.scenario import ClientPlan, Scenario, Step, load
from portbook.lab.state import Event, LabState
from tests.lab.conftest import SOON, Raise, children, eventually, unique
from tests.lab.plans import echo, two_hosts
from tests.linux.children import ChildError, in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator


def refusal(plan: Scenario, name: str) -> str:
    """Return why a lab cannot be raised; ends it where it can after all."""
    try:
        up, _ = keeper.up(plan, name=name)
    except Unavailable as error:
        return str(error)
    keeper.down(up)
    return ""


def keepers_folder(name: str) -> str:
    return f"{state.base_folder()}/{name}"


def alive(*pids: int) -> list[int]:
    return [pid for pid in pids if state.started_at(pid) is not None]


def pids_of(lab: LabState) -> list[int]:
    return [lab.keeper, lab.wire, *(host.pid for host in lab.hosts)]


def test_hosts_have_names_addresses_and_processes_of_their_own(lab: Raise) -> None:
    up = lab(two_hosts())
    server = up["server"]
    assert server.address == "192.0.2.2"
    assert server.run("hostname").stdout == "server\n"
    processes = server.run("sh", "-c", "echo /proc/[0-9]*").stdout.split()
    assert processes[0] == "/proc/1"
    assert len(processes) == 2  # its init and the shell that asks
    names = server.run("getent", "hosts", "client").stdout.split()
    assert names[1] == "client"
    devices = server.run("sh", "-c", "sed 1,2d /proc/net/dev | cut -d: -f1").stdout.split()
    assert sorted(devices) == ["eth0", "lo"]
    assert [(event.kind, event.name) for event in up.events] == [
        ("lab", "Two hosts"),
        ("host", "client"),
        ("host", "server"),
    ]
    assert [event.detail for event in up.events][1:] == ["192.0.2.1, 2001:db8:2::1", "192.0.2.2, 2001:db8:2::2"]


def test_services_are_told_with_what_they_really_are(lab: Raise) -> None:
    up = lab(two_hosts(echo("word"), echo("datagram", 7, transports=("udp",)), echo("later", 8, autostart=False)))
    version = ".".join(map(str, sys.version_info[:3]))
    assert [event for event in up.events if event.kind == "service"] == [
        Event("service", "word", f"python {version}", "server 7/tcp"),
        Event("service", "datagram", f"python {version}", "server 7/udp"),
    ]
    word = up.services["word"]
    assert (word.program, word.product, word.version) == ("python", "Python", version)
    assert (word.port, word.transports, word.up) == (7, ("tcp",), True)
    assert not up.services["later"].up


def test_two_labs_are_up_at_once_and_do_not_meet(lab: Raise) -> None:
    first, second = lab(two_hosts(echo("one"))), lab(two_hosts())
    names = {up.state.name for up in (first, second)}
    assert names <= {found.name for found in state.running()}
    assert {host.inode for host in first.state.hosts}.isdisjoint(host.inode for host in second.state.hosts)
    ask = "import socket; socket.create_connection(('192.0.2.2', 7), 5)"
    assert first["client"].run("python3", "-c", ask).returncode == 0
    assert "ConnectionRefusedError" in second["client"].run("python3", "-c", ask).stderr
    with pytest.raises(BadQuestion, match="say which with --lab NAME"):
        state.find()
    assert state.find(first.state.name) == first.state


def test_a_lab_that_is_down_has_left_nothing(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    inodes = [host.inode for host in up.state.hosts]
    started = up["server"].spawn("sleep", "600")
    keeper.down(up.state)
    assert started.wait(SOON) == -signal.SIGKILL
    assert alive(*pids_of(up.state)) == []
    assert not os.path.exists(up.state.folder)
    assert not set(inodes) & set(namespace_inodes())
    with pytest.raises(PortbookError):
        state.find(up.state.name)
    with pytest.raises(Unavailable):
        up["server"].run("true")
    keeper.down(up.state)  # once more is nothing


def namespace_inodes() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                yield namespaces.namespace_inode(name)
            except OSError:
                continue


def test_a_name_is_given_to_one_lab_only(lab: Raise) -> None:
    up = lab(two_hosts())
    with pytest.raises(BadQuestion, match="is up already"):
        keeper.up(two_hosts(), name=up.state.name)
    assert alive(*pids_of(up.state)) == pids_of(up.state)
    for name in ("../elsewhere", "", "a/b", ".hidden"):
        with pytest.raises(BadQuestion, match="no name for a lab"):
            state.claim(name)


def test_a_server_that_fails_says_its_last_words(lab: Raise) -> None:
    lab(two_hosts())  # skips where there are no labs at all
    name = unique("failing")
    plan = two_hosts(echo("first"), echo("second"))
    assert re.search(r"second on server did not come up.*cannot listen on .*port 7", refusal(plan, name))
    assert not os.path.exists(keepers_folder(name))


def test_a_client_that_is_not_answered_ends_the_lab(lab: Raise) -> None:
    lab(two_hosts())
    name = unique("unanswered")
    plan = replace(two_hosts(), clients=(ClientPlan("client", "echo", "server", 7),))
    assert re.search(r"should be answered.*1 refused", refusal(plan, name))
    assert not os.path.exists(keepers_folder(name))


def test_steps_are_played_in_order_and_must_come_out_as_told(lab: Raise) -> None:
    first, second = echo("first"), echo("second", autostart=False)
    story = (
        Step("The second is refused.", "start", "second", expect="refused"),
        Step("The first stops.", "stop", "first"),
        Step("Now it is not.", "start", "second"),
    )
    up = lab(replace(two_hosts(first, second), steps=story))
    assert [event.name for event in up.events if event.kind == "step"] == [step.text for step in story]
    assert {name: service.up for name, service in up.services.items()} == {"first": False, "second": True}
    wrong = replace(two_hosts(first, second), steps=(Step("It is not refused.", "start", "second"),))
    assert re.search(r"second on server did not come up", refusal(wrong, unique("wrong")))


def test_whoever_interrupts_a_lab_that_is_being_raised_finds_nothing_left(lab: Raise) -> None:
    lab(two_hosts())
    name = unique("interrupted")

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keeper.up(two_hosts(echo("word")), interrupt, name)
    assert not os.path.exists(keepers_folder(name))


def test_a_bound_lab_ends_with_its_descriptor(lab: Raise) -> None:
    lab(two_hosts())
    up, descriptor = keeper.up(two_hosts(), name=unique("bound"), bound=True)
    assert alive(*pids_of(up)) == pids_of(up)
    os.close(descriptor)
    assert eventually(lambda: not os.path.exists(up.folder))
    assert eventually(lambda: not alive(*pids_of(up)))


def test_commands_end_as_they_would_outside(lab: Raise) -> None:
    up = lab(two_hosts())
    assert up["client"].run("sh", "-c", "exit 7").returncode == 7
    assert up["client"].run("sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL
    assert hosts.enter(up.state, "client", ["sh", "-c", "exit 9"]) == 9
    assert hosts.enter(up.state, "client", ["sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM
    with pytest.raises(FileNotFoundError):
        up["client"].run("there-is-no-such-program")
    with pytest.raises(BadQuestion, match="cannot be run on client"):
        hosts.enter(up.state, "client", ["there-is-no-such-program"])
    with pytest.raises(BadQuestion, match="has no host nobody; it has: client, server"):
        hosts.enter(up.state, "nobody", ["true"])


def test_signals_are_passed_on_to_a_command(lab: Raise) -> None:
    up = lab(two_hosts())
    before = children()
    script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
    with up["client"].spawn("sh", "-c", script, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "ready\n"
        command.send_signal(signal.SIGTERM)
        assert command.stdout.read() == "caught\n"
        assert command.wait(SOON) == 3
    # Killed, it takes the one inside with it.
    with up["client"].spawn("sleep", "600") as command:
        command.kill()
        assert command.wait(SOON) == -signal.SIGKILL
    assert eventually(lambda: not children() - before)
    assert up["client"].run("pgrep", "-c", "sleep").stdout == "0\n"


def test_orphans_are_reaped(lab: Raise) -> None:
    up = lab(two_hosts())
    up["client"].run("sh", "-c", "(sleep 0.05 &) ; true", stdout=subprocess.DEVNULL, capture_output=False)
    states = "cat /proc/[0-9]*/stat | cut -d' ' -f3"
    assert eventually(lambda: len(up["client"].run("sh", "-c", "echo /proc/[0-9]*").stdout.split()) == 2)
    assert "Z" not in up["client"].run("sh", "-c", states).stdout


def test_a_pid_that_another_process_has_by_now_is_not_entered(lab: Raise) -> None:
    up = lab(two_hosts())
    changed = tuple(replace(host, pid=os.getpid()) for host in up.state.hosts)
    with pytest.raises(Unavailable, match="has ended"):
        hosts.run(replace(up.state, hosts=changed), "client", ["true"])


def test_a_dead_lab_is_cleared_away_by_the_next_call(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    os.kill(up.state.keeper, signal.SIGKILL)
    assert eventually(lambda: not alive(up.state.keeper))
    assert up.state.name not in [found.name for found in state.running()]
    assert not os.path.exists(up.state.folder)
    assert eventually(lambda: not alive(*pids_of(up.state)))


def test_a_lab_whose_wire_is_killed_clears_itself_away(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    os.kill(up.state.wire, signal.SIGKILL)
    assert eventually(lambda: not os.path.exists(up.state.folder))
    assert eventually(lambda: not alive(*pids_of(up.state)))


def test_folders_of_labs_are_not_shared(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path)
    if os.geteuid() == 0:
        os.chown(folder, 4242, -1)
    owner = os.stat(folder).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    os.chmod(folder, 0o700)
    assert state.base_folder() == f"{folder}/portbook/lab"
    os.chmod(folder, 0o777)
    assert not state.base_folder().startswith(folder)
    os.chmod(folder, 0o700)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert not state.base_folder().startswith(folder)
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert state.base_folder() == f"/tmp/portbook-{os.geteuid()}/lab"


@needs_root
def test_without_root_it_works_in_a_user_namespace_or_says_why_not() -> None:
    plan = load("gateway")
    bare = replace(plan, services=(), clients=(), steps=())

    def inside() -> tuple[str, str, str]:
        os.environ.pop("XDG_RUNTIME_DIR", None)
        os.chdir("/")
        up, _ = keeper.up(bare, name=f"test-{os.getpid()}")
        try:
            first, last = plan.hosts[0].name, plan.hosts[-1].name
            address = up.host(last).address
            route = hosts.run(up, first, ["ip", "route", "get", address]).stdout
            return hosts.run(up, first, ["id", "-u"]).stdout, hosts.run(up, last, ["hostname"]).stdout, route
        finally:
            keeper.down(up)
            assert not os.path.exists(up.folder)

    try:
        uid, name, route = in_child(inside, unprivileged=True)
    except ChildError as error:
        if "lets this user make no namespaces" not in str(error):
            raise
        pytest.skip(f"this kernel has no user namespaces for users: {error}")
    assert (uid, name) == ("0\n", f"{plan.hosts[-1].name}\n")
    assert "dev eth" in route


@needs_root
def test_a_kernel_without_user_namespaces_is_named_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(namespaces, "unshare", refuse)
    name = unique("refused")
    with pytest.raises(
        Unavailable, match=r"lets this user make no namespaces \(Operation not permitted\); run as root"
    ):
        keeper.up(two_hosts(), name=name)
    assert not os.path.exists(keepers_folder(name))
