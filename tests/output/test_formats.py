from __future__ import annotations

import io
import json
import os
import stat
import sys
import warnings
from array import array
from pathlib import Path
from subprocess import PIPE, Popen, run
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from portbook.columns import ABSENT_ADDRESS, Addresses, Coded, Column, Numbers, Table, pack_address
from portbook.errors import BadQuestion, Unavailable
from portbook.output.formats import FORMATS, write, write_file

from .random_tables import HOSTILE, faithful, tables, visible

COLUMNS = (
    Column("process", "text", "Process", foreign=True),
    Column("port", "integer", "Port"),
    Column("started", "number", "Started", "epoch"),
    Column("held", "boolean", "Held"),
    Column("ip", "address", "Address"),
    Column("pids", "integers", "PIDs"),
    Column("names", "texts", "Names", foreign=True),
)


def table() -> Table:
    return Table(
        COLUMNS,
        (
            Coded.of(["nginx", None]),
            Numbers(array("H", [443, 0]), 0),
            Numbers(array("Q", [1_795_255_392_250, 0]), 0, 3),
            Coded.of([True, None]),
            Addresses(bytearray(pack_address("2001:db8::1") + ABSENT_ADDRESS)),
            Coded.of([(12, 13), None]),
            Coded.of([("a", "b"), None]),
        ),
    )


def written(given_table: Table, name: str) -> bytes:
    stream = io.BytesIO()
    write(given_table, name, stream)
    return stream.getvalue()


def parquet_rows(path: Path) -> tuple[list[tuple[object, ...]], list[str]]:
    with duckdb.connect() as connection:
        relation = connection.read_parquet(str(path))
        return relation.fetchall(), [str(kind) for kind in relation.types]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("table", b""),
        ("ndjson", b""),
        ("json", b"[]\n"),
        ("csv", b"process,port,started,held,ip,pids,names\r\n"),
    ],
)
def test_a_table_without_rows(name: str, expected: bytes) -> None:
    assert written(Table.from_rows(COLUMNS, []), name) == expected
    assert written(table().ordered([]), name) == expected


def test_parquet_has_real_types(tmp_path: Path) -> None:
    path = tmp_path / "answer.parquet"
    types = ["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR", "BIGINT[]", "VARCHAR[]"]
    write_file(table(), "parquet", path)
    assert parquet_rows(path) == (
        [("nginx", 443, 1795255392.25, True, "2001:db8::1", [12, 13], ["a", "b"]), (None,) * 7],
        types,
    )
    write_file(Table.from_rows(COLUMNS, []), "parquet", path)
    assert parquet_rows(path) == ([], types)


def test_parquet_holds_numbers_beyond_bigint(tmp_path: Path) -> None:
    columns = (Column("cookie", "integer", "Cookie"), Column("inode", "integer", "Inode"))
    vectors = (Numbers(array("Q", [2**63, 5])), Numbers(array("Q", [2**64 - 1, 5]), 2**64 - 1))
    path = tmp_path / "answer.parquet"
    write_file(Table(columns, vectors), "parquet", path)
    assert parquet_rows(path) == ([(2**63, None), (5, 5)], ["UBIGINT", "BIGINT"])


def test_parquet_holds_hostile_text(tmp_path: Path) -> None:
    path = tmp_path / "answer.parquet"
    write_file(Table.from_rows(COLUMNS[:1], [(text,) for text in HOSTILE]), "parquet", path)
    assert parquet_rows(path)[0] == [(visible(text),) for text in HOSTILE]


def beyond_bigint(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_parquet_gives_every_value_back(tmp_path: Path, given_table: Table) -> None:
    path = tmp_path / "answer.parquet"
    held = [[vector[row] for vector in given_table.vectors] for row in given_table.shown()]
    if any(beyond_bigint(value) for row in held for value in row):
        return
    write_file(given_table, "parquet", path)
    # A column of numbers is DOUBLE, which holds whole numbers exactly up to 2**53.
    doubles = [column.type == "number" for column in given_table.columns]
    assert parquet_rows(path)[0] == [
        tuple(
            float(value) if double and isinstance(value, int) else faithful(value)
            for value, double in zip(row, doubles, strict=True)
        )
        for row in held
    ]


def test_parquet_to_a_pipe_is_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "answer.parquet"
    path.write_bytes(written(table(), "parquet"))
    assert len(parquet_rows(path)[0]) == 2


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_parquet_is_not_for_a_terminal() -> None:
    terminal = Terminal()
    with pytest.raises(BadQuestion, match="-o FILE"):
        write(table(), "parquet", terminal)
    assert terminal.getvalue() == b""


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(BadQuestion, match="no format xml; there are: table, json, ndjson, csv, parquet"):
        write(table(), "xml", io.BytesIO())
    with pytest.raises(BadQuestion, match="xml"):
        write_file(table(), "xml", tmp_path / "answer")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "parquet"])
def test_a_file_holds_what_a_stream_gets(name: str, tmp_path: Path) -> None:
    path = tmp_path / "answer"
    write_file(table(), name, path)
    assert path.read_bytes() == written(table(), name) != b""
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(table(), "csv", tmp_path / "answer")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "answer").stat().st_mode) == 0o640


def test_a_former_file_is_replaced_behind_its_link_and_keeps_its_permissions(tmp_path: Path) -> None:
    former, link = tmp_path / "former", tmp_path / "link"
    former.write_text("old")
    former.chmod(0o600)
    link.symlink_to(former)
    write_file(table(), "json", link)
    assert link.is_symlink()
    assert json.loads(former.read_bytes())[0]["process"] == "nginx"
    assert stat.S_IMODE(former.stat().st_mode) == 0o600


WRITER = """
import resource, signal, sys
from array import array
from portbook.columns import Column, Numbers, Table
from portbook.errors import Unavailable
from portbook.output.formats import write_file
table = Table((Column("port", "integer", "Port"),), (Numbers(array("I", range(100_000))),))
# No file of this process may grow beyond 4 kB: a full disk for it alone.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_file(table, sys.argv[1], sys.argv[2])
except Unavailable as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_the_former_file_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text("old")
    child = run(
        [sys.executable, "-c", WRITER, name, str(path)],
        stdout=PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == 2
    assert str(path) in child.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_takes_nothing() -> None:
    with pytest.raises(Unavailable, match="No space left on device"):
        write_file(table(), "csv", "/dev/full")
    with Path("/dev/full").open("wb", buffering=0) as stream, pytest.raises(Unavailable, match="No space left"):
        write(table(), "json", io.BufferedWriter(Keep(stream)))


class Keep(io.RawIOBase):
    """Passes on what is written, and forgets at once what could not be."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self.stream = stream
        self.failed = False

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int | None:
        if self.failed:
            return len(bytes(data))  # type: ignore[call-overload]
        self.failed = True
        return self.stream.write(data)  # type: ignore[arg-type]


def test_a_device_is_written_to_directly(tmp_path: Path) -> None:
    write_file(table(), "csv", "/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_folder_that_is_not_there_or_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file or directory"):
        write_file(table(), "csv", tmp_path / "absent" / "answer")
    with pytest.raises(Unavailable, match="Is a directory"):
        write_file(table(), "csv", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="Not a directory"):
        write_file(table(), "csv", tmp_path / "file" / "answer")


def test_a_folder_without_the_right_to_write() -> None:
    """In a child without root's rights, forked because the interpreter may lie where only root reads."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "answer"
        path.write_text("old")
        path.chmod(0o644)
        folder.chmod(0o555)
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Other threads (DuckDB's) are no harm to a child that only writes a file and leaves.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setresgid(65534, 65534, 65534)
                    os.setresuid(65534, 65534, 65534)
                assert path.read_text() == "old"
                write_file(table(), "csv", path)
            except Unavailable as error:
                os.write(writer, str(error.values["reason"]).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            reason = answer.read()
        os.waitpid(child, 0)
        folder.chmod(0o755)
        assert reason == "Permission denied"
        assert path.read_text() == "old"


@pytest.mark.parametrize("name", FORMATS)
def test_a_closed_pipe_is_told_as_such(name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    raw = os.fdopen(writer, "wb", buffering=0)
    with pytest.raises(BrokenPipeError):
        write(table(), name, raw)
    raw.close()


STREAMER = """
import resource, sys
from array import array
from portbook.columns import Addresses, Column, Numbers, Table, MAPPED_PREFIX
from portbook.output.formats import write
rows = 100_000
columns = [Column(f"column_{i}", "integer", "Heading") for i in range(24)] + [Column("ip", "address", "Address")]
shared = Numbers(array("I", range(4_000_000_000, 4_000_000_000 + rows)))
packed = Addresses(bytearray((MAPPED_PREFIX + bytes(4)) * rows))
table = Table(tuple(columns), (shared,) * 24 + (packed,))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write(table, sys.argv[1], sys.stdout.buffer)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
print([name for name in ("rich", "duckdb", "json", "dataclasses", "pathlib") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["table", "ndjson", "json", "csv"])
def test_a_hundred_thousand_rows_stream_in_bounded_memory(name: str) -> None:
    with Popen([sys.executable, "-c", STREAMER, name], stdout=PIPE, stderr=PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        size = 0
        while piece := child.stdout.read(1 << 20):
            size += len(piece)
        grown, imported = child.stderr.read().decode().splitlines()
    assert child.returncode == 0
    assert size > 25_000_000
    # The text is more than 25 MB; a few pieces of 8192 rows are what may be held of it.
    assert int(grown) < 16_384
    assert imported == "[]"
