"""beanstalkd is known by its statistics, or by what it answers to what is no command."""

from __future__ import annotations

import pytest

from portbook.protocols.beanstalkd import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

STATS = b'---\ncurrent-jobs-urgent: 0\ncurrent-jobs-ready: 0\npid: 354\nversion: "1.12"\nuptime: 89\nid: 45da649d\n'

RECORDED = (
    Recorded(
        "beanstalkd 1.12",
        "beanstalkd",
        "1.12",
        answers=((b"stats\r\n", b"OK " + str(len(STATS)).encode() + b"\r\n" + STATS + b"\r\n"),),
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_an_answer_to_http_is_its_own() -> None:
    found = recognise(b"UNKNOWN_COMMAND\r\nUNKNOWN_COMMAND\r\n")
    assert found is not None
    assert (found.product, found.version) == ("beanstalkd", None)


@pytest.mark.parametrize("data", [b"", b"OK 3\r\n---\n", b"OK\r\n", b"UNKNOWN_COMMAND"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
