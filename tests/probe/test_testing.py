"""Ports are reached and identified side by side, and whatever ends the run leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings

import pytest

from portbook.porttest import Finding, PortTest
from portbook.probe import datagrams
from portbook.probe.datagrams import SourcePorts
from portbook.probe.identify import Identification
from portbook.probe.reach import Limits
from portbook.probe.targets import Target
from portbook.probe.testing import AT_ONCE, Question, count, port_tests

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


def test_udp_ports_are_asked_so_many_at_a_time_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[int] = []
    most = 0

    async def slow(target: Target, port: int, identify: bool, sources: SourcePorts) -> PortTest:
        nonlocal most
        running.append(port)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.remove(port)
        if port == 7:
            raise RuntimeError("a defect")
        return PortTest(target.text, target.ip, port, "udp", "open|filtered", "silence")

    monkeypatch.setattr(datagrams, "port_test", slow)
    asked = Question([Target(HOST, HOST, HOST)], {"udp": range(1, 1001)}, True, Limits(), lambda _p, _t: None)
    tests = list(port_tests(asked))
    assert sorted(test.port for test in tests) == list(range(1, 1001))
    assert {test.port for test in tests if test.note is not None} == {7}
    assert most == AT_ONCE


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
