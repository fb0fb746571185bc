"""Which server a service gets, which packages a scenario needs, and what is said of a server that is not there."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from portbook.errors import Unavailable
from portbook.lab import programs, scenario
from portbook.lab.programs import Chosen, choose, client_argv, packages, without_spare
from portbook.lab.scenario import ClientPlan, ServicePlan
from portbook.lab.servers.program import Candidate, Program
from tests.lab.plans import two_hosts

WEB = ServicePlan("one", "server", "http", 80)


def _prepare(path: str, service: ServicePlan, folder: str) -> Program:
    return Program((path, service.name, folder), "1.2.3")


FIRST = Candidate("first", "First", "first-server", _prepare, also=("openssl",))
SECOND = Candidate("second", "Second", "second-server", _prepare)
ROOTS = Candidate("roots", "Roots", "roots-server", _prepare, needs_users=True)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The programs that are installed; the servers of http, of ssh and of rdp are none but these three."""
    present: set[str] = set()
    known = {"http": (FIRST, SECOND), "ssh": (ROOTS,), "rdp": (ROOTS,)}
    monkeypatch.setattr(programs, "CANDIDATES", known)
    monkeypatch.setattr(programs, "installed", lambda name: f"/usr/sbin/{name}" if name in present else None)
    return present


def test_the_first_that_is_installed_serves(machine: set[str]) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    ours = choose(WEB, "/folder")
    assert (ours.name, ours.product, ours.program.version) == ("python", "Python", version)
    machine.add("second")
    second = Program(("/usr/sbin/second", "one", "/folder"), "1.2.3")
    assert choose(WEB, "/folder") == Chosen("second", "Second", second)
    machine.add("first")
    assert choose(WEB, "/folder").name == "first"


def test_a_plan_names_the_program_that_serves(machine: set[str]) -> None:
    machine |= {"first", "second"}
    assert choose(replace(WEB, program="second"), "/folder").name == "second"
    assert choose(replace(WEB, program="python"), "/folder").name == "python"
    machine.discard("second")
    with pytest.raises(Unavailable, match=r"one needs one of these packages: second-server; portbook lab install"):
        choose(replace(WEB, program="second"), "/folder")


def test_what_only_ours_can_do_is_ours(machine: set[str]) -> None:
    machine.add("first")
    plan = replace(WEB, options=(("reuse_port", True), ("keep_alive", False)), address="::1")
    chosen = choose(plan, "/folder")
    assert chosen.name == "python"
    assert chosen.program.argv[1:] == (
        *("-m", "portbook.lab.serve", "http", "--name", "one", "--port", "80", "--transport", "tcp"),
        *("--address", "::1", "--reuse-port", "--no-keep-alive"),
    )
    # What a real server does anyway is no reason against one; and a plan that names one has it.
    assert choose(replace(WEB, options=(("keep_alive", True),)), "/folder").name == "first"
    assert choose(replace(plan, program="first"), "/folder").name == "first"


def test_our_own_serves_every_transport_that_is_planned() -> None:
    plan = ServicePlan("one", "server", "echo", 7, ("udp", "tcp"))
    argv = choose(plan, "/folder").program.argv
    assert argv[argv.index("--port") :] == ("--port", "7", "--transport", "udp", "--transport", "tcp")


def test_a_server_that_is_not_there_is_told_with_its_packages(machine: set[str]) -> None:
    with pytest.raises(Unavailable, match=r"one needs one of these packages: roots-server; portbook lab install"):
        choose(replace(WEB, kind="rdp"), "/folder")


def test_a_server_that_must_become_another_user_needs_more_than_one(
    machine: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add("roots")
    assert choose(replace(WEB, kind="rdp"), "/folder").name == "roots"
    monkeypatch.setattr(programs, "may_become_others", lambda: False)
    with pytest.raises(Unavailable, match="one has no server that works without root: run portbook lab as root"):
        choose(replace(WEB, kind="rdp"), "/folder")
    # Our own works without.
    assert choose(replace(WEB, kind="ssh"), "/folder").name == "python"


def test_what_is_optional_is_left_out_where_its_program_is_not_there(machine: set[str]) -> None:
    named = replace(WEB, program="second", optional=True)
    ours = replace(named, name="ours", program=None)
    client = ClientPlan("client", "http", "server", 80)
    plan = replace(two_hosts(named), clients=(client,))
    assert without_spare(plan) == (replace(plan, services=(), clients=()), (named,))
    machine.add("second")
    assert without_spare(plan) == (plan, ())
    machine.discard("second")
    assert without_spare(two_hosts(ours))[1] == ()


def test_the_packages_of_a_scenario(machine: set[str]) -> None:
    plan = two_hosts(WEB, replace(WEB, name="two", kind="echo"), replace(WEB, name="three", kind="ssh"))
    assert packages(plan) == ("iproute2", "first-server", "openssl", "roots-server")
    # What is installed need not give way to what would be preferred.
    machine.add("second")
    assert packages(plan) == ("iproute2", "second-server", "roots-server")
    machine.add("first")
    assert packages(plan) == ("iproute2", "first-server", "openssl", "roots-server")
    named = replace(plan, services=(replace(WEB, program="second"), replace(WEB, name="two", program="python")))
    assert packages(named) == ("iproute2", "second-server")


@pytest.mark.parametrize(
    ("name", "firewalled"),
    [("web-ftp", False), ("client-server", False), ("gateway", True), ("closed-doors", True)],
)
def test_a_scenario_with_a_firewall_or_a_gateway_needs_nftables(name: str, firewalled: bool) -> None:
    needed = packages(scenario.load(name))
    assert needed[0] == "iproute2"
    assert ("nftables" in needed) == firewalled


def test_a_plan_becomes_a_command() -> None:
    plan = ClientPlan("client", "echo", "server", 7, "udp", "ipv6", 1099, 3)
    assert client_argv(plan, "fd00:1::7")[1:] == (
        *("-m", "portbook.lab.talk", "echo", "fd00:1::7", "7", "--transport", "udp", "--count", "3"),
        *("--source-port", "1099", "--hold"),
    )
    assert client_argv(ClientPlan("client", "http", "server", 80, hold=False), "10.0.0.1")[-2:] == ("--count", "1")
