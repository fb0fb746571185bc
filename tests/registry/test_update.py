"""The update from IANA's CSV: what it keeps, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

import csv
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.errors import BadData, Unavailable
from portbook.registry import update as updating
from portbook.registry.lines import is_whole
from portbook.registry.lookup import EMBEDDED, open_registry
from portbook.registry.update import HEADER, Update, download, read_csv, update
from portbook.service import Service

HEADER_ROW = (
    b"Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,Registration Date,"
    b"Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes\n"
)

GOOD = (
    HEADER_ROW
    + b"""\
,0,tcp,Reserved,,,,2024-12-20,[RFC6335],,,
,0,udp,Reserved,,,,2024-12-20,[RFC6335],,,
,4,tcp,Unassigned,,,,,,,,
,51,,Reserved,,,,2013-05-24,,,,This entry is being removed on 2013-05-24.
whoispp,63,tcp,"whois++
IANA assigned this well-formed service name as a replacement for ""whois++"".",[R_S],[R_S],,,,,,
whois++,63,tcp,whois++,[R_S],[R_S],,,,,,"This entry is an alias to ""whoispp"".
This entry is now historic, not usable for use with many
common service discovery mechanisms."
www,80,tcp,World Wide Web HTTP,[IESG],[IETF_Chair],,2021-10-01,[RFC9110],,,
http,80,tcp,World Wide Web HTTP,[IESG],[IETF_Chair],,2021-10-01,[RFC9110],,,Defined TXT keys: u=<username>
http,80,udp,World Wide Web HTTP,[IESG],[IETF_Chair],,2021-10-01,[RFC9110],,,
www-http,80,tcp,World Wide Web HTTP,[T],[T],,,,,,"This is a duplicate.
      u=<username> p=<password>
      NOTE: ""http"", and a comma"
netconf-tls,6513,tcp,NETCONF over TLS,[IESG],[IETF_Chair],,2024-01-24,[RFC7589][RFC-ietf-netconf-13],,,
x11,6000-6003,tcp,X Window System,[S_G],[S_G],2006-03,,,,,
x11,6000-6003,udp,X Window System,[S_G],[S_G],,,,,,
,6004-6098,,Unassigned,,,,,,,,
caf\xc3\xa9,,tcp,a name without a port is skipped,[X],[X],2020-01-01,,,,,
afpovertcp,548,TCP,AFP over\xc2\xa0TCP ,[X],[X],,,,,,
""".replace(b"caf\xc3\xa9", b"1password")
)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def given_csv(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "given.csv"
    path.write_bytes(data)
    return path


def large(rows: int) -> bytes:
    lines = [b"name-%d,%d,tcp,Service,,,,2025-01-01,,,,\n" % (port, port) for port in range(1, rows + 1)]
    return HEADER_ROW + b"".join(lines)


def test_the_header_is_iana_s() -> None:
    assert ",".join(HEADER).encode() + b"\n" == HEADER_ROW


def test_an_update_says_what_it_brought(tmp_path: Path) -> None:
    result = update(given_csv(tmp_path, GOOD), tmp_path / "data", fewest=5)
    assert result == Update(assignments=2 + 4 + 1 + 8 + 1, ports=3 + 4 + 1, date="2024-12-20")


def test_the_new_data_is_read_from_then_on(tmp_path: Path) -> None:
    update(given_csv(tmp_path, GOOD), tmp_path / "data", fewest=5)
    registry = open_registry(tmp_path / "data")
    assert registry.source != EMBEDDED
    assert registry.date == "2024-12-20"
    assert is_whole((tmp_path / "data" / "iana.tsv").read_bytes())
    assert registry.port(6513, "tcp") == [
        Service(6513, "tcp", "netconf-tls", "NETCONF over TLS", "iana", "RFC 7589, RFC-ietf-netconf-13")
    ]
    assert [s.service for s in registry.port(80, "tcp")] == ["http", "www", "www-http"], "the main name first"
    assert [s.description for s in registry.port(63)] == ["whois++", "whois++"]
    assert registry.port(548, "tcp")[0].description == "AFP over TCP"
    assert registry.name_of(6002, "udp") == "x11"
    assert registry.port(6050)[0].assigned == "unassigned"
    assert registry.port(51, "sctp")[0].assigned == "reserved"
    assert registry.port(0)[0].reference == "RFC 6335"
    assert registry.named("1password") == []


def test_a_second_update_replaces_the_first(tmp_path: Path) -> None:
    update(given_csv(tmp_path, GOOD), tmp_path / "data", fewest=5)
    update(given_csv(tmp_path, large(1200)), tmp_path / "data")
    assert open_registry(tmp_path / "data").name_of(443, "tcp") == "name-443"
    assert list(files(tmp_path / "data")) == ["iana.tsv"]


@pytest.mark.parametrize("change", [lambda data: b"\xef\xbb\xbf" + data, lambda data: data.replace(b"\n", b"\r\n")])
def test_a_mark_or_other_line_ends_do_not_matter(change: object) -> None:
    assert callable(change)
    facts, date = read_csv(change(GOOD))
    assert date == "2024-12-20"
    assert facts[63, "tcp"] == [("whoispp", "whois++", ""), ("whois++", "whois++", "")]


BAD = {
    "empty": (b"", "line 1"),
    "wrong header": (GOOD.replace(b"Service Code", b"Code"), "line 1"),
    "no header": (GOOD[len(HEADER_ROW) :], "line 1"),
    "html": (b"<!DOCTYPE html>\n<html></html>\n", "line 1"),
    "cut within a row": (GOOD[: GOOD.index(b"NETCONF")], "line 17"),
    "cut within quotes": (GOOD[: GOOD.index(b"      NOTE")], "cut off"),
    "a field too many": (GOOD.replace(b"tcp,Unassigned", b"tcp,x,Unassigned"), "line 4: there are 13 fields"),
    "not UTF-8": (GOOD.replace(b"NETCONF over", b"NETCONF \xff over"), "line 17: this is not UTF-8"),
    "a huge field": (GOOD.replace(b"NETCONF over TLS", b"x" * 200_000), "line 17"),
    "a port too high": (GOOD.replace(b",6513,", b",65536,"), "line 17: '65536'"),
    "a port of letters": (GOOD.replace(b",6513,", b",https,"), "line 17"),
    "other digits": (GOOD.replace(b",6513,", "，６５１３，".replace("，", ",").encode()), "line 17"),
    "a range backwards": (GOOD.replace(b"6004-6098", b"6098-6004"), "line 20"),
    "an open range": (GOOD.replace(b"6004-6098", b"6004-"), "line 20"),
    "another transport": (GOOD.replace(b"6513,tcp", b"6513,quic"), "line 17: there is no transport 'quic'"),
    "a name of two words": (GOOD.replace(b"netconf-tls", b"netconf tls"), "line 17"),
    "a name of other letters": (GOOD.replace(b"netconf-tls", b"n\xc3\xa9tconf"), "line 17"),
    "a name with a tab": (GOOD.replace(b"netconf-tls", b"net\tconf"), "line 17"),
    "only a few": (GOOD, "only 16 assignments"),
    "only the header": (HEADER_ROW, "only 0 assignments"),
    "endless ranges": (HEADER_ROW + b"a,0-65535,,x,,,,,,,,\n" * 20, "more than a registry can hold"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_file_is_refused_and_changes_nothing(tmp_path: Path, case: str) -> None:
    data, reason = BAD[case]
    folder = tmp_path / "data"
    update(given_csv(tmp_path, large(1500)), folder)
    before = files(folder)
    with pytest.raises(BadData) as refused:
        update(given_csv(tmp_path, data), folder)
    assert reason in str(refused.value)
    assert files(folder) == before


def test_a_broken_file_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadData):
        update(given_csv(tmp_path, b"nothing"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_file_too_large_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "LARGEST", 1000)
    with pytest.raises(BadData, match="1000"):
        update(given_csv(tmp_path, large(1500)), tmp_path / "data")


def test_a_file_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        update(tmp_path / "absent.csv", tmp_path / "data")
    with pytest.raises(Unavailable):
        update(tmp_path, tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(Unavailable, match="cannot write"):
        update(given_csv(tmp_path, large(1500)), tmp_path / "data")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_former_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = tmp_path / "data"
    update(given_csv(tmp_path, large(1500)), folder)
    before = files(folder)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(Unavailable, match="No space left"):
        update(given_csv(tmp_path, large(1600)), folder)
    assert files(folder) == before


def test_control_characters_never_reach_the_registry(tmp_path: Path) -> None:
    evil = b"ev\x1b[31mil \xe2\x80\xae\tdes\x00cription"
    update(given_csv(tmp_path, GOOD.replace(b"NETCONF over TLS", evil)), tmp_path / "data", fewest=5)
    description = open_registry(tmp_path / "data").port(6513, "tcp")[0].description
    assert description.isprintable()
    assert description == "ev[31mil description"


ROW = st.tuples(
    st.sampled_from(["", "a", "b-c", "x y", "é", "who++"]),
    st.sampled_from(["", "0", "1-3", "65535", "65536", "7-2", "x"]),
    st.sampled_from(["", "tcp", "UDP", "sctp", "raw"]),
    st.text(max_size=20),
)


@settings(deadline=None)
@given(st.lists(ROW, max_size=6))
def test_rows_are_read_or_refused_and_nothing_else(rows: list[tuple[str, str, str, str]]) -> None:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for row in rows:
        writer.writerow([*row, *[""] * 8])
    refused: BadData | None = None
    facts: dict[tuple[int, str], list[tuple[str, str, str]]] = {}
    try:
        facts, _ = read_csv(text.getvalue().encode(errors="replace"))
    except BadData as error:
        refused = error
    assert refused is None or "line" in refused.values
    for (port, transport), said in facts.items():
        assert 0 <= port <= 65535
        assert transport in ("tcp", "udp", "sctp", "dccp")
        assert all(text.isprintable() for fact in said for text in fact)


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, headed: bool) -> None:
    with suppress(BadData):
        facts, date = read_csv(HEADER_ROW + data if headed else data)
        assert headed
        assert all(said for said in facts.values())
        assert date == "" or date[:4].isdecimal()


@contextmanager
def serving(data: bytes, headers: dict[str, str], status: int = 200) -> Iterator[str]:
    """Answer every request on a port of the loopback with these bytes and yield its URL."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    answer = f"HTTP/1.0 {status} As told\r\n{head}\r\n".encode() + data

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/registry.csv"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_download_brings_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = large(1500)
    with serving(data, {"Content-Length": str(len(data))}) as url:
        assert download(url) == data
        monkeypatch.setattr(updating.download, "__defaults__", (url,))
        assert update(None, tmp_path / "data").assignments == 1500
    with serving(data, {}) as url:
        assert download(url) == data


def test_a_download_cut_off_is_noticed() -> None:
    with serving(b"half", {"Content-Length": "8"}) as url, pytest.raises(Unavailable):
        download(url)


def test_a_download_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "LARGEST", 1000)
    with serving(b"x" * 5000, {}) as url, pytest.raises(BadData, match="1000"):
        download(url)


def test_a_download_too_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "SLOWEST", -1.0)
    with serving(b"x", {}) as url, pytest.raises(Unavailable):
        download(url)


@pytest.mark.parametrize("status", [404, 500, 302])
def test_an_answer_that_is_no_file_is_unavailable(status: int) -> None:
    with serving(b"", {}, status) as url, pytest.raises(Unavailable):
        download(url)


def test_a_download_never_changes_its_scheme() -> None:
    with serving(b"", {"Location": "file:///etc/passwd"}, 302) as url, pytest.raises(Unavailable):
        download(url)


def test_nobody_there_is_unavailable() -> None:
    with serving(b"", {}) as url:
        pass
    with pytest.raises(Unavailable, match="give the file"):
        download(url)
