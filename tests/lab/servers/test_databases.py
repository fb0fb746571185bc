"""Databases, asked by their own clients and by Python from another host."""

from __future__ import annotations

import sys

import pytest

from portbook.lab.servers.program import Candidate, installed
from tests.lab.conftest import LabHost, Raise

from .kernel import candidates
from .talking import ADDRESSES, PORT, converses, listens, raised

KINDS = ("mysql", "postgresql", "redis", "memcached")
every = pytest.mark.parametrize(
    ("kind", "candidate"),
    [pytest.param(kind, *one.values, marks=one.marks, id=one.id) for kind in KINDS for one in candidates(kind)],
)
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as connection:
    connection.sendall(b"version\\r\\nquit\\r\\n")
    print(connection.makefile().read())
"""


def told(host: LabHost, *argv: str) -> str:
    """Return what a client program prints."""
    if installed(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    done = host.run(*argv, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def mariadb(address: str) -> tuple[str, ...]:
    return ("mariadb", "--no-defaults", "-h", address, "-P", str(PORT), "-u", "portbook", "-Nse")


def psql(address: str, user: str = "portbook") -> tuple[str, ...]:
    return ("psql", "-X", "-w", "-h", address, "-p", str(PORT), "-U", user, "-d", "postgres", "-Atc")


@pytest.mark.parametrize("candidate", candidates("mysql"))
def test_mysql_lets_its_client_see_the_server_alone(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "mysql", candidate)
    version = up.services["it"].version
    for address in ADDRESSES:
        ask = mariadb(address)
        answer = told(up["client"], *ask, "SELECT VERSION(), CURRENT_USER()")
        assert answer.startswith(f"{version}-{candidate.product}")
        assert answer.endswith("\tportbook@%")
        assert told(up["client"], *ask, "SHOW DATABASES") == "information_schema"
        assert told(up["client"], *ask, "SHOW GRANTS") == "GRANT USAGE ON *.* TO `portbook`@`%`"
        refused = up["client"].run(*("root" if word == "portbook" else word for word in ask), "SELECT 1")
        assert "ERROR 1045" in refused.stderr or "ERROR 1130" in refused.stderr


@pytest.mark.parametrize("candidate", candidates("postgresql"))
def test_postgresql_lets_its_client_see_the_server_alone(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "postgresql", candidate)
    version = up.services["it"].version
    for address in ADDRESSES:
        assert told(up["client"], *psql(address), "SHOW server_version").split()[0] == version
        made = up["client"].run(*psql(address), "CREATE TABLE anything (number int)")
        assert "permission denied" in made.stderr
        assert "no pg_hba.conf entry" in up["client"].run(*psql(address, "postgres"), "SELECT 1").stderr


@pytest.mark.parametrize("candidate", candidates("redis"))
def test_redis_answers_its_client(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "redis", candidate)
    for address in ADDRESSES:
        ask = ("redis-cli", "-h", address, "-p", str(PORT))
        assert f"redis_version:{up.services['it'].version}" in told(up["client"], *ask, "info", "server").splitlines()
        assert told(up["client"], *ask, "set", "word", "value") == "OK"
        assert told(up["client"], *ask, "get", "word") == "value"


@pytest.mark.parametrize("candidate", candidates("memcached"))
def test_memcached_answers_a_client(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "memcached", candidate)
    for address in ADDRESSES:
        answer = told(up["client"], sys.executable, "-c", ASK, address, str(PORT))
        assert answer == f"VERSION {up.services['it'].version}"


@every
def test_it_listens_where_it_was_planned(kind: str, candidate: Candidate, lab: Raise) -> None:
    listens(lab, kind, candidate)


@every
def test_many_conversations_and_then_its_end(kind: str, candidate: Candidate, lab: Raise) -> None:
    name = converses(lab, kind, candidate)
    [version] = {service.version for service in raised(lab, kind, candidate).services.values()}
    assert name is not None
    assert name.startswith(version)
