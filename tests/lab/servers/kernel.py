"""What the kernel of a host shows: the sockets that wait there, and who its processes are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from portbook.lab.programs import CANDIDATES
from portbook.lab.servers.program import Candidate, Program, installed

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from portbook.lab.scenario import ServicePlan
    from tests.lab.conftest import LabHost

others = pytest.mark.skipif(os.geteuid() != 0, reason="without root there is nobody else to become")


def _never(path: str, service: ServicePlan, folder: str) -> Program:
    raise AssertionError("what is ours is prepared by programs.py")


OWN = pytest.param(Candidate("python", "Python", "python3", _never), id="python")
"""Our own server, as if it were a candidate."""


def candidates(kind: str) -> list[ParameterSet]:
    """Return every real server of a kind as a parameter; those that are not installed are skipped."""
    return [
        pytest.param(
            one,
            id=one.name,
            marks=pytest.mark.skipif(
                not all(map(installed, (one.name, *one.needs))), reason=f"{one.name} is not installed"
            ),
        )
        for one in CANDIDATES[kind]
    ]


def waiting(host: LabHost) -> set[tuple[str, str]]:
    """Return the transport and the local endpoint of each socket that listens, or that takes any datagram."""
    rows = [line.split() for line in host.run("ss", "-Htuln").stdout.splitlines()]
    return {(row[0], row[4].replace("*:", "[::]:", 1)) for row in rows}


def ports(host: LabHost) -> set[tuple[str, int]]:
    """Return the transport and the port of those sockets."""
    return {(transport, int(endpoint.rpartition(":")[2])) for transport, endpoint in waiting(host)}


def processes(host: LabHost) -> list[tuple[int, str]]:
    """Return the user and the name of each process of a host but its init."""
    rows = [line.split(None, 1) for line in host.run("ps", "-eo", "uid=,comm=").stdout.splitlines()]
    return [(int(uid), name) for uid, name in rows if not name.startswith(("init-", "ps"))]
