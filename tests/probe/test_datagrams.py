"""UDP ports: an answer proves them, port-unreachable closes them, and silence is what it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from portbook.porttest import PortTest
from portbook.probe import datagrams
from portbook.probe.datagrams import Datagrams, SourcePorts, port_test
from portbook.probe.targets import Target
from portbook.protocols.conversation import Heard, Say
from portbook.protocols.order import ANYWHERE_UDP, named
from portbook.wire.error_queue import IP_RECVERR, SOL_IP

HOST = "127.93.7.5"
pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_ANSWER", 0.4), ("_NEXT", 0.2), ("_NEXT_HUNCH", 0.05)):
        monkeypatch.setattr(datagrams, name, seconds)


@contextmanager
def answering(
    answer: Callable[[bytes], bytes], port: int = 0, other: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """A server whose answers a function makes, none where it is empty; `other` answers from a port of its own."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made, socket.socket(type=socket.SOCK_DGRAM) as another:
        made.bind((HOST, port))
        another.bind((HOST, 0))

        def serve() -> None:
            while True:
                data, sender = made.recvfrom(65536)
                if data == b"the end":
                    return
                heard.append(data)
                if said := answer(data):
                    (another if other else made).sendto(said, sender)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield made.getsockname()[1], heard
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as ending:
                ending.sendto(b"the end", made.getsockname())
            thread.join(5)


def result_of(port: int, identify: bool = True) -> PortTest:
    return asyncio.run(port_test(Target(HOST, HOST, HOST), port, identify))


def ntp(question: bytes) -> bytes:
    if len(question) != 48:
        return b""
    return b"\x24\x02\x06\xe9" + bytes(8) + b"\x7f\x7f\x01\x01" + b"\xe9" * 8 + question[40:48] + b"\xe9" * 16


def test_a_service_at_an_odd_port_is_known() -> None:
    with answering(ntp) as (port, _):
        test = result_of(port)
    assert (test.state, test.reason, test.service, test.service_by) == ("open", "answered", "ntp", "payload")
    assert test.rtt_ms is not None


def test_a_lost_datagram_is_sent_again() -> None:
    lost: list[bytes] = []

    def losing(question: bytes) -> bytes:
        if question not in lost and len(lost) < 8:
            lost.append(question)
            return b""
        return ntp(question)

    with answering(losing) as (port, heard):
        assert result_of(port).service == "ntp"
    assert len(heard) > 8


def test_an_answer_of_tftp_comes_from_another_port() -> None:
    def tftp(question: bytes) -> bytes:
        return b"\0\5\0\1File not found\0" if question[:2] == b"\0\1" else b""

    with answering(tftp, other=True) as (port, _):
        test = result_of(port)
    assert (test.state, test.service) == ("open", "tftp")


def test_nobody_there_is_closed() -> None:
    with answering(ntp) as (port, _):
        pass
    test = result_of(port)
    assert (test.state, test.icmp_type, test.icmp_code, test.icmp_from) == ("closed", 3, 3, HOST)


def test_silence_is_open_or_filtered() -> None:
    with answering(lambda _: b"") as (port, heard):
        test = result_of(port)
    assert (test.state, test.reason, test.service) == ("open|filtered", "silence", None)
    assert test.attempts == len(heard) == 2 * len(ANYWHERE_UDP)


def test_an_answer_nobody_understands_is_open_all_the_same() -> None:
    with answering(lambda _: b"\xfe\xfe\xfe") as (port, _):
        test = result_of(port)
    assert (test.state, test.finding, test.banner) == ("open", None, b"\xfe\xfe\xfe")


def test_an_echo_is_no_service_that_was_asked_for() -> None:
    with answering(lambda question: question) as (port, _):
        test = result_of(port)
    assert (test.state, test.finding, test.service) == ("open", None, None)


@pytest.mark.parametrize("port", [514, 68, 51820])
def test_who_never_answers_is_not_asked(port: int) -> None:
    test = result_of(port)
    assert (test.state, test.reason, test.attempts) == ("open|filtered", "not asked", 0)
    assert test.note is not None


def test_an_error_that_another_socket_caused_says_nothing_of_this_one() -> None:
    async def both() -> tuple[Heard, Heard]:
        with socket.socket(type=socket.SOCK_DGRAM) as gone:
            gone.bind(("127.93.7.6", 0))
            closed = gone.getsockname()[1]
        with answering(lambda _: b"here") as (port, _), socket.socket(type=socket.SOCK_DGRAM) as made:
            made.setblocking(False)
            made.setsockopt(SOL_IP, IP_RECVERR, 1)
            line = Datagrams(made, (HOST, port), other_port=False)
            # As where two have one source port: the error of what went elsewhere comes to this socket.
            made.sendto(b"?", ("127.93.7.6", closed))
            await asyncio.sleep(0.05)
            answered = await line.take(Say(b"?"))
            refused = await Datagrams(made, ("127.93.7.6", closed), other_port=False).take(Say(b"?"))
        return answered, refused

    answered, refused = asyncio.run(both())
    assert answered.data == b"here"
    assert refused.ended == "reset"


def test_where_many_are_asked_each_question_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(*_: object) -> str | None:
        raise AssertionError("the port that others may have was taken")

    monkeypatch.setattr(datagrams, "_bound", bound)
    monkeypatch.setattr(datagrams, "at_home", lambda port, transport: [named("bootps")])
    with answering(lambda _: b"") as (port, heard):
        test = asyncio.run(port_test(Target(HOST, HOST, HOST), port, True, SourcePorts(free=False)))
    assert heard
    assert (test.state, test.note) == ("open|filtered", datagrams._NO_RIGHT)
