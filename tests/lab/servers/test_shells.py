"""Servers of remote shells, met by ssh and telnet from another host: nobody can log in."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from portbook.lab.programs import client_argv
from portbook.lab.scenario import ClientPlan
from portbook.lab.servers.program import Candidate, installed
from tests.lab.conftest import Lab, Raise, eventually
from tests.lab.plans import two_hosts

from .kernel import candidates, others, processes
from .talking import ADDRESSES, MANY, NAME, PORT, listens, raised, service

every = pytest.mark.parametrize(
    ("kind", "candidate"),
    [pytest.param(kind, *one.values, marks=one.marks) for kind in ("ssh", "telnet") for one in candidates(kind)],
)
NAMES = {"sshd": "OpenSSH_{}", "dropbear": "dropbear_{}"}
LOG_IN = """
import sys, subprocess
process = subprocess.Popen(["telnet", *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
heard = b""
exchange = (b"login: ", b"root"), (b"Password: ", b"secret"), (b"login: ", b"$(id); id"), (b"Password: ", b"")
for wanted, said in exchange:
    start = len(heard)
    while wanted not in heard[start:] and (byte := process.stdout.read(1)):
        heard += byte
    process.stdin.write(said + b"\\n")
    process.stdin.flush()
start = len(heard)
while b"login: " not in heard[start:] and (byte := process.stdout.read(1)):
    heard += byte
process.kill()
print(heard.decode())
"""


def held(lab: Raise, kind: str, candidate: Candidate) -> Lab:
    clients = tuple(
        ClientPlan("client", kind, "server", PORT, family=family, count=MANY) for family in ("ipv4", "ipv6")
    )
    return lab(replace(two_hosts(service(kind, candidate)), clients=clients))


@pytest.mark.parametrize("candidate", candidates("ssh"))
def test_ssh_is_turned_away(candidate: Candidate, lab: Raise) -> None:
    if installed("ssh") is None:
        pytest.skip("ssh is not installed")
    up = lab(two_hosts(service("ssh", candidate)))
    state = up.services[NAME]
    assert (state.program, state.product) == (candidate.name, candidate.product)
    settings = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
    quiet = ("-F", "none", *(word for one in settings for word in ("-o", one)))
    for address in ADDRESSES:
        for user in ("root", "nobody"):
            done = up["client"].run("ssh", "-v", *quiet, "-p", str(PORT), f"{user}@{address}", "id", timeout=20)
            assert done.returncode == 255
            assert f"remote software version {NAMES[candidate.name].format(state.version)}" in done.stderr
            assert "Permission denied (publickey" in done.stderr
            assert done.stdout == ""


@pytest.mark.parametrize("candidate", candidates("telnet"))
def test_telnet_is_turned_away(candidate: Candidate, lab: Raise) -> None:
    if installed("telnet") is None:
        pytest.skip("telnet is not installed")
    up = raised(lab, "telnet", candidate)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", LOG_IN, address, str(PORT), timeout=20)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("server login: ") == 3
        assert done.stdout.count("Login incorrect") == 2
        assert "secret" not in done.stdout
        assert "uid=" not in done.stdout


@every
def test_it_listens_as_planned(kind: str, candidate: Candidate, lab: Raise) -> None:
    listens(lab, kind, candidate)


@every
def test_many_meet_it_at_once(kind: str, candidate: Candidate, lab: Raise) -> None:
    up = held(lab, kind, candidate)
    told = [event.outcomes for event in up.events if event.kind == "client"]
    assert told == [{"answered": MANY}] * 2
    established = up["server"].run("ss", "-Htn", "state", "established", f"sport = :{PORT}").stdout.splitlines()
    assert len(established) == 2 * MANY
    ask = ClientPlan("client", kind, "server", PORT, hold=False)
    version = up.services[NAME].version
    servers = json.loads(up["client"].run(*client_argv(ask, ADDRESSES[0])).stdout)["servers"]
    if kind == "telnet":
        assert servers == {}
    else:
        [name] = servers
        assert name.split()[0] == NAMES[candidate.name].format(version)


@others
@every
def test_only_openssh_is_roots(kind: str, candidate: Candidate, lab: Raise) -> None:
    up = held(lab, kind, candidate)
    roots = {name for uid, name in processes(up["server"]) if uid == 0}
    assert roots == ({"sshd"} if candidate.name == "sshd" else set())


@every
def test_who_has_gone_leaves_no_process(kind: str, candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(service(kind, candidate)))
    before = sorted(processes(up["server"]))
    ask = ClientPlan("client", kind, "server", PORT, count=5, hold=False)
    assert json.loads(up["client"].run(*client_argv(ask, ADDRESSES[1])).stdout)["outcomes"] == {"answered": 5}
    assert eventually(lambda: len(processes(up["server"])) <= len(before))
