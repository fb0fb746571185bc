"""The main ports' real servers, told by what they say: at their own ports, and each moved to some other."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - who has no rights cannot read it where the interpreter is root's
import random
from collections.abc import Iterator

import pytest

import portbook.probe.datagrams
import portbook.probe.identify  # noqa: F401 - as above
from portbook.lab import hosts
from portbook.lab.scenario import load
from portbook.lab.state import LabState, ServiceState
from portbook.porttest import PortTest
from portbook.probe.reach import Limits
from portbook.probe.targets import Target
from portbook.probe.testing import Question, port_tests
from portbook.protocols.catalogue import protocols
from portbook.registry.lookup import open_registry
from tests.linux.children import drop_rights, in_child

from .test_main_ports import every_server, moved

pytestmark = [pytest.mark.lab, pytest.mark.servers]

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
"""The programs that name themselves. The others are known by what they speak alone."""

TELL_VERSION = {"vsftpd", "sshd", "named", "nginx", "nnrpd", "mariadbd", "kamailio"}
TLS = {"https", "smtps", "imaps", "pop3s", "rdp"}
NO_RIGHT = "the answer would come to a port that only root may listen on"


@pytest.fixture(scope="module", params=["at their own ports", "moved"])
def state(request: pytest.FixtureRequest) -> Iterator[LabState]:
    plan = load("main-ports")
    with every_server(plan if request.param != "moved" else moved(plan, random.Random(4))) as found:
        yield found


def found_from(state: LabState, question: Question, rights: bool) -> list[PortTest]:
    """Return what a run from the host `client` finds, with root's rights or with none."""
    protocols()
    with hosts.inside(state, "client") as entered:

        def inside() -> list[PortTest]:
            entered()
            if not rights:
                drop_rights()
            return list(port_tests(question))

        found: list[PortTest] = in_child(inside)
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


def _told(service: ServiceState) -> tuple[str | None, str | None]:
    """Return the product and the version that a service tells whoever asks what it is."""
    if service.kind == "rdp" and service.port != 3389:
        return service.product, None  # it is known by how it takes leave of one who speaks something else first
    return (
        service.product if service.program in TELL_PRODUCT else None,
        service.version if service.program in TELL_VERSION else None,
    )


def _is_right(service: ServiceState, test: PortTest) -> None:
    assert (test.state, test.service_by, test.note) == ("open", "payload", None), test
    assert test.service == SERVICES.get(service.kind, service.kind), test
    assert test.finding is not None
    told = test.finding
    assert (told.product, told.version) == _told(service), test
    if service.kind in TLS:
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
    assert {service.kind for service, _ in asked} >= {"syslog", "dhcp", *TLS}
    assert set(found) == {(service.port, transport) for service, transport in asked}
    for service, transport in asked:
        test = found[service.port, transport]
        if service.kind == "syslog":
            assert (test.state, test.finding) == ("open|filtered", None)
            # At its own port it is not asked: that would write into somebody's log.
            assert (test.reason, test.attempts == 0) == (
                ("not asked", True) if service.port == 514 else ("silence", False)
            )
        elif service.kind == "dhcp" and (":" in address or not rights):
            # It has neither this port nor this protocol over IPv6 (RFC 8415); its answers come to port 68.
            assert test.state == "open|filtered"
            assert test.reason == ("not asked" if ":" in address else "silence")
            assert test.note == (None if rights else NO_RIGHT)
        else:
            _is_right(service, test)
