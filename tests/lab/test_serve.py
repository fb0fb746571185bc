"""The lab's own servers, asked by the standard library's clients."""

from __future__ import annotations

import ftplib
import http.client
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portbook.lab import talk
from portbook.lab.programs import OURS
from portbook.lab.scenario import KINDS
from tests.hosts import Host, hosts
from tests.lab.conftest import eventually
from tests.lab.running import SERVE, serving, started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portbook.lab.scenario import Transport

BOTH = ("127.0.0.1", "::1")


@pytest.fixture
def host() -> Iterator[Host]:
    """Put the test into a host of its own."""
    with hosts(1) as [made], made.inside():
        yield made


@pytest.mark.parametrize("transport_of_kind", [(kind, t) for kind in OURS for t in KINDS[kind]])
def test_every_kind_answers_over_both_families(host: Host, transport_of_kind: tuple[str, Transport]) -> None:
    kind, transport = transport_of_kind
    with serving(kind, 80, transports=(transport,)):
        for address in BOTH:
            talks = talk.begin(kind, (address, 80), transport, count=3)
            assert talks.outcomes == {"answered": 3}
            talks.close()


@pytest.mark.parametrize("kind", OURS)
def test_it_gives_up_its_rights(host: Host, kind: str) -> None:
    with serving(kind, 80) as process:
        status = Path(f"/proc/{process.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["65534"] * 4
        assert fields["Gid"].split() == ["65534"] * 4
        assert fields["Groups"].strip() == ""
        assert fields["NoNewPrivs"] == "1"
        # FTP's active mode begins connections from port 20.
        assert int(fields["CapEff"], 16) == (1 << 10 if kind == "ftp" else 0)
        assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16)


def test_http_answers_requests_on_one_connection(host: Host) -> None:
    with serving("http", 80):
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=5)
        for method, body in (("GET", b"Here is the-http.\n"), ("HEAD", b""), ("GET", b"Here is the-http.\n")):
            connection.request(method, "/")
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Server"), answer.read()) == (200, "the-http", body)
            assert answer.getheader("Content-Length") == "18"
        connection.request("DELETE", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (501, b"Here is the-http.\n")
        connection.close()


def test_http_without_keep_alive_closes_first(host: Host) -> None:
    with serving("http", 80, "--no-keep-alive"):
        connection = socket.create_connection(("127.0.0.1", 80), 5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert b"\r\nConnection: close\r\n" in answer
        port = connection.getsockname()[1]
        connection.close()
        shown = subprocess.run(
            ["ss", "-Htan", "state", "time-wait"], capture_output=True, text=True, check=True
        ).stdout
        assert f"127.0.0.1:80 127.0.0.1:{port}" in " ".join(shown.split())


@pytest.mark.parametrize(
    "noise", [b"", b"\0\xff" * 40_000, b"GET\r\n\r\n", b"\r\n\r\n", b"USER\r\nPORT ,\r\nRETR\r\n"]
)
@pytest.mark.parametrize("kind", ["http", "ftp", "ssh"])
def test_noise_does_no_harm(host: Host, kind: str, noise: bytes) -> None:
    with serving(kind, 80) as process:
        for reset in (False, True):
            connection = socket.create_connection(("127.0.0.1", 80), 5)
            try:
                connection.sendall(noise)
                if not reset:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
            except ConnectionError:
                pass  # it has heard enough
            connection.close()
        assert talk.answers(kind, ("127.0.0.1", 80))
        process.kill()
        assert process.communicate()[1] == ""


@pytest.mark.parametrize("address", BOTH)
@pytest.mark.parametrize("passive", [True, False])
def test_ftp_lists_and_sends_its_file(host: Host, address: str, passive: bool) -> None:
    with serving("ftp", 21):
        client = ftplib.FTP(timeout=5)
        assert client.connect(address, 21).startswith("220 ")
        client.login()
        client.set_pasv(passive)
        assert client.pwd() == "/"
        lines: list[str] = []
        client.retrlines("LIST", lines.append)
        assert [line.split()[-1] for line in lines] == ["harbour.txt", "logbook.txt"]
        data: list[bytes] = []
        client.retrbinary("RETR harbour.txt", data.append)
        assert len(b"".join(data)) == int(lines[0].split()[4])
        assert client.quit() == "221 Goodbye"


def test_ftp_in_active_mode_comes_from_port_20(host: Host) -> None:
    with serving("ftp", 21):
        client = ftplib.FTP(timeout=5)
        client.connect("127.0.0.1", 21)
        client.login()
        with client.makeport() as waiting:
            client.putcmd("LIST")
            data, sender = waiting.accept()
            assert sender == ("127.0.0.1", 20)
            data.close()
        assert client.getresp().startswith("150")
        assert client.getresp().startswith("226")
        client.close()


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ("PWD", "530"),
        ("USER root; PASS toor", "530"),
        ("USER anonymous; PASS a; PWD", "257"),
        ("USER anonymous; PASS a; USER root; PWD", "530"),
        ("USER anonymous; PASS a; STOR b", "502"),
        ("USER anonymous; PASS a; LIST", "425"),
        ("USER anonymous; PASS a; PASV; RETR none", "550"),
        ("USER anonymous; PASS a; PORT 127,0,0,2,200,0", "501"),
        ("USER anonymous; PASS a; PORT 127,0,0,1,0,80", "501"),
        ("USER anonymous; PASS a; PORT 127,0,0,1", "501"),
        ("USER anonymous; PASS a; PORT 127,0,0,1,256,0", "501"),
        ("USER anonymous; PASS a; EPRT |1|127.0.0.1|50000|", "200"),
        ("USER anonymous; PASS a; EPRT |1|127.0.0.9|50000|", "501"),
        ("USER anonymous; PASS a; EPRT", "501"),
        (f"USER anonymous; PASS a; EPRT |1|127.0.0.1|{'9' * 5000}|", "501"),
        (f"USER anonymous; PASS a; PORT 127,0,0,1,{'9' * 5000},0", "501"),
        ("USER anonymous; PASS a; PORT 127,0,0,1,200,0; LIST", "425"),
        ("USER anonymous; PASS a; TYPE I", "200"),
        ("USER anonymous; PASS a; TYPE E", "504"),
        ("NOOP", "200"),
        ("FEAT", "211"),
        ("SYST", "215"),
        ("quit", "221"),
    ],
)
def test_ftp_replies(host: Host, commands: str, code: str) -> None:
    with serving("ftp", 21), ftplib.FTP(timeout=5) as client:
        client.connect("127.0.0.1", 21)
        reply = ""
        for command in commands.split("; "):
            client.putcmd(command)
            reply = client.getmultiline()
            if reply.startswith("150"):
                reply = client.getmultiline()
        assert reply[:3] == code


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_port_that_is_taken_is_told_in_its_last_words(host: Host, transport: Transport) -> None:
    options = ("--no-reuse-address",) if transport == "udp" else ()
    with serving("echo", 7, *options, transports=(transport,)):
        argv = (*SERVE, "echo", "--name", "second", "--port", "7", "--transport", transport, *options)
        second = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert second.returncode == 1
        assert second.stderr == f"second: cannot listen on * port 7/{transport}: Address already in use\n"


def test_two_that_share_have_the_port_both(host: Host) -> None:
    with (
        serving("http", 80, "--reuse-port"),
        started((*SERVE, "http", "--name", "other", "--port", "80", "--transport", "tcp", "--reuse-port")) as other,
    ):

        def both_answer() -> bool:
            talks = talk.begin("http", ("127.0.0.1", 80), count=10)
            talks.reset()
            return set(talks.servers) == {"the-http", "other"}

        assert eventually(both_answer)
        assert other.poll() is None


def test_it_listens_where_it_is_told(host: Host) -> None:
    with serving("echo", 7, "--address", "127.0.0.1"):
        assert talk.begin("echo", ("::1", 7)).outcomes == {"refused": 1}
        assert talk.begin("echo", ("127.0.0.2", 7)).outcomes == {"refused": 1}
