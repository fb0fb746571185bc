"""The four verbs and the overview as a reader meets them, against sockets that the test itself has opened."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from portbook.service import COLUMNS as SERVICE_COLUMNS
from portbook.socket import COLUMNS, HOLDER_COLUMNS, LISTENER_COLUMNS, OWNER_COLUMNS

from .conftest import Ask


@pytest.fixture
def port() -> Iterator[int]:
    """Yields a port on which this process listens, with one conversation on it."""
    with socket.create_server(("127.0.0.1", 0), backlog=7) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            served, _ = server.accept()
            with served:
                client.sendall(b"question")
                assert served.recv(100) == b"question"
                served.sendall(b"an answer")
                assert client.recv(100) == b"an answer"
                yield number


def test_what_tells_a_port_and_who_has_it_here(ask: Ask, port: int) -> None:
    answer = ask("what", f"{port}/tcp", "https", "--format", "json")
    assert answer.code == 0
    rows = json.loads(answer.out)
    assert list(rows[0]) == [column.name for column in SERVICE_COLUMNS]
    here = [row["here"] for row in rows if row["port"] == port]
    assert here
    assert "LISTEN" in here[0]
    assert "1 ESTABLISHED" in here[0]
    assert {row["transport"] for row in rows if row["port"] == 443} >= {"tcp", "udp"}


def test_what_says_whether_anybody_may_bind_it(ask: Ask) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    rows = json.loads(ask("what", "1", "65535", str(low), str(high), "--format", "json").out)
    for row in rows:
        assert row["privileged"] == (row["port"] < first)
        assert row["source_range"] == (low <= row["port"] <= high)


def test_what_searches_words_best_first(ask: Ask) -> None:
    answer = ask("what", "remote", "desktop", "--format", "csv")
    assert answer.code == 0
    assert any(row["port"] == "3389" for row in csv.DictReader(io.StringIO(answer.out)))
    nothing = ask("what", "qqqqzzzzqqqq")
    assert nothing.code == 1
    assert "qqqqzzzzqqqq" in nothing.err


def test_what_tells_the_story_of_a_main_port(ask: Ask) -> None:
    stories = [ask("what", "25", "--about", "--lang", language).out for language in ("en", "fr", "pt", "uk")]
    assert len(set(stories)) == 4
    assert all("SMTP" in story for story in stories)
    assert "SMTP" not in ask("what", "2024", "--about").out


def test_who_names_this_process(ask: Ask, port: int) -> None:
    rows = json.loads(ask("who", "--format", "json").out)
    assert list(rows[0]) == [column.name for column in LISTENER_COLUMNS]
    mine = next(row for row in rows if row["local_port"] == port and row["transport"] == "tcp")
    assert mine["pids"] == [os.getpid()]
    assert mine["scope"] == "loopback"
    assert mine["addresses"] == ["127.0.0.1"]
    assert mine["conversations"] == 1
    assert mine["send_queue"] == 7
    assert mine["owner_by"] == "exact"


def test_who_of_a_port_tells_all_that_stands_on_it(ask: Ask, port: int) -> None:
    answer = ask("who", str(port), "--format", "json")
    assert answer.code == 0
    rows = json.loads(answer.out)
    assert list(rows[0]) == [column.name for column in HOLDER_COLUMNS]
    assert [row["holds"] for row in rows] == ["listening", "conversation"]
    assert all(row["pids"] == [os.getpid()] for row in rows)


def test_who_of_a_free_port_says_no_and_what_may_yet_take_it(ask: Ask) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    answer = ask("who", str(free))
    assert answer.code == 1
    assert not answer.out
    assert f"nothing here holds port {free}" in answer.err
    assert "source-port range" in answer.err


def test_who_of_a_bound_port_says_so(ask: Ask) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        rows = json.loads(ask("who", str(bound.getsockname()[1]), "--format", "json").out)
    assert [row["holds"] for row in rows] == ["bound"]


@pytest.mark.parametrize("flags", [("-tulpn",), ("-tan",), ("-t", "-l"), ("-ltnp",), ("-tn", "--state", "estab")])
def test_sockets_takes_the_flags_that_hands_remember(ask: Ask, port: int, flags: tuple[str, ...]) -> None:
    answer = ask("sockets", *flags)
    assert answer.code in (0, 3)
    assert f"127.0.0.1:{port}" in answer.out
    listens = any(f"127.0.0.1:{port}" in line and "LISTEN" in line for line in answer.lines)
    assert listens != ("--state" in flags)


@pytest.mark.parametrize("text", ["{}", ":{}", "{}-{}"])
def test_sockets_of_a_port_are_all_of_it(ask: Ask, port: int, text: str) -> None:
    rows = json.loads(ask("sockets", text.format(port, port), "--format", "json").out)
    assert sorted(row["state"] for row in rows) == ["ESTABLISHED", "ESTABLISHED", "LISTEN"]


def test_sockets_has_the_columns_that_the_flags_fill(ask: Ask, port: int) -> None:
    every = [column.name for column in COLUMNS if column.name != "remote_host"]
    row = json.loads(ask("sockets", str(port), "-pe", "--format", "ndjson").out.splitlines()[0])
    assert list(row) == every
    row = json.loads(ask("sockets", str(port), "-e", "--format", "ndjson").out.splitlines()[0])
    assert list(row) == [name for name in every if name not in OWNER_COLUMNS]


def test_sockets_counts_what_was_sent(ask: Ask, port: int) -> None:
    question = f"local_port = {port} and state = 'ESTABLISHED'"
    rows = json.loads(ask("sockets", "-te", "--where", question, "--format", "json").out)
    assert [(row["bytes_sent"], row["bytes_received"]) for row in rows] == [(9, 8)]


def test_a_condition_may_use_columns_that_are_not_shown(ask: Ask, port: int) -> None:
    question = f"list_contains(pids, {os.getpid()}) and state = 'LISTEN' and local_port = {port}"
    answer = ask("sockets", "-ta", "--where", question, "--columns", "local_port", "--format", "csv")
    assert answer.out.split() == ["local_port", str(port)]


def test_sort_and_limit(ask: Ask) -> None:
    rows = json.loads(ask("what", "1-100", "--sort", "port:desc", "--limit", "3", "--format", "json").out)
    assert [row["port"] for row in rows] == sorted((row["port"] for row in rows), reverse=True)
    assert len(rows) == 3
    assert rows[0]["port"] == 100


def test_sockets_summary_counts_them(ask: Ask, port: int) -> None:
    rows = json.loads(ask("sockets", "-s", "-t", "--format", "json").out)
    listening = next(row for row in rows if row["state"] == "LISTEN")
    assert listening["count"] == listening["ipv4"] + listening["ipv6"] >= 1


@pytest.mark.parametrize("asked", [(), ("8080",), ("--netns", "all")])
def test_talks_shows_each_pair_once_from_the_clients_side(alone: Ask, asked: tuple[str, ...]) -> None:
    answer = alone("talks", *asked, "--format", "json")
    [row] = json.loads(answer.out)
    assert (answer.code, answer.err) == (0, "")
    assert row["server_port"] == 8080
    assert row["client_payload"] == len("question")
    assert row["server_payload"] == len("an answer")
    assert row["pids"] == [1]
    assert " -> " in row["process"]


def test_talks_of_one_family_are_told_by_their_addresses(ask: Ask) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        number = str(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", int(number))), server.accept()[0]:
            here = ("talks", number, "--netns", str(os.getpid()))  # others may use the number too
            [row] = json.loads(ask(*here, "-4", "--format", "json").out)
            assert (row["family"], row["pids"]) == ("ipv4", [os.getpid()])
            assert " -> " in row["process"]
            assert ask(*here, "-6").code == 1


@pytest.mark.parametrize("by", ["service", "peer", "process", "service,peer"])
def test_talks_in_groups(alone: Ask, by: str) -> None:
    [row] = json.loads(alone("talks", "--by", by, "--format", "json").out)
    assert list(row)[: len(by.split(","))] == by.split(",")
    assert (row["conversations"], row["client_payload"], row["server_payload"]) == (1, 8, 9)


def test_resolving_names_the_remote_host(ask: Ask, port: int) -> None:
    question = ("sockets", str(port), "--state", "established", "--columns", "remote_host", "--format", "json")
    name = socket.getnameinfo(("127.0.0.1", 0), 0)[0]
    assert json.loads(ask(*question).out)[0]["remote_host"] == (None if name == "127.0.0.1" else name)


def test_the_overview_fits_one_screen_and_asks_on(alone: Ask) -> None:
    answer = alone()
    assert (answer.code, answer.err) == (0, "")
    assert len(answer.lines) <= 40
    assert sum(line.startswith("  portbook ") for line in answer.lines) == 3
    assert answer.lines[0] == "1 service listens"
    assert answer.lines[2].split()[:3] == ["loopback", "tcp", "8080"]
    assert "1 conversation" in answer.lines


def test_an_answer_goes_to_a_file_whole(ask: Ask, port: int, tmp_path: Path) -> None:
    path = tmp_path / "sockets.json"
    answer = ask("sockets", str(port), "--format", "json", "-o", str(path))
    assert (answer.code, answer.out) == (0, "")
    assert len(json.loads(path.read_text())) == 3
    assert list(tmp_path.iterdir()) == [path]
