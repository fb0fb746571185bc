from __future__ import annotations

from array import array

from hypothesis import given

from portbook.columns import ABSENT_ADDRESS, Addresses, Coded, Column, Numbers, Table, pack_address
from portbook.output.clean import display_width
from portbook.output.tables import CHUNK, aligned, shown_columns

from .random_tables import tables

LOCAL = (Column("local_ip", "address", "Local address"), Column("local_port", "integer", "Local port"))
REMOTE = (Column("remote_ip", "address", "Remote address"), Column("remote_port", "integer", "Remote port"))
STATE = Column("state", "text", "State")
QUEUE = Column("recv_queue", "integer", "Recv queue", "bytes")


def addresses(*texts: str | None) -> Addresses:
    return Addresses(bytearray(b"".join(ABSENT_ADDRESS if t is None else pack_address(t) for t in texts)))


def plain(table: Table, gettext: dict[str, str] | None = None) -> str:
    def translated(message: str) -> str:
        return (gettext or {}).get(message, message)

    return b"".join(aligned(shown_columns(table, translated), table.order, len(table))).decode()


def sockets() -> Table:
    return Table(
        (STATE, QUEUE, *LOCAL, *REMOTE),
        (
            Coded(array("B", [0, 1, 2]), ["LISTEN", "ESTABLISHED", None]),
            Numbers(array("I", [0, 12345, 7]), 7),
            addresses("0.0.0.0", "2001:db8::1", "127.0.0.1"),
            Numbers(array("H", [22, 443, 0]), 0),
            addresses(None, "2001:db8::2", None),
            Numbers(array("H", [0, 50000, 0]), 0),
        ),
    )


def test_the_plain_table() -> None:
    assert plain(sockets()) == (
        "State        Recv queue  Local              Remote\n"
        "LISTEN                0  0.0.0.0:22         -\n"
        "ESTABLISHED       12345  [2001:db8::1]:443  [2001:db8::2]:50000\n"
        "-                     -  127.0.0.1:*        -\n"
    )


def test_headings_are_translated_and_measured() -> None:
    text = plain(
        sockets().select(["local_ip", "local_port", "state"]), {"Local": "Локальна адреса 日", "State": "État"}
    )
    lines = text.splitlines()
    assert lines[0] == "Локальна адреса 日  État"
    assert lines[1] == "0.0.0.0:22          LISTEN"


def test_rows_are_shown_in_their_order() -> None:
    table = sockets().select(["state", "recv_queue"]).ordered([1, 0])
    assert plain(table) == "State        Recv queue\nESTABLISHED       12345\nLISTEN                0\n"


def test_only_neighbours_become_one_endpoint() -> None:
    def headings(*names: str) -> list[str]:
        return [column.heading for column in shown_columns(sockets().select(names), str)]

    assert headings("local_ip", "local_port") == ["Local"]
    assert headings("local_port", "local_ip") == ["Local port", "Local address"]
    assert headings("local_ip", "remote_port") == ["Local address", "Remote port"]
    assert headings("local_ip") == ["Local address"]
    assert headings("remote_ip", "remote_port", "local_ip", "state", "local_port") == [
        "Remote",
        "Local address",
        "State",
        "Local port",
    ]


def test_endpoints_of_values_are_those_of_vectors() -> None:
    rows = [("0.0.0.0", 22), ("2001:db8::1", 443), ("127.0.0.1", None), (None, 53), (None, None), ("::", 10)]
    table = Table.from_rows(LOCAL, rows)
    assert plain(table).splitlines() == [
        "Local",
        "0.0.0.0:22",
        "[2001:db8::1]:443",
        "127.0.0.1:*",
        "*:53",
        "-",
        "[::]:10",
    ]


def test_instants_of_many_rows_are_spelled_without_fractions() -> None:
    start = Column("start", "number", "Start", "epoch")
    values = Numbers(array("q", [1_795_255_392_999_999, 1_795_255_392_000_001, -1, -2_500_000]), -1, 6)
    assert plain(Table((start,), (values,))).splitlines()[1:] == [
        "2026-11-21 10:03:12Z",
        "2026-11-21 10:03:12Z",
        "                   -",
        "1969-12-31 23:59:57Z",
    ]


def test_an_absent_column_is_known_by_its_shown_rows() -> None:
    table = sockets()
    remote = shown_columns(table, str)[3]
    assert remote.absent([0, 2])
    assert not remote.absent([0, 1])
    assert not shown_columns(table, str)[2].absent([2])
    assert shown_columns(table, str)[0].absent([2])


@given(tables())
def test_every_record_is_one_aligned_line(table: Table) -> None:
    shown = shown_columns(table, str)
    lines = b"".join(aligned(shown, table.order, len(table))).decode().split("\n")
    assert len(lines) == len(table) + 2
    assert lines[-1] == ""
    if shown[-1].right:
        # No cell may hide a shift: where the last column is flush right all lines are equally long.
        assert len({display_width(line) for line in lines[:-1]}) == 1


def test_a_table_longer_than_one_piece_is_whole() -> None:
    table = Table((Column("port", "integer", "Port"),), (Numbers(array("I", range(CHUNK + 5))),))
    assert plain(table).split() == ["Port", *map(str, range(CHUNK + 5))]
