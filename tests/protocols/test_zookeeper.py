"""ZooKeeper is known by its version, or by its refusal to tell it."""

from __future__ import annotations

import pytest

from portbook.protocols.zookeeper import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "ZooKeeper 3.8.0",
        "Apache ZooKeeper",
        "3.8.0",
        answers=(
            (b"srvr", b"Zookeeper version: 3.8.0-5a02a05eddb, built on 2022-02-25 08:49 UTC\nMode: standalone\n"),
        ),
        ends=True,
    ),
    Recorded(
        "one that allows no such question",
        "Apache ZooKeeper",
        None,
        answers=((b"srvr", b"srvr is not executed because it is not in the whitelist.\n"),),
        ends=True,
    ),
    Recorded(
        "one that does not serve yet",
        "Apache ZooKeeper",
        None,
        answers=((b"srvr", b"This ZooKeeper instance is not currently serving requests\n"),),
        ends=True,
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize("data", [b"", b"Zookeeper", b"srvr", b"Zookeeper version: 3.8.0"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
