"""The file by which a run goes on where another ended: killed, damaged, foreign, in use, or of another question."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.cli.journal import Journal
from portbook.errors import BadData, BadQuestion
from portbook.porttest import COLUMNS, Finding, PortTest, Tls
from portbook.probe.reach import Limits
from portbook.probe.targets import Target
from portbook.probe.testing import Question

from .conftest import Ask
from .doors import HOME, closed, greeter, silent

TLS = Tls("TLSv1.3", "AES", None, "CN=a", "CN=b", ("a", "*.a"), 1.5, 2.5, True)
OPEN = PortTest(
    "a",
    HOME,
    443,
    "tcp",
    "open",
    "accepted",
    rtt_ms=0.25,
    finding=Finding("https", "nginx", tls=TLS),
    service="https",
)
SHUT = PortTest("a", HOME, 80, "tcp", "closed", "reset")
STRANGE = PortTest("a", HOME, 22, "tcp", "open", "accepted", banner=b"\xff\x00\n\x1b")


def question(*ports: int, identify: bool = True) -> Question:
    return Question(
        [Target("a", HOME, HOME)], {"tcp": ports}, identify, Limits(), lambda _port, _transport: None, ports
    )


def written(path: Path, *tests: PortTest, identified: bool = True) -> None:
    journal = Journal(str(path))
    for test in tests:
        journal.keep(test, identified)
    journal.close()


def known(path: Path, asked: Question) -> list[PortTest]:
    journal = Journal(str(path))
    try:
        return journal.known(asked)
    finally:
        journal.close()


def test_what_was_kept_is_known_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path, OPEN, SHUT, STRANGE)
    assert known(path, question(22, 80, 443)) == [STRANGE, SHUT, OPEN]


def test_a_question_takes_what_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path, OPEN, SHUT)
    assert known(path, question(80, 81)) == [SHUT]
    other = question(80)._replace(targets=[Target("b", HOME, HOME)])
    assert known(path, other) == [SHUT._replace(target="b")]
    assert known(path, question(80)._replace(ports={"udp": [80]})) == []


def test_an_open_port_that_was_only_connected_to_is_asked_what_speaks_there(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path, STRANGE, SHUT, identified=False)
    assert known(path, question(22, 80)) == [SHUT]
    assert known(path, question(22, 80, identify=False)) == [STRANGE, SHUT]
    written(path, STRANGE)
    assert known(path, question(22, 80)) == [STRANGE, SHUT]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_cut_short_is_tested_again_and_the_next_stands_on_its_own(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    written(path, SHUT, OPEN)
    path.write_bytes(path.read_bytes()[:-cut])
    written(path, STRANGE)
    assert known(path, question(22, 80, 443)) == [STRANGE, SHUT, *([OPEN] if cut == 1 else [])]


@pytest.mark.parametrize(
    "damage",
    [b"\0" * 100, b"[]", b"{}", b"null", b"[true]", b"[true, 1, 2]", b"\xff\xfe", b"[" * 100_000, b'["a"' + b"," * 9],
)
def test_damaged_lines_are_counted_and_left_out(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal"
    written(path, SHUT)
    path.write_bytes(path.read_bytes() + damage + b"\n")
    written(path, OPEN)
    journal = Journal(str(path))
    assert journal.damaged == 1
    assert journal.known(question(80, 443)) == [SHUT, OPEN]
    journal.close()


@given(st.lists(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)))
def test_whatever_a_line_holds_it_is_a_test_or_damage(tmp_path_factory: pytest.TempPathFactory, line: object) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.write_bytes(b'{"portbook test": 1}\n' + json.dumps(line).encode() + b"\n")
    journal = Journal(str(path))
    assert len(journal._known) + journal.damaged == 1
    for _, test in journal._known.values():
        assert len(test.row()) == len(COLUMNS)
    journal.close()


@pytest.mark.parametrize("text", [b"important\n", b"important", b"{}\n", b"\n", b'{"portbook test": 2}\n[]\n'])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(ask: Ask, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "letter"
    path.write_bytes(text)
    with pytest.raises(BadData):
        Journal(str(path))
    answer = ask("test", "127.77.66.55:1", "--resume", str(path))
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert path.read_bytes() == text


def test_two_runs_cannot_share_a_file(tmp_path: Path) -> None:
    first = Journal(str(tmp_path / "journal"))
    with pytest.raises(BadQuestion, match="in use"):
        Journal(str(tmp_path / "journal"))
    first.close()
    Journal(str(tmp_path / "journal")).close()


def test_a_folder_or_a_missing_one_is_told(ask: Ask, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "journal"):
        answer = ask("test", "127.77.66.55:1", "--resume", str(path))
        assert answer.code == 2
        assert "cannot be written" in answer.err


def test_a_device_or_a_pipe_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero", "/dev/null"):
        with pytest.raises(BadQuestion, match="takes a file"):
            Journal(path)


def test_a_full_disk_is_told(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int, __: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("portbook.cli.journal.os.write", full)
    answer = ask("test", "127.77.66.55:1", "--resume", str(tmp_path / "journal"))
    assert answer.code == 2
    assert "No space left on device" in answer.err


def test_after_a_kill_it_goes_on_and_asks_nothing_twice(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with greeter() as ssh, closed() as shut, silent() as mute:
        ports = f"{ssh.port},{shut[0]},{mute}"
        arguments = ("test", HOME, "-p", ports, "--no-identify", "--format", "json", "--resume", str(path))
        with subprocess.Popen([sys.executable, "-m", "portbook", *arguments], stdout=subprocess.PIPE) as process:
            while not (path.exists() and path.read_bytes().count(b"\n") == 3):
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        clients = ssh.settled()
        answer = ask(*arguments)
        assert {row["port"]: row["state"] for row in json.loads(answer.out)} == {
            ssh.port: "open",
            shut[0]: "closed",
            mute: "filtered",
        }
        assert answer.code == 0
        assert ssh.settled() == clients
        again = ask(*arguments)
        assert json.loads(again.out) == json.loads(answer.out)


def test_damage_is_told_and_made_good(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with closed(3) as ports:
        arguments = ("test", HOME, "-p", ",".join(map(str, ports)), "--format", "json", "--resume", str(path))
        whole = ask(*arguments)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:2], b"\0\0\0\0\n", *lines[3:]]))
        answer = ask(*arguments)
        assert "1 lines" in answer.err
        assert [row["port"] for row in json.loads(answer.out)] == [row["port"] for row in json.loads(whole.out)]
