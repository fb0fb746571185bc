"""Ports are reached and identified side by side, and whatever ends the run leaves nothing behind."""

from __future__ import annotations

import gc
import socket
import threading
import warnings

import pytest

from portbook.porttest import Finding, PortTest
from portbook.probe.identify import Identification
from portbook.probe.reach import Limits
from portbook.probe.targets import Target
from portbook.probe.testing import Question, count, port_tests

from .serving import Served, served

HOST = "127.0.0.1"


def question(port: int, *names: str, identify: bool = True) -> Question:
    targets = [Target(name, name, HOST, port) for name in names or (HOST,)]
    return Question(targets, {"tcp": [port]}, identify, Limits(), lambda _port, _transport: "registered")


def ssh(connection: socket.socket, _: Served) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    connection.recv(100)


def mute(connection: socket.socket, state: Served) -> None:
    state.wait()


def test_one_connection_reaches_and_identifies() -> None:
    with served(ssh) as server:
        (test,) = port_tests(question(server.port))
    assert (test.state, test.service, test.service_by) == ("open", "ssh", "payload")
    assert server.accepted == 1


def test_an_address_by_two_names_has_two_rows_and_by_one_name_one() -> None:
    with served(ssh) as server:
        asked = question(server.port, "one.example", "two.example", "one.example")
        tests = list(port_tests(asked))
        assert count(asked) == 2
    assert sorted(test.target for test in tests) == ["one.example", "two.example"]
    assert {test.service for test in tests} == {"ssh"}
    assert server.accepted == 2


def test_what_fails_in_a_protocol_loses_neither_its_row_nor_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(self: Identification) -> Finding | None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Identification, "finding", failing)
    with served(ssh) as server:
        tests = list(port_tests(question(server.port, "one.example", "two.example")))
    assert [test.state for test in tests] == ["open", "open"]
    assert [test.service_by for test in tests] == ["port", "port"]
    assert all(test.note is not None and "portbook failed" in test.note for test in tests)


def test_a_run_that_is_closed_leaves_neither_threads_nor_sockets_nor_warnings() -> None:
    before = threading.active_count()
    with served(mute) as server, served(ssh) as other:
        asked = question(server.port)._replace(
            targets=[Target(HOST, HOST, HOST, server.port), Target(HOST, HOST, HOST, other.port)]
        )
        there = threading.active_count()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            running = port_tests(asked)
            first = next(running)
            running.close()
            gc.collect()
        assert isinstance(first, PortTest)
        assert first.service == "ssh"
        assert threading.active_count() <= there + 2  # the servers' own, one for each connection
    assert threading.active_count() == before


def test_what_only_fits_stays_the_ports_service() -> None:
    test = PortTest(HOST, HOST, 37, "tcp", "open", "accepted", service="time", service_by="port")
    shown = test.with_finding(Finding("qotd", "A", "1", banner="words", certain=False))
    assert (shown.service, shown.service_by) == ("time", "port")
    assert shown.finding is not None
    assert (shown.finding.product, shown.finding.banner) == (None, "words")
