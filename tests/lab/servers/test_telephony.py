"""SIP servers, asked over UDP and TCP by Python from another host."""

from __future__ import annotations

import sys

import pytest

from portbook.lab.servers.program import Candidate
from tests.lab.conftest import Raise

from .kernel import candidates
from .talking import ADDRESSES, APART, NAME, PORT, converses, listens, raised

ASK = """
import socket, sys
address, port, transport, method = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM) as asking:
    asking.settimeout(5)
    asking.connect((address, int(port)))
    here = "client.lab:%d" % asking.getsockname()[1]
    asking.sendall("\\r\\n".join((
        f"{method} sip:server.lab SIP/2.0",
        f"v: SIP/2.0/{transport} {here};branch=z9hG4bKtest;rport",
        "f: <sip:tests@client.lab>;tag=1",
        "t: <sip:server.lab>",
        "i: test@client.lab",
        f"CSeq: 7 {method}",
        "Max-Forwards: 5",
        "l: 0",
        "", "")).encode())
    print(asking.recv(65536).decode())
"""
every = pytest.mark.parametrize("candidate", candidates("sip"))


@every
def test_it_tells_what_it_can_do(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "sip", candidate)
    for address in ADDRESSES:
        for transport in ("UDP", "TCP"):
            asked = (sys.executable, "-c", ASK, address, str(PORT), transport)
            status, *lines = up["client"].run(*asked, "OPTIONS", timeout=20).stdout.splitlines()
            assert status == "SIP/2.0 200 OK"
            assert "CSeq: 7 OPTIONS" in lines
            [server] = [line for line in lines if line.startswith("Server: ")]
            assert f"{candidate.product} ({up.services[NAME].version} ".lower() in server.lower()
            assert up["client"].run(*asked, "MESSAGE", timeout=20).stdout.startswith("SIP/2.0 405 ")


@every
def test_it_listens_where_it_was_planned(candidate: Candidate, lab: Raise) -> None:
    listens(lab, "sip", candidate, APART)


@every
def test_many_conversations_and_then_its_end(candidate: Candidate, lab: Raise) -> None:
    name = converses(lab, "sip", candidate)
    [state] = raised(lab, "sip", candidate).services.values()
    assert name is not None
    assert state.version in name
