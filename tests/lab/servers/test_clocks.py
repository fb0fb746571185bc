"""Time servers, asked by a client of our own from another host; none of them may set the clock."""

from __future__ import annotations

import sys
import time

import pytest

from portbook.lab.scenario import ServicePlan
from portbook.lab.servers.program import Candidate, bracketed
from tests.lab.conftest import Raise
from tests.lab.plans import two_hosts

from .kernel import candidates, others, ports, processes, waiting
from .talking import ADDRESSES

ASK = """
import socket, struct, sys
address, port = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.settimeout(5)
    asking.sendto(struct.pack("!B39x8s", 0x1B, b"portbook"), (address, port))
    answer = asking.recv(1000)
first, stratum, origin, seconds = struct.unpack_from("!BB22x8s8xI", answer)
print(first >> 6, first >> 3 & 7, first & 7, stratum, origin.decode(), seconds - 2208988800)
"""
SET_TIME = 1 << 25  # CAP_SYS_TIME (capabilities(7))


def number_of(candidate: Candidate) -> int:
    """Return an odd port, or the only one of a program that has no other."""
    return 123 if candidate.name == "ntpd" else 31123


def plan(candidate: Candidate, address: str | None = None) -> ServicePlan:
    return ServicePlan("time", "server", "ntp", number_of(candidate), ("udp",), address, program=candidate.name)


@pytest.mark.parametrize("candidate", candidates("ntp"))
def test_it_tells_the_time(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate)))
    assert up.services["time"].product == candidate.product
    assert up.services["time"].version
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", ASK, address, str(number_of(candidate)))
        assert done.returncode == 0, done.stderr
        leap, version, mode, stratum, origin, seconds = done.stdout.split()
        assert (leap, version, mode, stratum, origin) == ("0", "3", "4", "10", "portbook")
        assert abs(int(seconds) - time.time()) < 60


@pytest.mark.parametrize("candidate", candidates("ntp"))
def test_it_waits_on_one_address_when_planned(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate)))
    assert ports(up["server"]) == {("udp", number_of(candidate))}
    for address in ADDRESSES:
        up = lab(two_hosts(plan(candidate, address)))
        assert waiting(up["server"]) == {("udp", f"{bracketed(address)}:{number_of(candidate)}")}


@others
@pytest.mark.parametrize("candidate", candidates("ntp"))
def test_it_has_no_right_to_set_the_clock(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(plan(candidate)))
    rights = up["server"].run("sh", "-c", "grep -H -e Name: -e CapPrm: /proc/[0-9]*/status").stdout.split()
    permitted = dict(zip(rights[1::4], (int(right, 16) for right in rights[3::4]), strict=True))
    assert permitted[candidate.name] & SET_TIME == 0
    # NTPsec wants to be root, so it has but the name.
    users = {name: uid for uid, name in processes(up["server"])}
    assert users[candidate.name] != 0 or permitted[candidate.name] == 1 << 10
