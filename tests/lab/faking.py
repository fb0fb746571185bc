"""Servers that are made for one test: a few lines of Python in the place of the servers of a kind."""

from __future__ import annotations

from shutil import which
from typing import TYPE_CHECKING, Any

import pytest

from portbook.lab import programs
from portbook.lab.servers.program import Candidate, Program

if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

# One that nobody may run as well, as the tests' own may not.
PYTHON = which("python3", path="/usr/bin:/bin:/usr/local/bin")

ECHO = """
import contextlib, os, socket, sys, threading, time
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
def serve():
    while True:
        connection, _ = server.accept()
        threading.Thread(target=converse, args=(connection,), daemon=True).start()
def converse(connection):
    with contextlib.suppress(OSError):
        while data := connection.recv(999):
            connection.sendall(data)
threading.Thread(target=serve, daemon=True).start()
"""
"""An echo server over TCP and IPv4, which serves as long as what follows in its script has not come to its end."""

FOR_EVER = "\ntime.sleep(600)\n"


def put_in_place(monkeypatch: pytest.MonkeyPatch, kind: str, script: str = ECHO + FOR_EVER, **more: Any) -> None:
    """Have the services of a kind served by a script, whose argument is the port; `more` is of its Program."""
    if PYTHON is None:
        pytest.skip("the system has no Python of its own that every user may run")

    def prepare(path: str, service: ServicePlan, folder: str) -> Program:
        return Program((path, "-S", "-E", "-c", script, str(service.port), folder), "1.2.3", **more)

    candidate = Candidate(PYTHON, "Script", "script-server", prepare, also=("script-data",))
    monkeypatch.setattr(programs, "CANDIDATES", {**programs.CANDIDATES, kind: (candidate,)})
