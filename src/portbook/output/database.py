"""A table in DuckDB, typed by the declarations of its columns: for conditions in SQL and for Parquet.

Rows go in through our own newline-delimited JSON, in a private file that is gone before anything is asked.
DuckDB is imported here and in query.py, when they are called.
"""

from __future__ import annotations

from array import array
from pathlib import Path

from portbook.columns import Coded, Column, Numbers, Table
from portbook.output.data import json_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from portbook.columns import Vector

TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "address": "VARCHAR",
    "integers": "BIGINT[]",
    "texts": "VARCHAR[]",
}

LARGEST = (1 << 63) - 1
"""The largest BIGINT."""

PIECE = 1 << 20


def connect() -> DuckDBPyConnection:
    """Return a connection to an empty database that fetches no extension and sees nothing of Python."""
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "temp_directory": "",
        },
    )


def load(connection: DuckDBPyConnection, table: Table, name: str) -> None:
    """Make a table of that name from the shown rows, in their order. Raises OSError when the disk is full."""
    from tempfile import TemporaryDirectory

    types = {column.name: _type(column, vector) for column, vector in zip(table.columns, table.vectors, strict=True)}
    declared = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
    connection.execute(f'CREATE TABLE "{name}" ({declared})')
    if not len(table):
        return
    with TemporaryDirectory(prefix="portbook-") as folder:
        path = Path(folder) / "rows.ndjson"
        with path.open("wb") as file:
            file.writelines(json_lines(table))
        connection.execute(
            f"INSERT INTO \"{name}\" SELECT * FROM read_json(?, format = 'newline_delimited', columns = ?)",  # noqa: S608 - our own names
            [str(path), types],
        )


def numbered(table: Table, name: str) -> Table:
    """Return the table with one more column first, the number of each row."""
    length = len(table.vectors[0]) if table.vectors else 0
    column = Column(name, "integer", name)
    return Table((column, *table.columns), (Numbers(array("I", range(length))), *table.vectors), table.order)


def parquet(table: Table) -> Iterator[bytes]:
    """Yield the table as a Parquet file in pieces: BIGINT, DOUBLE, BOOLEAN, VARCHAR and lists of them.

    Raises OSError when there is no room to make it in.
    """
    from tempfile import TemporaryDirectory

    import duckdb

    with TemporaryDirectory(prefix="portbook-") as folder:
        path = Path(folder) / "rows.parquet"
        try:
            with connect() as connection:
                load(connection, table, "rows")
                connection.table("rows").write_parquet(str(path))
        except duckdb.IOException as error:
            raise OSError(str(error).partition("\n")[0]) from error
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _type(column: Column, vector: Vector) -> str:
    """Return the SQL type of a column: wider than BIGINT where one of its numbers is beyond that."""
    if column.type == "integer":
        lowest, highest = _bounds(vector)
        if highest > LARGEST:
            return "UBIGINT" if lowest >= 0 else "DECIMAL(20, 0)"
    return TYPES[column.type]


def _bounds(vector: Vector) -> tuple[int, int]:
    """Return the lowest and the highest integer of a vector, 0 counted in."""
    values: Sequence[object] = ()
    if isinstance(vector, Coded):
        values = vector.values
    elif isinstance(vector, Numbers) and vector.values.itemsize == 8:
        values = [value for value in vector.values if value != vector.null]
    whole = [0, *(value for value in values if isinstance(value, int))]
    return min(whole), max(whole)
