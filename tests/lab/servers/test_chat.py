"""IRC servers: two clients in Python, of either family, that meet in a channel."""

from __future__ import annotations

import sys

import pytest

from portbook.lab.servers.program import Candidate
from tests.lab.conftest import Raise

from .kernel import candidates
from .talking import ADDRESSES, NAME, PORT, converses, listens, raised

MEET = """
import socket, sys

def come(name, address):
    connection = socket.create_connection((address, int(sys.argv[1])), 10)
    lines = connection.makefile("r", newline="\\r\\n")
    connection.sendall(f"NICK {name}\\r\\nUSER {name} 0 * :{name}\\r\\n".encode())
    for line in lines:
        if line.startswith("PING"):
            connection.sendall(line.replace("PING", "PONG", 1).encode())
        if " 002 " in line or " 372 " in line:
            print(line.strip())
        if " 376 " in line:
            connection.sendall(b"JOIN #tests\\r\\n")
        if " 366 " in line:
            return connection, lines

one, heard = come("one", sys.argv[2])
other, _ = come("other", sys.argv[3])
other.sendall(b"PRIVMSG #tests :Is anybody here?\\r\\n")
print(next(line for line in heard if "PRIVMSG" in line).strip())
"""
every = pytest.mark.parametrize("candidate", candidates("irc"))


@every
def test_two_meet_in_a_channel(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "irc", candidate)
    done = up["client"].run(sys.executable, "-c", MEET, str(PORT), *ADDRESSES, timeout=30)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    # InspIRCd tells no more of its version than the first number.
    version = up.services[NAME].version.split(".")[0]
    assert f"{candidate.product}-{version}".lower() in lines[0].lower()
    assert lines[1].endswith(f"Here is {NAME}.") or lines[2].endswith(f"Here is {NAME}.")
    assert lines[-1].startswith(":other!")
    assert lines[-1].endswith(" PRIVMSG #tests :Is anybody here?")


@every
def test_it_listens_where_it_was_planned(candidate: Candidate, lab: Raise) -> None:
    listens(lab, "irc", candidate)


@every
def test_many_conversations_and_then_its_end(candidate: Candidate, lab: Raise) -> None:
    # InspIRCd lets newcomers in once a second.
    name = converses(lab, "irc", candidate, count=3)
    [state] = raised(lab, "irc", candidate).services.values()
    assert name is not None
    assert name.lower().startswith(f"{candidate.product}-{state.version.split('.')[0]}".lower())
