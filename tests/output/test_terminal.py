from __future__ import annotations

import io
import re
from array import array

import pytest
from rich.cells import cell_len

from portbook.columns import ABSENT_ADDRESS, Addresses, Coded, Column, Numbers, Table, pack_address
from portbook.errors import Unavailable
from portbook.output.terminal import MOST_FITTED, STYLES, show

COLUMNS = (
    Column("transport", "text", "Transport"),
    Column("state", "text", "State"),
    Column("local_ip", "address", "Local address"),
    Column("local_port", "integer", "Local port"),
    Column("remote_ip", "address", "Remote address"),
    Column("remote_port", "integer", "Remote port"),
    Column("recv_queue", "integer", "Recv queue", "bytes"),
    Column("scope", "text", "Scope"),
    Column("process", "text", "Process", foreign=True),
    Column("command", "text", "Command", foreign=True),
)
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COMMAND = "/usr/bin/very-long-server --with=many --options=and " * 4


def table(rows: int = 2, command: str = COMMAND) -> Table:
    def repeated(*values: object) -> Coded:
        return Coded(array("I", (row % len(values) for row in range(rows))), values)

    packed = pack_address("10.20.30.40") + pack_address("2001:db8:1111:2222:3333:4444:5555:6666")
    return Table(
        COLUMNS,
        (
            repeated("tcp"),
            repeated("LISTEN", "TIME-WAIT"),
            Addresses(bytearray((packed * rows)[: 16 * rows])),
            Numbers(array("H", [443]) * rows, 0),
            Addresses(bytearray(ABSENT_ADDRESS * rows)),
            Numbers(array("H", [0]) * rows, 0),
            Numbers(array("I", [128]) * rows),
            repeated("any", None),
            repeated("nginx", None),
            repeated(command),
        ),
    )


def drawn(given: Table, width: int | None, color: str = "never", **options: object) -> str:
    stream = io.StringIO()
    show(given, stream, color=color, width=width, **options)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_table_fits_its_terminal(width: int) -> None:
    lines = drawn(table(), width).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    records = [line for line in lines if line.startswith("tc")]
    assert len(records) == 2
    assert all("…" in record for record in records)


def test_long_commands_are_cut_before_anything_else() -> None:
    text = drawn(table(), 114)
    for whole in ("tcp", "LISTEN", "TIME-WAIT", "10.20.30.40:443", "[2001:db8:1111:2222:3333:4444:5555:6666]:443"):
        assert whole in text
    assert "/usr/bin/very-l" in text
    assert "--options" not in text


def test_addresses_give_way_before_states() -> None:
    text = drawn(table().select(["transport", "state", "local_ip", "local_port", "recv_queue", "process"]), 60)
    assert "10.20.30.40:443" in text
    assert "[2001:db8:1111:222" in text
    assert "6666]" not in text
    assert "TIME-WAIT" in text


def test_a_table_with_room_is_whole() -> None:
    text = drawn(table(), 400)
    assert "…" not in text
    assert COMMAND.strip() in text
    assert text.splitlines()[0].split() == [
        "Transport", "State", "Local", "Recv", "queue", "Scope", "Process", "Command",
    ]  # fmt: skip


def test_without_a_terminal_nothing_is_cut() -> None:
    assert COMMAND.strip() in drawn(table(), None)


def test_columns_that_say_nothing_are_left_out_unless_they_were_asked_for() -> None:
    assert "Remote" not in drawn(table(), 400)
    assert "Remote" in drawn(table(), 400, spare=None)
    assert "Scope" not in drawn(table().ordered([1]), 400)
    nothing = table().select(["remote_ip", "remote_port"])
    assert drawn(nothing, 80).split() == ["Remote", "-", "-"]


def test_colours_have_their_meaning() -> None:
    text = drawn(table(), 400, "always")
    for code, word in ((32, "LISTEN"), (2, "TIME-WAIT"), (31, "any")):
        assert re.search(rf"\x1b\[{code}m{word} *\x1b\[0m", text)
    assert [line.rstrip() for line in ESCAPE.sub("", text).splitlines()] == [
        line.rstrip() for line in drawn(table(), 400).splitlines()
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_and_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def coloured(stream: io.StringIO, color: str = "auto") -> bool:
        show(table(), stream, color=color, width=120)  # type: ignore[arg-type]
        return "\x1b" in stream.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    assert not coloured(Terminal(), "never")
    monkeypatch.setenv("TERM", "dumb")
    assert not coloured(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Terminal())
    assert coloured(Terminal(), "always")
    assert coloured(io.StringIO(), "always")


def test_the_width_is_asked_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    show(table(), stream, color="never")
    assert max(cell_len(line) for line in stream.getvalue().splitlines()) <= 50


@pytest.mark.parametrize("rows", [2, MOST_FITTED + 2])
def test_hostile_text_reaches_no_terminal(rows: int) -> None:
    hostile = "\x1b[2J\x1b]0;x\x07\u202e[red]markup[/red] :snake:\n\udcff"
    text = drawn(table(rows, hostile), 400, "always")
    assert "\\x1b[2J\\x1b]0;x\\x07\\u202e[red]markup[/red] :snake:\\n\\udcff" in text
    assert "\x1b" not in ESCAPE.sub("", text)
    assert len(text.splitlines()) == rows + 1


def test_many_rows_are_written_plainly_with_the_same_columns_and_colours() -> None:
    many = drawn(table(MOST_FITTED + 2), 80, "always")
    few = drawn(table(MOST_FITTED), 400, "always")
    assert "\x1b[32mLISTEN\x1b[0m" in many
    plain = [line.rstrip() for line in ESCAPE.sub("", many).splitlines()]
    assert len(plain) == MOST_FITTED + 3
    assert plain[:20] == [line.rstrip() for line in ESCAPE.sub("", few).splitlines()[:20]]


def test_wide_letters_stay_aligned() -> None:
    for rows in (2, MOST_FITTED + 2):
        given = Table(
            (COLUMNS[8], COLUMNS[6]),
            (Coded(array("I", [0, 1] * (rows // 2)), ["日本語", "e\u0301"]), Numbers(array("I", [5]) * rows)),
        )
        assert len({cell_len(line) for line in drawn(given, 80).splitlines()}) == 1


def test_a_terminal_of_another_encoding() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="iso-8859-1")
    show(table(2, "é привіт"), stream, color="never", width=400)
    assert b"\xe9 \\u043f\\u0440" in raw.getvalue()


def test_no_rows_are_nothing() -> None:
    assert drawn(table().ordered([]), 80) == ""


def test_a_full_disk_is_told() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="No space left"):
        show(table(), Full())


def test_every_style_is_one_that_rich_knows() -> None:
    from rich.style import Style

    assert all(Style.parse(style) for style in STYLES.values())


def test_a_narrow_terminal_does_without_what_can_be_spared() -> None:
    rows = [("tcp", "LISTEN", "a-process-with-a-long-name", "somebody")]
    columns = tuple(Column(name, "text", name) for name in ("transport", "state", "process", "user"))
    given = Table.from_rows(columns, rows)
    stream = io.StringIO()
    assert show(given, stream, color="never", width=50, spare=("user", "transport")) == ["user"]
    assert "a-process-with-a-long-name" in stream.getvalue()
    assert "somebody" not in stream.getvalue()
    assert show(given, io.StringIO(), color="never", width=200, spare=("user", "transport")) == []
    assert show(given, io.StringIO(), color="never", width=10, spare=None) == []
