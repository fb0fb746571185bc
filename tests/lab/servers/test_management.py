"""SNMP, asked by Net-SNMP's clients from another host; and syslog, told by logger."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from portbook.lab.programs import client_argv
from portbook.lab.scenario import ClientPlan, ServicePlan
from portbook.lab.servers.management import MESSAGES
from portbook.lab.servers.program import Candidate, bracketed, installed
from tests.lab.conftest import LabHost, Raise, eventually
from tests.lab.plans import two_hosts

from .kernel import candidates, others, processes, waiting
from .talking import ADDRESSES

SNMP, SYSLOG = 31161, 31514
SYS_DESCR, SYS_NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0"
VERSION_TAG = "1.3.6.1.4.1.2021.100.2.0"


def plan(kind: str, candidate: Candidate, address: str | None = None) -> ServicePlan:
    port = SNMP if kind == "snmp" else SYSLOG
    return ServicePlan("it", "server", kind, port, ("udp",), address, program=candidate.name)


def snmp(folder: Path, host: LabHost, program: str, address: str, *what: str, community: str = "public") -> str:
    """Return what a program of Net-SNMP says, be it an error; what it keeps is in a folder."""
    if installed(program) is None:
        pytest.skip(f"{program} is not installed")
    agent = f"{'udp6' if ':' in address else 'udp'}:{bracketed(address)}:{SNMP}"
    environ = ("env", f"SNMP_PERSISTENT_DIR={folder}", f"SNMPCONFPATH={folder}")
    options = ("-v2c", "-c", community, "-m", "", "-Oqv", "-r", "1", "-t", "1")
    done = host.run(*environ, program, *options, agent, *what)
    return done.stdout.strip() or done.stderr.strip()


def keeps(file: Path, text: str) -> bool:
    return text in file.read_text()


@pytest.mark.parametrize("candidate", candidates("snmp"))
def test_the_agent_tells_of_its_host(candidate: Candidate, lab: Raise, tmp_path: Path) -> None:
    up = lab(two_hosts(plan("snmp", candidate)))
    client, state = up["client"], up.services["it"]
    assert state.product == candidate.product
    for address in ADDRESSES:
        described = snmp(tmp_path, client, "snmpget", address, SYS_DESCR).strip('"')
        assert described.startswith("Linux server ")
        assert snmp(tmp_path, client, "snmpget", address, SYS_NAME).strip('"') == "server"
        assert snmp(tmp_path, client, "snmpget", address, VERSION_TAG).strip('"') == state.version
        ask = ClientPlan("client", "snmp", "server", SNMP, "udp", hold=False)
        told = json.loads(client.run(*client_argv(ask, address)).stdout)
        assert told == {"outcomes": {"answered": 1}, "servers": {described: 1}}
        # Anybody may read and nobody may write, and only with the word.
        assert "noAccess" in snmp(tmp_path, client, "snmpset", address, SYS_NAME, "s", "mine")
        assert "Timeout" in snmp(tmp_path, client, "snmpget", address, SYS_NAME, community="private")


@pytest.mark.parametrize("candidate", candidates("syslog"))
def test_what_is_reported_is_kept(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan("syslog", candidate)))
    assert up.services["it"].product == candidate.product
    assert up.services["it"].version
    file = Path(up.state.folder, "it", MESSAGES)
    for address in ADDRESSES:
        text = f"told to {address}"
        to = ("--server", address, "--port", str(SYSLOG), "--udp", "--rfc5424")
        assert up["client"].run("logger", *to, "--tag", "teller", "--priority", "user.warning", text).returncode == 0
        assert eventually(partial(keeps, file, text))
        [line] = [line for line in file.read_text().splitlines() if text in line]
        assert line.startswith("<12>1 ")
        assert " client teller " in line
    for address, own in zip(ADDRESSES, ("192.0.2.1", "2001:db8:2::1"), strict=True):
        tell = ClientPlan("client", "syslog", "server", SYSLOG, "udp", hold=False)
        told = json.loads(up["client"].run(*client_argv(tell, address)).stdout)
        assert told == {"outcomes": {"answered": 1}, "servers": {}}
        assert eventually(partial(keeps, file, f" {own} portbook-lab "))


def test_a_closed_port_takes_no_reports(lab: Raise) -> None:
    up = lab(two_hosts())
    tell = ClientPlan("client", "syslog", "server", SYSLOG, "udp", hold=False)
    for address in ADDRESSES:
        told = json.loads(up["client"].run(*client_argv(tell, address)).stdout)
        assert told == {"outcomes": {"refused": 1}, "servers": {}}


@others
@pytest.mark.parametrize(
    ("kind", "candidate"),
    [
        pytest.param(kind, *one.values, id=str(one.id), marks=one.marks)
        for kind in ("snmp", "syslog")
        for one in candidates(kind)
    ],
)
def test_they_are_nobody_of_rights_and_wait_where_planned(kind: str, candidate: Candidate, lab: Raise) -> None:
    port = SNMP if kind == "snmp" else SYSLOG
    up = lab(two_hosts(plan(kind, candidate)))
    assert waiting(up["server"]) == {("udp", f"0.0.0.0:{port}"), ("udp", f"[::]:{port}")}
    assert processes(up["server"])
    assert 0 not in {uid for uid, _ in processes(up["server"])}
    for address in ADDRESSES:
        up = lab(two_hosts(plan(kind, candidate, address)))
        assert waiting(up["server"]) == {("udp", f"{bracketed(address)}:{port}")}
