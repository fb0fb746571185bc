"""`portbook test` as a reader meets it, against ports of loopback that the test itself has opened, shut or filled."""

from __future__ import annotations

import csv
import gettext
import io
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from portbook.cli.context import Context
from portbook.cli.tested import table_of
from portbook.porttest import COLUMNS, Finding, PortTest

from .conftest import Ask
from .doors import HOME, Greeter, closed, nobody, rows, running, silent, two_addresses

NAMES = [column.name for column in COLUMNS]


def test_open_closed_and_silent_are_three_answers(ask: Ask, ssh: Greeter, shut: int, mute: int) -> None:
    answer = ask("test", HOME, "-p", f"{ssh.port},{shut},{mute}", "--format", "json")
    assert answer.code == 0
    told = {row["port"]: row for row in json.loads(answer.out)}
    assert list(told[shut]) == NAMES
    assert (told[ssh.port]["state"], told[ssh.port]["reason"]) == ("open", "accepted")
    assert (told[ssh.port]["service"], told[ssh.port]["service_by"]) == ("ssh", "payload")
    assert (told[shut]["state"], told[shut]["reason"]) == ("closed", "reset")
    assert (told[mute]["state"], told[mute]["reason"], told[mute]["rtt_ms"]) == ("filtered", "silence", None)
    assert told[mute]["attempts"] > 1


def test_no_port_open_is_no(ask: Ask, shut: int) -> None:
    answer = ask("test", f"{HOME}:{shut}")
    assert answer.code == 1
    assert "closed" in answer.out
    assert answer.err == ""


def test_a_port_of_its_own_is_tested_alone_and_by_tcp(ask: Ask, ssh: Greeter) -> None:
    answer = ask("test", f"{HOME}:{ssh.port}", "--format", "ndjson")
    assert [(row["port"], row["transport"]) for row in rows(answer)] == [(ssh.port, "tcp")]
    assert rows(answer)[0]["target"] == f"{HOME}:{ssh.port}"


def test_it_only_connects_where_that_is_asked(ask: Ask, ssh: Greeter) -> None:
    (row,) = rows(ask("test", f"{HOME}:{ssh.port}", "--no-identify", "--format", "ndjson"))
    assert (row["state"], row["service_by"], row["product"]) == ("open", None, None)
    assert ssh.settled() == 1


def test_numbers_only_are_without_names_of_services(ask: Ask) -> None:
    arguments = ("test", "127.77.66.55:443", "--no-identify", "--format", "json")
    assert json.loads(ask(*arguments).out)[0]["service"] == "https"
    assert json.loads(ask(*arguments, "-n").out)[0]["service"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "what is to be tested"),
        (("192.0.2.1", "-p", "0"), "no list of ports"),
        (("192.0.2.1", "-p", "90-80"), "beyond the last"),
        (("192.0.2.1:70000",), "from 1 to 65535"),
        (("ho st",), "is no target"),
        (("192.0.2.1", "--transport", "sctp"), "tcp, udp or tcp,udp"),
        (("192.0.2.1", "--transport", ""), "tcp, udp or tcp,udp"),
        (("192.0.2.1", "--count", "0"), "--count"),
        (("192.0.2.1", "--count", "x"), "--count"),
        (("192.0.2.1", "--rate", "0"), "above 0"),
        (("192.0.2.1", "--rate", "nan"), "above 0"),
        (("192.0.2.1", "--timeout", "5"), "--until"),
        (("192.0.2.1", "--until", "open", "--count", "2"), "do not go together"),
        (("192.0.2.1", "--until", "ajar"), "--until"),
        (("192.0.2.1", "--sort", "colour"), "there is no column"),
        (("192.0.2.1", "--count", "2", "--sort", "banner"), "median_ms"),
        (("192.0.2.1", "-6"), "no address of the family"),
        (("2001:db8::/120", "-4"), "no address of the family"),
        (("8.0.0.0/8",), "--yes"),
        (("10.0.0.0/8",), "--yes"),
        (("10.0.0.0/8", "--yes", "-p", "all"), "too many"),
        (("fd00::/64", "--yes"), "too many"),
        (("-f", "/no/such/file"), "cannot be read"),
        (("no-such-host.invalid",), "cannot be looked up"),
        (("http://",), "is no target"),
        (("gopher://example.com",), "port"),
    ],
)
def test_a_question_that_cannot_be_asked_is_one_line_and_two(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    answer = ask("test", *arguments)
    assert answer.code == 2, answer
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_a_host_has_a_row_for_each_address(ask: Ask, monkeypatch: pytest.MonkeyPatch, ssh: Greeter) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    answer = ask("test", f"two.example:{ssh.port}", "--format", "json")
    told = [(row["target"], row["ip"], row["state"]) for row in json.loads(answer.out)]
    target = f"two.example:{ssh.port}"
    assert told == [(target, HOME, "open"), (target, "127.0.0.2", "closed")]
    assert answer.code == 0


def test_one_unknown_host_among_others_is_told_and_the_rest_tested(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, ssh: Greeter
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    answer = ask("test", "gone.example", f"two.example:{ssh.port}", "--format", "json")
    assert answer.code == 3
    assert "gone.example" in answer.err
    assert len(json.loads(answer.out)) == 2


def test_the_same_port_asked_twice_is_tested_once(ask: Ask, shut: int) -> None:
    answer = ask("test", f"{HOME}:{shut}", HOME, HOME, "-p", str(shut), "--format", "ndjson")
    assert len(rows(answer)) == 1


def test_two_names_of_one_address_are_two_questions(ask: Ask, monkeypatch: pytest.MonkeyPatch, ssh: Greeter) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    both = ("test", HOME, "two.example", "-4", "-p", str(ssh.port), "--format", "json", "--no-identify")
    told = [(row["target"], row["ip"]) for row in json.loads(ask(*both).out)]
    assert sorted(told) == [(HOME, HOME), ("two.example", HOME), ("two.example", "127.0.0.2")]
    assert ask(*both, "--until", "open", "--timeout", "30").code == 0


def test_targets_from_a_file_and_from_standard_input(ask: Ask, tmp_path: Path, ssh: Greeter, shut: int) -> None:
    file = tmp_path / "targets"
    file.write_text(f"# mine\n{HOME}:{ssh.port}  {HOME}:{shut}\n\n", encoding="utf-8")
    assert {row["port"] for row in rows(ask("test", "-f", str(file), "--format", "ndjson"))} == {ssh.port, shut}
    with running("test", "-f", "-", "--format", "ndjson") as process:
        out, _ = process.communicate(f"{HOME}:{shut}\n", timeout=60)
    assert json.loads(out)["port"] == shut
    assert process.returncode == 1


def test_the_tables_columns_can_be_chosen_sorted_and_limited(ask: Ask, ssh: Greeter, shut: int) -> None:
    ports = f"{ssh.port},{shut}"
    answer = ask("test", HOME, "-p", ports, "--columns", "port,service_by,banner,tls_names,state", "--format", "csv")
    told = list(csv.DictReader(io.StringIO(answer.out)))
    assert list(told[0]) == ["port", "service_by", "banner", "tls_names", "state"]
    assert {row["banner"] for row in told if row["state"] == "open"} == {"SSH-2.0-OpenSSH_9.2p1 Debian-2"}
    answer = ask("test", HOME, "-p", ports, "--sort", "port:desc", "--limit", "1", "--format", "ndjson")
    assert [row["port"] for row in rows(answer)] == [max(ssh.port, shut)]


@pytest.mark.parametrize(
    "asked",
    [
        ("--where", "colour = 1"),
        ("--count", "9", "--where", "banner = ''"),
        ("-o", "/no/such/folder/file"),
        ("-o", "/"),
    ],
)
def test_what_cannot_be_shown_is_told_before_anything_is_tested(ask: Ask, ssh: Greeter, asked: Sequence[str]) -> None:
    answer = ask("test", f"{HOME}:{ssh.port}", "--format", "json", *asked)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert ssh.settled() == 0


@pytest.mark.parametrize("style", ["json", "ndjson", "csv", "table"])
def test_a_condition_chooses_the_rows_and_the_exit_code(ask: Ask, ssh: Greeter, shut: int, style: str) -> None:
    question = ("test", HOME, "-p", f"{ssh.port},{shut}", "--format", style, "--where")
    some = ask(*question, "state = 'closed'")
    assert some.code == 0
    assert str(shut) in some.out
    assert str(ssh.port) not in some.out
    assert ask(*question, "state = 'rejected'").code == 1


def test_parquet_has_types(ask: Ask, tmp_path: Path, ssh: Greeter) -> None:
    import duckdb

    file = tmp_path / "tests.parquet"
    assert ask("test", f"{HOME}:{ssh.port}", "--format", "parquet", "-o", str(file)).code == 0
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE SELECT tls_names, tls_trusted, port FROM '{file}'").fetchall()
        assert [row[1] for row in described] == ["VARCHAR[]", "BOOLEAN", "BIGINT"]
        assert connection.execute(f"SELECT service, tls_trusted FROM '{file}'").fetchall() == [("ssh", None)]


def test_a_long_table_counts_what_is_alike_and_all_shows_it(ask: Ask, ssh: Greeter) -> None:
    with closed(60) as ports:
        question = ("test", HOME, "-p", ",".join(map(str, (ssh.port, *ports))))
        short = ask(*question)
        assert len(short.lines) == 2
        assert "60 closed (reset)" in short.err
        assert "--all" in short.err
        assert len(ask(*question, "--all").lines) == 62
        assert ask(*question, "--all").err == ""
        assert len(ask(*question, "--where", "state = 'closed'").lines) == 61
        assert len(json.loads(ask(*question, "--format", "json").out)) == 61


def test_a_pipe_gets_neither_colour_nor_progress(start: Ask, ssh: Greeter) -> None:
    with closed(60) as ports, silent() as port:
        answer = start("test", HOME, "-p", ",".join(map(str, (ssh.port, port, *ports))), "--no-identify")
    assert "\x1b" not in answer.out + answer.err
    assert answer.err.count("\n") == 1
    assert answer.code == 0


class Loud(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return message.upper()


def test_notes_are_in_the_readers_language_and_words_of_servers_are_not() -> None:
    test = PortTest("a", HOME, 80, "tcp", "unreachable", "ENETUNREACH", finding=Finding("http", product="nginx"))
    (row,) = table_of([test], Context(Loud(), "xx", {}))
    assert row.note == "THIS HOST HAS NO ROUTE THERE"
    assert (row.product, row.state, row.reason) == ("nginx", "unreachable", "ENETUNREACH")


def test_help_speaks_of_permission_and_of_the_pace(ask: Ask) -> None:
    help_text = ask("test", "--help").out
    assert "permission" in help_text
    assert "(500; in private networks 10000" in " ".join(help_text.split())


@pytest.mark.parametrize("host", ["127.9.9.1", "127.9.9.2", "127.9.9.8"])
def test_many_ports_are_each_told_once(ask: Ask, host: str) -> None:
    ports: Sequence[int] = range(20000, 20000 + 1000)
    answer = ask("test", host, "-p", "20000-20999", "--no-identify", "--format", "ndjson", "-n")
    assert sorted(row["port"] for row in rows(answer)) == list(ports)
