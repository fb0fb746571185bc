"""Web servers, asked by Python's own clients from another host."""

from __future__ import annotations

import json
import sys

import pytest

from portbook.lab.servers.program import Candidate
from tests.lab.conftest import Raise

from .kernel import OWN, candidates, others
from .talking import ADDRESSES, APART, EVERYWHERE, NAME, PORT, converses, listens, raised

KINDS = ("http", "https")
TOKENS = {"nginx": "nginx/{}", "apache2": "Apache/{} (Debian)", "lighttpd": "lighttpd/{}", "python": NAME}
every = pytest.mark.parametrize(
    ("kind", "candidate"),
    [pytest.param(kind, *one.values, marks=one.marks) for kind in KINDS for one in (*candidates(kind), OWN)],
)
ASK = """
import http.client, json, socket, ssl, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if kind == "https":
    connection = http.client.HTTPSConnection(address, port, timeout=5, context=context)
else:
    connection = http.client.HTTPConnection(address, port, timeout=5)
told = []
for method in ("GET", "HEAD", "GET"):
    connection.request(method, "/")
    answer = connection.getresponse()
    told.append([answer.status, answer.getheader("Server"), answer.getheader("Content-Type"), answer.read().decode()])
    told[-1].append(connection.sock.getsockname()[1])
print(json.dumps([told, kind == "https" and connection.sock.getpeercert(True).hex()]))
"""


@every
def test_it_answers_again_and_again_and_names_itself(kind: str, candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, kind, candidate)
    names = TOKENS[candidate.name].format(up.services[NAME].version)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", ASK, kind, address, str(PORT), timeout=20)
        assert done.returncode == 0, done.stderr
        told, certificate = json.loads(done.stdout)
        assert [one[:4] for one in told] == [
            [200, names, "text/plain", body] for body in (f"Here is {NAME}.\n", "", f"Here is {NAME}.\n")
        ]
        # All by one connection.
        assert len({one[4] for one in told}) == 1
        if kind == "https":
            # The host's name as the common name of the subject (RFC 5280, appendix A.1).
            assert bytes((6, 3, 85, 4, 3, 12, 6)) + b"server" in bytes.fromhex(certificate)


@every
def test_it_listens_as_planned(kind: str, candidate: Candidate, lab: Raise) -> None:
    listens(lab, kind, candidate, APART if candidate.name == "apache2" else EVERYWHERE)


@every
def test_many_talk_to_it(kind: str, candidate: Candidate, lab: Raise) -> None:
    name = converses(lab, kind, candidate)
    assert name is not None
    assert name.startswith(TOKENS[candidate.name].partition("/")[0])


@others
def test_our_own_needs_openssl_for_tls(lab: Raise) -> None:
    up = raised(lab, "http", OWN.values[0])  # type: ignore[arg-type]
    argv = (
        sys.executable,
        "-m",
        "portbook.lab.serve",
        "https",
        "--name",
        "it",
        "--port",
        "443",
        "--transport",
        "tcp",
    )
    done = up["client"].run("env", "PATH=/nonexistent", *argv, timeout=20)
    assert (done.returncode, done.stderr) == (1, "it: openssl cannot be run: No such file or directory\n")
