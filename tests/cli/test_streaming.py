"""Rows written as they come: all, in order, without waiting for the next; and the errors of writing."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from portbook.cli.streaming import Stream
from portbook.porttest import PortTest

TESTS = [PortTest("a", "192.0.2.1", port, "tcp", "closed", "reset") for port in range(1, 2001)]


def test_all_are_written_in_order() -> None:
    written: list[PortTest] = []
    stream = Stream(written.extend)
    for test in TESTS:
        stream.give(test)
    stream.end()
    assert written == TESTS


def test_one_is_written_before_the_next_comes() -> None:
    came = threading.Event()
    stream = Stream(lambda _tests: came.set())
    stream.give(TESTS[0])
    assert came.wait(30)
    stream.end()


def test_nothing_is_written_of_nothing() -> None:
    calls: list[Sequence[PortTest]] = []
    Stream(calls.append).end()
    assert calls == []


def test_an_error_of_writing_comes_back() -> None:
    tried = threading.Event()

    def write(_: Sequence[PortTest]) -> None:
        tried.set()
        raise BrokenPipeError

    stream = Stream(write)
    stream.give(TESTS[0])
    assert tried.wait(30)
    with pytest.raises(BrokenPipeError):
        stream.end()
    with pytest.raises(BrokenPipeError):
        stream.give(TESTS[1])
