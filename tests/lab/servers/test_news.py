"""News servers, asked by plain sockets from another host."""

from __future__ import annotations

import sys

import pytest

from portbook.lab.servers.program import Candidate
from tests.lab.conftest import Raise

from .kernel import candidates, others
from .talking import ADDRESSES, PORT, converses, listens, raised

READ = """
import socket, sys
news = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
with news, news.makefile("rw", newline="\\r\\n") as told:
    for said in ("", "GROUP local.test", "ARTICLE 1", "POST", "QUIT"):
        if said:
            told.write(said + "\\n")
            told.flush()
        line = told.readline().strip()
        print(line)
        while said.startswith("ARTICLE") and line != ".":
            line = told.readline().strip()
            if line.startswith("Subject"):
                print(line)
"""


@pytest.mark.parametrize("candidate", candidates("nntp"))
def test_it_listens(candidate: Candidate, lab: Raise) -> None:
    listens(lab, "nntp", candidate)


@pytest.mark.parametrize("candidate", candidates("nntp"))
def test_it_converses(candidate: Candidate, lab: Raise) -> None:
    name = converses(lab, "nntp", candidate)
    assert name is not None
    assert name.startswith("server InterNetNews NNRP server INN ")


@others
@pytest.mark.parametrize("candidate", candidates("nntp"))
def test_its_group_is_read(candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, "nntp", candidate)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", READ, address, str(PORT))
        greeting, group, article, subject, post, _ = done.stdout.splitlines()
        version = up.services["it"].version
        assert greeting == f"201 server InterNetNews NNRP server INN {version} ready (no posting)"
        assert (group, article) == ("211 1 1 1 local.test", "220 1 <1@server> article")
        assert subject == "Subject: News for the lab"
        assert post.startswith("440")
