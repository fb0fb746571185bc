"""The doors of the scenario closed-doors as a client meets them: each with its evidence, without rights too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from portbook.linux.namespaces import entered, find_namespace
from tests.probe.run import reached

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .conftest import Raise

IPV4, IPV6 = "192.168.3.1", "fd00:3::1"

DOORS = {
    80: ("open", "accepted"),
    81: ("closed", "reset"),
    82: ("filtered", "silence"),
    83: ("rejected", "icmp"),
    84: ("rejected", "icmp"),
    85: ("closed", "reset"),
    86: ("closed", "reset"),
    8080: ("open", "accepted"),
}
ICMP = {
    (IPV4, 83): (3, 3, IPV4),
    (IPV4, 84): (3, 13, IPV4),
    (IPV6, 83): (1, 4, IPV6),
    (IPV6, 84): (1, 1, IPV6),
}
"""Type, code, sender (RFC 792, RFC 1812 for code 13; RFC 4443)."""


@pytest.mark.parametrize("unprivileged", [False, True], ids=["root", "nobody"])
def test_every_door_is_told_with_its_evidence(lab: Raise, unprivileged: bool) -> None:
    if unprivileged and os.geteuid():
        pytest.skip("there are no rights to give up")
    pid = lab("closed-doors").state.host("client").pid

    def inside() -> AbstractContextManager[None]:
        return entered(find_namespace(str(pid)))

    ports = [(ip, port) for ip in (IPV4, IPV6) for port in DOORS]
    found, _ = reached(inside, ports, unprivileged=unprivileged)
    assert set(found) == set(ports)
    for address, (_, result, rtt, attempts, note, _) in found.items():
        assert result[:2] == DOORS[address[1]], address
        assert (result.icmp and tuple(result.icmp)[1:]) == ICMP.get(address), address
        assert (rtt is None) == (result.state == "filtered"), address
        assert attempts >= 3 if result.state == "filtered" else attempts == 1, address
        assert note is None
