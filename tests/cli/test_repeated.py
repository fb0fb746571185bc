"""`portbook test --count`: the same ports again and again, and what their times were."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import time

import pytest

from portbook.cli import repeated
from portbook.cli.repeated import COLUMNS
from portbook.porttest import PortTest

from .conftest import Ask
from .doors import HOME, closed, greeter, running, silent

ONE = PortTest("a", HOME, 80, "tcp", "open", "accepted")


def figures(*times: float | None) -> dict[str, object]:
    tests = [ONE._replace(rtt_ms=time, state="filtered" if time is None else "open") for time in times]
    row = repeated._row(tests)
    return dict(zip((column.name for column in COLUMNS), row, strict=True))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([3.0], (3.0, 3.0, 3.0, 0.0)),
        ([3.0, 1.0], (1.0, 2.0, 3.0, 0.0)),
        ([float(number) for number in range(1, 21)], (1.0, 10.5, 19.0, 0.0)),
        ([float(number) for number in range(1, 101)], (1.0, 50.5, 95.0, 0.0)),
        ([None, 2.0, None, 4.0], (2.0, 3.0, 4.0, 50.0)),
        ([None], (None, None, None, 100.0)),
    ],
)
def test_the_figures_are_those_of_the_answers(times: list[float | None], expected: tuple[object, ...]) -> None:
    found = figures(*times)
    assert (found["min_ms"], found["median_ms"], found["p95_ms"], found["loss"]) == expected
    assert found["sent"] == len(times)
    assert found["answered"] == sum(time is not None for time in times)


def test_each_port_is_told_once_with_its_figures(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "INTERVAL", 0.0)
    with greeter() as ssh, closed() as shut:
        answer = ask("test", HOME, "-p", f"{ssh.port},{shut[0]}", "--count", "3", "--format", "json")
        assert ssh.settled() >= 3
    told = {row["port"]: row for row in json.loads(answer.out)}
    assert answer.code == 0
    assert list(told[ssh.port]) == [column.name for column in COLUMNS]
    for port, state in ((ssh.port, "open"), (shut[0], "closed")):
        row = told[port]
        assert (row["state"], row["sent"], row["answered"], row["loss"]) == (state, 3, 3, 0)
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"]


def test_its_own_columns_can_be_chosen_and_sorted(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "INTERVAL", 0.0)
    with closed(3) as ports:
        question = ("test", HOME, "-p", ",".join(map(str, ports)), "--count", "2", "--format", "csv")
        answer = ask(*question, "--sort", "port:desc", "--columns", "port,loss", "--where", "loss = 0")
    told = list(csv.DictReader(io.StringIO(answer.out)))
    assert [int(row["port"]) for row in told] == sorted(ports, reverse=True)
    assert list(told[0]) == ["port", "loss"]
    assert answer.code == 1  # none of them is open


def test_ctrl_c_shows_the_rounds_so_far() -> None:
    with greeter() as ssh:
        with running("test", f"{HOME}:{ssh.port}", "--count", "1000", "--format", "json") as process:
            while ssh.clients < 2:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        (row,) = json.loads(out)
        told = re.fullmatch(r"portbook: interrupted in round (\d+) of 1000\n", err)
        assert told is not None, err
        assert row["sent"] in (int(told[1]) - 1, int(told[1]))
        assert process.returncode == 3


def test_silence_is_loss(ask: Ask) -> None:
    with silent() as mute:
        answer = ask("test", f"{HOME}:{mute}", "--count", "1", "--format", "json")
    (row,) = json.loads(answer.out)
    assert (row["loss"], row["answered"], row["median_ms"], row["state"]) == (100.0, 0, None, "filtered")
    assert answer.code == 1
