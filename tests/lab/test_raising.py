"""What is told while a lab is raised, and labs that are larger or stranger than those that ship."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import replace

import pytest

from portbook.errors import BadQuestion, Unavailable
from portbook.lab import keeper
from portbook.lab.plan_file import parse
from portbook.lab.scenario import ClientPlan, ServicePlan, Step
from portbook.lab.state import Event, base_folder, running
from tests.lab.conftest import Raise, eventually, unique
from tests.lab.plans import echo, two_hosts


def sharing(name: str) -> ServicePlan:
    options = (("reuse_port", True), ("keep_alive", False))
    return ServicePlan(name, "server", "http", 80, options=options)


def test_the_last_words_of_a_refused_server_are_told_with_its_step(lab: Raise) -> None:
    second = echo("second", autostart=False)
    step = Step("The second is refused.", "start", "second", expect="refused")
    up = lab(replace(two_hosts(echo("first"), second), steps=(step,)))
    [told] = [event for event in up.events if event.kind == "step"]
    words = "second: cannot listen on * port 7/tcp: Address already in use"
    assert told == Event("step", "The second is refused.", words)
    assert {name: service.up for name, service in up.services.items()} == {"first": True, "second": False}
    # It was one of ours, and is known as that although it was refused.
    assert up.services["second"].program == "python"


def test_a_refused_server_that_does_not_end_by_itself_is_ended(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    from portbook.lab import services
    from tests.lab.faking import FOR_EVER, put_in_place

    monkeypatch.setattr(services, "SERVICE_SECONDS", 0.5)
    put_in_place(monkeypatch, "rdp", "import time; print('I will come back', flush=True)" + FOR_EVER)
    stubborn = ServicePlan("stubborn", "server", "rdp", 7, autostart=False)
    step = Step("It is refused.", "start", "stubborn", expect="refused")
    up = lab(replace(two_hosts(echo("first"), stubborn), steps=(step,)))
    assert [event.detail for event in up.events if event.kind == "step"] == ["I will come back"]
    assert up["server"].run("pgrep", "-fc", "come back").stdout == "0\n"


def test_who_answered_is_told_with_the_client_where_it_was_not_one(lab: Raise) -> None:
    asks = tuple(ClientPlan("client", "http", "server", 80, count=count, hold=False) for count in (60, 1))
    up = lab(replace(two_hosts(sharing("first"), sharing("second")), clients=asks))
    many, one = [event for event in up.events if event.kind == "client"]
    assert (many.name, many.place, many.outcomes) == ("client", "server 80/tcp", {"answered": 60})
    # The kernel deals them out by their pairs; that all sixty go to one of the two has odds of 1 to 2**59.
    assert set(many.servers) == {"first", "second"}
    assert sum(many.servers.values()) == 60
    assert (one.outcomes, one.servers) == ({"answered": 1}, {})


@pytest.mark.parametrize("expect", ["refused", "silent", "rejected"])
def test_a_door_that_is_not_as_told_ends_the_lab(lab: Raise, expect: str) -> None:
    lab(two_hosts())
    step = Step("It is not.", "ask", client=ClientPlan("client", "echo", "server", 7), expect=expect)  # type: ignore[arg-type]
    name = unique("otherwise")
    with pytest.raises(Unavailable, match=f"should be {expect} by server 7/tcp, but .* were: 1 answered"):
        keeper.up(replace(two_hosts(echo("word")), steps=(step,)), name=name)
    assert not os.path.exists(f"{base_folder()}/{name}")


THIRTY = """
title = "Thirty hosts"
[networks.lan]
ipv4 = "10.30.0.0/16"
ipv6 = "fd30::/64"
[networks.far]
ipv4 = "10.31.0.0/16"
[hosts.router]
addresses = ["10.30.255.1", "fd30::ffff", "10.31.255.1"]
forwards = true
[services.word]
host = "host29"
kind = "echo"
port = 7
[[clients]]
host = "host1"
kind = "echo"
server = "host29"
port = 7
""" + "".join(
    f'[hosts.host{number}]\naddresses = ["10.{30 + number % 2}.0.{number}"]\ngateway = "router"\n'
    for number in range(1, 30)
)


def test_a_scenario_of_thirty_hosts(lab: Raise) -> None:
    up = lab(parse(THIRTY.encode(), "thirty.toml"))
    assert len(up.state.hosts) == 30
    assert len({host.inode for host in up.state.hosts}) == 30
    reached = "import socket; print(*socket.create_connection(('host29', 7), 5).getpeername())"
    for number in (2, 17, 28):
        assert up[f"host{number}"].run("python3", "-c", reached).stdout == "10.31.0.29 7\n"
    # The names of all hosts are known to all.
    assert up["host7"].run("getent", "ahostsv6", "router").stdout.split()[0] == "fd30::ffff"


def test_of_two_that_want_one_name_one_gets_it(lab: Raise) -> None:
    lab(two_hosts())
    name = unique("wanted")
    outcomes: list[str] = []

    def want() -> None:
        try:
            keeper.up(two_hosts(echo("word")), name=name)
        except BadQuestion as error:
            outcomes.append(str(error))
        else:
            outcomes.append("up")

    wanting = [threading.Thread(target=want) for _ in range(4)]
    try:
        for one in wanting:
            one.start()
        for one in wanting:
            one.join()
        assert sorted(re.sub(r".*(is up already).*", r"\1", one) for one in outcomes) == ["is up already"] * 3 + [
            "up"
        ]
    finally:
        for up in running():
            if up.name == name:
                keeper.down(up)


def test_a_host_that_is_killed_while_the_lab_is_raised_ends_it(lab: Raise) -> None:
    lab(two_hosts())
    name = unique("killed")

    def kill(event: Event) -> None:
        if event.kind == "service":
            [mine] = [up for up in running() if up.name == name]
            os.kill(mine.host("client").pid, 9)

    plan = replace(two_hosts(echo("word")), clients=(ClientPlan("client", "echo", "server", 7, hold=False),) * 9)
    with pytest.raises(Unavailable):
        keeper.up(plan, kill, name)
    assert not os.path.exists(f"{base_folder()}/{name}")


def test_a_lab_whose_folder_somebody_has_removed_ends(lab: Raise) -> None:
    from shutil import rmtree

    up = lab(two_hosts(echo("word")))
    rmtree(up.state.folder)
    # Its name is free at once, and the end of the first is not that of the second.
    again, _ = keeper.up(two_hosts(), name=up.state.name)
    try:
        assert eventually(lambda: not os.path.exists(f"/proc/{up.state.hosts[0].pid}"))
        assert os.path.exists(f"{again.folder}/state.json")
        assert again.name in [one.name for one in running()]
    finally:
        keeper.down(again)
    assert not os.path.exists(again.folder)
