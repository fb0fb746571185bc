"""The main ports' real servers, told by what they say: at their own ports, and each moved to some other."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - who has no rights cannot read it where the interpreter is root's
import os
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import portbook.probe.datagrams
import portbook.probe.identify  # noqa: F401 - as above
from portbook.lab import hosts, keeper
from portbook.lab.scenario import load
from portbook.lab.state import LabState, ServiceState
from portbook.porttest import PortTest
from portbook.probe.reach import Limits
from portbook.probe.targets import Target
from portbook.probe.testing import Question, port_tests
from portbook.protocols.catalogue import protocols
from portbook.registry.lookup import open_registry

from .test_main_ports import moved, raised

pytestmark = [pytest.mark.lab, pytest.mark.servers]

NOBODY = 65534
SERVICES = {
    "dns": "domain",
    "dhcp": "bootps",
    "smtps": "submissions",
    "rdp": "ms-wbt-server",
    "vnc": "rfb",
}
"""What the registry calls a kind of the lab's where that differs."""
TELL_PRODUCT = {
    *("vsftpd", "sshd", "postfix", "named", "nginx", "dovecot", "nnrpd", "snmpd", "ngircd", "mariadbd", "kamailio"),
    "postgres",
}
TELL_VERSION = {"vsftpd", "sshd", "named", "nginx", "nnrpd", "mariadbd", "kamailio"}


@pytest.fixture(scope="module", params=["at their own ports", "moved"])
def state(request: pytest.FixtureRequest) -> Iterator[LabState]:
    plan = load("main-ports")
    found = raised(plan if request.param != "moved" else moved(plan, random.Random(4)))
    yield found
    keeper.down(found)


@contextmanager
def _in_child() -> Iterator[tuple[int, int]]:
    """Fork; yield 0 and where the child writes, or the child's PID and where this process reads."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            yield 0, writing
        finally:
            os._exit(1)
    os.close(writing)
    try:
        yield pid, reading
    finally:
        os.close(reading)
        os.waitpid(pid, 0)


def found_from(state: LabState, question: Question, rights: bool) -> list[PortTest]:
    """Return what a run from the host `client` finds, with root's rights or with none."""
    protocols()
    with hosts.inside(state, "client") as entered, _in_child() as (pid, file):
        if pid == 0:
            entered()
            if not rights:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with os.fdopen(file, "wb") as writing:
                pickle.dump(list(port_tests(question)), writing)
            os._exit(0)
        with os.fdopen(os.dup(file), "rb") as reading:
            found: list[PortTest] = pickle.load(reading)
    return found


def _question(state: LabState, address: str) -> Question:
    ports = {
        transport: sorted(
            {one.port for one in state.services if one.host == "server" and transport in one.transports}
        )
        for transport in ("tcp", "udp")
    }
    service_name = open_registry().name_of
    return Question([Target("server", "server", address)], ports, True, Limits(), service_name)


def _is_right(service: ServiceState, test: PortTest) -> None:
    assert test.state == "open", test
    assert test.service_by == "payload", test
    assert test.service == SERVICES.get(service.kind, service.kind), test
    assert test.finding is not None
    told = test.finding
    assert told.product in (None, service.product), test
    assert told.version in (None, service.version), test
    if service.program in TELL_PRODUCT:
        assert told.product is not None, test
    if service.program in TELL_VERSION:
        assert told.version is not None, test
    if service.kind.endswith("s") and service.kind in ("https", "smtps", "imaps", "pop3s"):
        assert told.tls is not None, test
        assert told.tls.version in ("TLSv1.2", "TLSv1.3"), test
        assert told.tls.subject, test
        assert told.tls.trusted is False, test


@pytest.mark.parametrize("rights", [True, False], ids=["root", "nobody"])
@pytest.mark.parametrize("address", ["192.168.6.1", "fd00:6::1"])
def test_every_service_is_what_it_is(state: LabState, address: str, rights: bool) -> None:
    found = {(test.port, test.transport): test for test in found_from(state, _question(state, address), rights)}
    asked = [
        (service, transport)
        for service in state.services
        if service.host == "server"
        for transport in service.transports
    ]
    assert set(found) == {(service.port, transport) for service, transport in asked}
    for service, transport in asked:
        test = found[service.port, transport]
        if service.kind == "syslog":
            assert (test.state, test.finding) == ("open|filtered", None)
            assert service.port != 514 or test.attempts == 0  # it would write into somebody's log
        elif service.kind == "dhcp" and ":" in address:
            assert test.reason == "not asked"  # it has neither this port nor this protocol over IPv6 (RFC 8415)
        elif service.kind == "dhcp" and not rights:
            assert test.note in (None, "the answer would come to a port that only root may listen on")
            assert (test.note is None) == (test.state == "open")
        else:
            _is_right(service, test)
