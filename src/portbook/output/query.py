"""Which rows of a table meet a condition in SQL, asked of DuckDB.

The condition is a stranger's text: it is held to be one expression that is true or false of a row, and it
runs where no file, no network and no setting can be reached.
"""

from __future__ import annotations

from portbook.errors import N_, BadQuestion, Unavailable
from portbook.output.clean import clean
from portbook.output.database import connect, load, numbered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from portbook.columns import Table

ROW = "row number"
ROWS = "shown rows"
"""Names that no condition says by chance: rows taken as a whole would lack the columns that were not loaded."""


def where(table: Table, condition: str) -> Table:
    """Return the table that shows only the rows which meet a condition over its columns, in their order.

    The condition is DuckDB's SQL, as it stands after WHERE: `remote_port = 443 and state = 'ESTABLISHED'`,
    `list_contains(pids, 12)`. Raises BadQuestion when it is none, with the reason.
    """
    import duckdb

    named = [column.name for column in table.columns if _named(column.name, condition)]
    try:
        with connect() as connection:
            load(connection, numbered(table, ROW).select([ROW, *named]), ROWS)
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            met = _met(connection, condition)
    except duckdb.Error as error:
        raise _refusal(table, str(error)) from error
    except OSError as error:
        raise Unavailable(N_("cannot weigh the condition: {reason}"), reason=error.strerror) from error
    return table.ordered(row for row in table.shown() if row in met)


def _named(name: str, condition: str) -> bool:
    """Whether the condition may read that column: it says its name, or means several at once (COLUMNS, *)."""
    folded = condition.casefold()
    return name.casefold() in folded or "*" in condition or "columns" in folded


def _met(connection: DuckDBPyConnection, condition: str) -> set[int]:
    """Return the numbers of the rows that meet the condition."""
    # What is an expression by itself and inside parentheses cannot close them, nor go on to another clause.
    # The line end keeps a comment from swallowing what follows.
    if len(connection.extract_statements(f"SELECT {condition}\n")) != 1:
        raise BadQuestion(N_("the condition must be a single expression"))
    expression = f"({condition}\n)"
    described = connection.execute(f'DESCRIBE SELECT {expression} FROM "{ROWS}"').fetchall()  # noqa: S608 - see above
    if [row[1] for row in described] != ["BOOLEAN"]:
        raise BadQuestion(
            N_("the condition is neither true nor false of a row: compare something, as in {example}"),
            example="local_port = 443",
        )
    found = connection.execute(f'SELECT "{ROW}" FROM "{ROWS}" WHERE {expression}')  # noqa: S608
    return {row[0] for row in found.fetchall()}


def _refusal(table: Table, reason: str) -> BadQuestion:
    return BadQuestion(
        N_("the condition cannot be used: {reason} (the columns are: {columns})"),
        reason=clean(reason.partition("\n")[0]),
        columns=", ".join(column.name for column in table.columns),
    )
