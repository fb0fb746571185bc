"""Remote desktops, asked by Python and openssl from another host."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from portbook.lab.servers.program import Candidate
from tests.lab.conftest import Raise
from tests.lab.plans import two_hosts

from .kernel import candidates
from .talking import ADDRESSES, APART, NAME, PORT, converses, listens, raised, service

RDP = """
import socket, ssl, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
    connection.sendall(bytes.fromhex("030000130ee000000000000100080001000000"))
    print(connection.recv(4096).hex())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connection) as safe:
        print(safe.version())
        print(ssl.DER_cert_to_PEM_cert(safe.getpeercert(True)))
"""
VNC = """
import socket, struct, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
    stream = connection.makefile("rwb")
    def say(data):
        stream.write(data)
        stream.flush()
    print(stream.read(12).decode().strip())
    say(b"RFB 003.008\\n")
    kinds = stream.read(stream.read(1)[0])
    say(b"\\1")
    result = stream.read(4)
    say(b"\\1")
    width, height, length = struct.unpack("!HH16xI", stream.read(24))
    print(kinds.hex(), result.hex(), f"{width}x{height}", stream.read(length).decode())
"""
rdp = pytest.mark.parametrize("candidate", candidates("rdp"))
vnc = pytest.mark.parametrize("candidate", candidates("vnc"))


@rdp
def test_rdp_agrees_on_tls_with_a_certificate_of_its_own(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "rdp", candidate)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", RDP, address, str(PORT), timeout=30)
        assert done.returncode == 0, done.stderr
        confirm, version, pem = done.stdout.split("\n", 2)
        # TPKT, X.224 Connection Confirm, RDP_NEG_RSP that chose TLS.
        assert confirm[:12] == "030000130ed0"
        assert (confirm[22:24], confirm[30:]) == ("02", "01000000")
        assert version == "TLSv1.3"
        named = up["client"].run("openssl", "x509", "-noout", "-subject", input=pem)
        assert "CN = server" in named.stdout


@rdp
def test_rdp_listens_where_it_was_planned(candidate: Candidate, lab: Raise) -> None:
    listens(lab, "rdp", candidate, APART)


@rdp
def test_rdp_holds_many_conversations_and_ends(candidate: Candidate, lab: Raise) -> None:
    assert converses(lab, "rdp", candidate) is None


@vnc
def test_vnc_shows_a_desktop(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "vnc", candidate)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", VNC, address, str(PORT), timeout=30)
        assert done.returncode == 0, done.stderr
        greeting, desktop = done.stdout.splitlines()
        assert greeting == "RFB 003.008"
        kinds, *rest = desktop.split(" ")
        assert "01" in kinds
        assert rest == ["00000000", "1024x768", NAME]


@vnc
def test_vnc_listens_where_it_was_planned(candidate: Candidate, lab: Raise) -> None:
    listens(lab, "vnc", candidate)


@vnc
def test_vnc_holds_many_conversations_and_ends(candidate: Candidate, lab: Raise) -> None:
    assert converses(lab, "vnc", candidate) == NAME


@vnc
def test_two_screens_on_one_host(candidate: Candidate, lab: Raise) -> None:
    one = service("vnc", candidate)
    up = lab(two_hosts(one, replace(one, name="other", port=PORT + 1)))
    for port, name in ((PORT, NAME), (PORT + 1, "other")):
        done = up["client"].run(sys.executable, "-c", VNC, ADDRESSES[0], str(port), timeout=30)
        assert done.stdout.rstrip().endswith(f" {name}")
