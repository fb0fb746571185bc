"""The lab's own clients: what they find at every kind of door, and what they leave behind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from portbook.lab import talk
from portbook.lab.programs import client_argv
from portbook.lab.scenario import ClientPlan
from tests.hosts import Cable, Host, hosts
from tests.lab.running import serving, started

if TYPE_CHECKING:
    from collections.abc import Iterator

TALK = (sys.executable, "-m", "portbook.lab.talk")


@pytest.fixture
def host() -> Iterator[Host]:
    """Put the test into a host of its own."""
    with hosts(1) as [made], made.inside():
        yield made


def connections() -> list[str]:
    """Return the TCP sockets here that do not listen, as state, local and remote."""
    lines = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.split() for line in lines]
    return [f"{one[0]} {one[3]} {one[4]}" for one in words if one[0] != "LISTEN"]


def test_conversations_stay_open_with_the_source_ports_asked_for(host: Host) -> None:
    with serving("http", 80):
        talks = talk.begin("http", ("127.0.0.1", 80), source_port=1099, count=3)
        assert talks.outcomes == {"answered": 3}
        assert talks.servers == {"the-http": 3}
        shown = connections()
        for port in (1099, 1100, 1101):
            assert f"ESTAB 127.0.0.1:{port} 127.0.0.1:80" in shown
            assert f"ESTAB 127.0.0.1:80 127.0.0.1:{port}" in shown
        talks.close()


def test_asking_whether_it_answers_leaves_nothing(host: Host) -> None:
    with serving("http", 80), serving("http", 81, "--no-keep-alive"), serving("ftp", 21):
        for kind, port in (("http", 80), ("http", 81), ("ftp", 21)):
            assert talk.answers(kind, ("127.0.0.1", port))
            assert not talk.answers(kind, ("127.0.0.1", port + 1000))
        assert connections() == []


def test_a_source_port_in_use_is_none_left(host: Host) -> None:
    with serving("echo", 7):
        first = talk.begin("echo", ("127.0.0.1", 7), source_port=1099)
        assert talk.begin("echo", ("127.0.0.1", 7), source_port=1099).outcomes == {"no-source-port": 1}
        first.close()


def test_it_runs_out_of_source_ports(host: Host) -> None:
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("50000 50009")
    with serving("echo", 7):
        talks = talk.begin("echo", ("127.0.0.1", 7), count=13)
        assert talks.outcomes == {"answered": 10, "no-source-port": 3}
        talks.reset()


@pytest.mark.parametrize(
    ("action", "outcome", "outcome6"),
    [
        ("drop", "silent", "silent"),
        ("reject with tcp reset", "refused", "refused"),
        ("reject with icmpx port-unreachable", "refused", "refused"),
        ("reject with icmpx admin-prohibited", "rejected", "rejected"),
        ("reject with icmpx host-unreachable", "rejected", "rejected"),
        ("reject with icmpx no-route", "rejected", "rejected"),
    ],
)
def test_each_kind_of_closed_door(action: str, outcome: str, outcome6: str) -> None:
    rules = f"table inet lab {{\nchain input {{\ntype filter hook input priority 0\ntcp dport 80 {action}\n}}\n}}\n"
    with hosts(2) as [near, far]:
        Cable(near, far)
        with far.inside():
            done = subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=False, capture_output=True)
            if done.returncode:
                pytest.skip(f"nft does not work here: {done.stderr}")
        with near.inside():
            for address, expected in (("10.66.0.2", outcome), ("fd66::2", outcome6)):
                assert talk.begin("http", (address, 80)).outcomes == {expected: 1}
            assert talk.begin("http", ("10.66.0.2", 81)).outcomes == {"refused": 1}
            assert talk.begin("http", ("192.0.2.1", 80)).outcomes == {"rejected": 1}
            # An address of the network that nobody has.
            assert talk.begin("http", ("10.66.0.77", 80), patience=0.2).outcomes == {"silent": 1}


def test_a_closed_datagram_port_refuses(host: Host) -> None:
    for kind in ("echo", "sink"):
        assert talk.begin(kind, ("127.0.0.1", 7), "udp").outcomes == {"refused": 1}


@pytest.mark.parametrize("kind", ["http", "ftp", "ssh", "echo"])
@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x01\0\x02\x02F" * 3, b"\r\n\r\n" * 20_000, b"220-", b"HTTP/1.1"])
def test_what_another_protocol_says_is_no_answer(host: Host, kind: str, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 80)) as server:

        def say() -> None:
            connection, _ = server.accept()
            with connection:
                if kind != "ftp":
                    connection.recv(4096)
                try:
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass  # the client has heard enough

        speaker = Thread(target=say)
        speaker.start()
        talks = talk.begin(kind, ("127.0.0.1", 80))
        assert talks.outcomes == {"not-spoken": 1}
        assert talks.sockets == []
        speaker.join()


def test_the_command_tells_in_one_line_and_holds(host: Host) -> None:
    plan = ClientPlan(host.name, "http", host.name, 80, source_port=1099, count=2)
    with serving("http", 80), started(client_argv(plan, "127.0.0.1")) as client:
        assert client.stdout is not None
        assert json.loads(client.stdout.readline()) == {"outcomes": {"answered": 2}, "servers": {"the-http": 2}}
        assert client.poll() is None
        assert {line for line in connections() if line.endswith(":80")} == {
            "ESTAB 127.0.0.1:1099 127.0.0.1:80",
            "ESTAB 127.0.0.1:1100 127.0.0.1:80",
        }
        client.terminate()
        assert client.wait(10) == -15


def test_the_command_ends_when_it_need_not_hold(host: Host) -> None:
    with serving("echo", 7):
        argv = (*TALK, "echo", "::1", "7")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["outcomes"] == {"answered": 1}
    done = subprocess.run((*argv, "--hold"), capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["outcomes"]) == (1, {"refused": 1})
