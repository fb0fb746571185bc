from __future__ import annotations

import ipaddress
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.columns import (
    ABSENT_ADDRESS,
    MAPPED_PREFIX,
    Addresses,
    Coded,
    Column,
    Numbers,
    Table,
    address_text,
    pack_address,
)
from portbook.errors import BadQuestion

IP = Column("ip", "address", "Address")
PORT = Column("port", "integer", "Port")
NAME = Column("process", "text", "Process", foreign=True)


def table() -> Table:
    packed = [pack_address("10.0.0.2"), ABSENT_ADDRESS, pack_address("10.0.0.1"), pack_address("::1")]
    return Table(
        (IP, PORT, NAME),
        (
            Addresses(bytearray(b"".join(packed))),
            Numbers(array("H", [443, 80, 0, 22]), 0),
            Coded.of(["b", None, "A", "c"]),
        ),
    )


def test_a_table_is_read_by_rows_and_by_columns() -> None:
    given_table = table()
    assert len(given_table) == 4
    assert [tuple(row) for row in given_table] == [
        ("10.0.0.2", 443, "b"),
        (None, 80, None),
        ("10.0.0.1", None, "A"),
        ("::1", 22, "c"),
    ]
    assert next(iter(given_table)).port == 443
    assert given_table.vector("port")[3] == 22


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadQuestion, match="no column pid; there are: ip, port, process"):
        table().select(["port", "pid"])


@pytest.mark.parametrize(
    ("name", "descending", "rows"),
    [
        ("ip", False, [3, 2, 0, 1]),
        ("ip", True, [0, 2, 3, 1]),
        ("port", False, [3, 1, 0, 2]),
        ("port", True, [0, 1, 3, 2]),
        ("process", False, [2, 0, 3, 1]),
        ("process", True, [3, 0, 2, 1]),
    ],
)
def test_absent_values_are_sorted_last(name: str, descending: bool, rows: list[int]) -> None:
    assert list(table().sorted(name, descending).shown()) == rows


def test_addresses_as_values_are_sorted_like_addresses() -> None:
    values = Table.from_rows((IP,), [("10.0.0.10",), ("10.0.0.9",), (None,), ("::1",)])
    assert [row.ip for row in values.sorted("ip")] == ["::1", "10.0.0.9", "10.0.0.10", None]


def test_selection_order_and_limit_keep_what_is_known_of_the_answer() -> None:
    given_table = table()
    given_table.complete = False
    given_table.notes.append(("{count} owners hidden", {"count": 1}))
    answer = given_table.sorted("port").limited(2).select(["port"])
    assert [row.port for row in answer] == [22, 80]
    assert not answer.complete
    assert answer.notes == given_table.notes
    assert len(answer) == 2
    assert len(answer.limited(9)) == 2


def test_values_of_different_types_stay_apart() -> None:
    values = [1, True, 1.0, "1", None, (1,), 0, False]
    vector = Coded.of(values)
    assert [vector[row] for row in range(len(vector))] == values
    assert [type(vector[row]) for row in range(len(vector))] == [type(value) for value in values]


def test_fixed_point_numbers() -> None:
    vector = Numbers(array("q", [1500, -1, -250]), -1, 3)
    assert [vector[row] for row in range(3)] == [1.5, None, -0.25]


@given(st.ip_addresses())
def test_addresses_are_given_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    packed = pack_address(str(address))
    text = address_text(packed)
    if packed == ABSENT_ADDRESS:
        assert text is None
    elif packed.startswith(MAPPED_PREFIX):
        assert text == str(ipaddress.IPv4Address(packed[12:]))
    else:
        assert text is not None
        assert ipaddress.ip_address(text) == address


@pytest.mark.parametrize("text", ["10.0.0", "10.0.0.256", "::g", "fe80::1%eth0", "localhost", "1:2"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        pack_address(text)
