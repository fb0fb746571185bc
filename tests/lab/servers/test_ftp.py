"""FTP servers, visited by Python's ftplib from another host."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import pytest

from portbook.lab.ftp_files import LARGE, SMALL, files
from portbook.lab.scenario import ClientPlan
from portbook.lab.servers.program import Candidate
from tests.lab.conftest import Raise
from tests.lab.plans import two_hosts

from .kernel import OWN, candidates, processes
from .talking import ADDRESSES, NAME, PORT, listens, service

GREETINGS = {"vsftpd": "vsFTPd {}", "proftpd": "ProFTPD", "pure-ftpd": "Pure-FTPd", "python": "portbook lab"}
# What stays root's: that which listens, and of Pure-FTPd the part that opens port 20.
ROOTS = {"vsftpd": {"inetd"}, "proftpd": {"inetd"}, "pure-ftpd": {"pure-ftpd"}, "python": set()}
every = pytest.mark.parametrize("candidate", [*candidates("ftp"), OWN])
VISIT = """
import ftplib, json, sys
address, port, large = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = ftplib.FTP(timeout=5)
told = {"welcome": client.connect(address, port), "fetched": []}
client.login()
for passive in (True, False):
    client.set_pasv(passive)
    told["names"] = sorted(set(client.nlst()) - {".", ".."})
    data = []
    client.retrbinary("RETR " + large, data.append)
    told["fetched"].append(b"".join(data).decode())
with client.makeport() as waiting:
    client.putcmd("RETR " + large)
    told["source"] = waiting.accept()[1][:2]
client.close()
told["refused"] = []
for command in ("RETR /etc/passwd", "RETR ../vsftpd.conf", "STOR new", "DELE " + large):
    client = ftplib.FTP(timeout=5)
    client.connect(address, port)
    client.login()
    try:
        client.transfercmd(command).close()
    except ftplib.error_perm as error:
        told["refused"].append(str(error)[:1])
print(json.dumps(told))
"""


@every
def test_a_visitor_fetches_a_file_in_either_mode(candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(service("ftp", candidate)))
    state = up.services[NAME]
    assert (state.program, state.product) == (candidate.name, candidate.product)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", VISIT, address, str(PORT), LARGE, timeout=30)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert GREETINGS[candidate.name].format(state.version) in told["welcome"]
        assert re.fullmatch(r"\d+\.\d+[\w.]*", state.version)
        assert told["names"] == sorted((SMALL, LARGE))
        assert told["fetched"] == [files()[LARGE]] * 2
        assert told["source"] == [address, 20 if candidate.name == "pure-ftpd" else PORT - 1]
        assert told["refused"] == ["5"] * 4


@every
@pytest.mark.parametrize("port", [21, PORT])
def test_a_data_connection_of_active_mode_is_held(candidate: Candidate, port: int, lab: Raise) -> None:
    clients = tuple(
        ClientPlan("client", "ftp-active", "server", port, family=family, count=3) for family in ("ipv4", "ipv6")
    )
    up = lab(replace(two_hosts(service("ftp", candidate, port)), clients=clients))
    data = 20 if candidate.name == "pure-ftpd" else port - 1
    rows = [line.split() for line in up["client"].run("ss", "-Htn", "state", "established").stdout.splitlines()]
    held = [row[3].strip("[]").replace("]:", ":").rpartition(":") for row in rows]
    for address in ADDRESSES:
        assert sorted(int(one[2]) for one in held if one[0] == address) == sorted((*(port,) * 3, *(data,) * 3))
    # Unread, so that it lasts.
    here = up["server"].run("ss", "-Htn", "state", "established", f"sport = :{data}").stdout.splitlines()
    assert len(here) == 6
    assert all(int(line.split()[1]) > 0 for line in here)
    users = processes(up["server"])
    assert {name for uid, name in users if uid == 0} <= ROOTS[candidate.name]
    assert len([uid for uid, name in users if uid != 0]) >= 1


@every
def test_it_listens_as_planned(candidate: Candidate, lab: Raise) -> None:
    listens(lab, "ftp", candidate)
