"""`portbook test --until`: a port that opens, one that closes, one that does neither, hosts with two addresses."""

from __future__ import annotations

import socket
import threading

import pytest

from .conftest import Ask
from .doors import HOME, Greeter, greeter, rows, two_addresses


def test_it_waits_until_a_port_opens(ask: Ask) -> None:
    with socket.socket() as late:
        late.bind((HOME, 0))
        port = late.getsockname()[1]
        timer = threading.Timer(0.3, late.listen)
        timer.start()
        answer = ask("test", f"{HOME}:{port}", "--until", "open", "--timeout", "30", "--no-identify")
        timer.join()
    assert answer.code == 0
    assert "open" in answer.out


def test_it_gives_up_when_the_time_is_over(ask: Ask, shut: int, mute: int) -> None:
    for port in (shut, mute):
        answer = ask("test", f"{HOME}:{port}", "--until", "open", "--timeout", "0.3", "--format", "ndjson")
        assert answer.code == 1
        assert "not open within 0.3 s" in answer.err
        assert [row["port"] for row in rows(answer)] == [port]


def test_it_waits_until_a_port_closes(ask: Ask, shut: int) -> None:
    assert ask("test", f"{HOME}:{shut}", "--until", "closed", "--timeout", "30").code == 0
    with greeter() as server:
        timer = threading.Timer(0.3, server.close)
        timer.start()
        answer = ask("test", f"{HOME}:{server.port}", "--until", "closed", "--timeout", "30")
        timer.join()
        server.socket = socket.create_server((HOME, 0))  # for greeter to close
    assert answer.code == 0


def test_one_open_address_of_a_host_is_enough(ask: Ask, monkeypatch: pytest.MonkeyPatch, ssh: Greeter) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    answer = ask("test", f"two.example:{ssh.port}", "--until", "open", "--timeout", "30", "--format", "ndjson")
    assert answer.code == 0
    assert {row["ip"]: row["service"] for row in rows(answer)}[HOME] == "ssh"
    answer = ask("test", f"two.example:{ssh.port}", "--until", "closed", "--timeout", "0.2")
    assert answer.code == 1


def test_what_is_open_already_is_not_asked_again_while_waiting(ask: Ask, ssh: Greeter, shut: int) -> None:
    ask("test", HOME, "-p", f"{ssh.port},{shut}", "--until", "open", "--timeout", "1", "--no-identify")
    assert 1 <= ssh.settled() <= 2  # the rounds are more; of a second connection the pace may want to know
