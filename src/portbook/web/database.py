"""What outlives the process: accounts, targets and their history, in SQLite or PostgreSQL.

The tables are declared here and nowhere else; what their rows mean is accounts.py's and targets.py's. Times are
seconds since the epoch, UTC.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from portbook.errors import N_, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from portbook.web.settings import Settings

VERSION = 1
"""Of the tables; a database of another version is refused."""

tables = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for this type

about = Table("about", tables, Column("name", String(32), primary_key=True), Column("value", Text, nullable=False))

users = Table(
    "users",
    tables,
    Column("id", _Number, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("password", Text, comment="argon2, null where only the OpenID provider vouches"),
    Column("subject", String(400), unique=True, comment="issuer and subject of OpenID Connect"),
    Column("generation", Integer, nullable=False, default=0, comment="sessions of earlier ones are void"),
    Column("made", Float, nullable=False),
)

tokens = Table(
    "tokens",
    tables,
    Column("id", _Number, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("digest", String(64), nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("made", Float, nullable=False),
    Column("used", Float),
)

links = Table(
    "links",
    tables,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the one-time link"),
    Column("until", Float, nullable=False),
)

targets = Table(
    "targets",
    tables,
    Column("id", _Number, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("host", String(255), nullable=False),
    Column("ports", String(400), nullable=False),
    Column("transports", String(16), nullable=False, comment="tcp, udp, both; empty for each port's own"),
    Column("every", Float, comment="seconds between two tests, null for by hand"),
    Column("webhook", Text),
    Column("secret", String(64), nullable=False, comment="signs what the webhook is told"),
    Column("due", Float, comment="when it is tested next"),
    Column("answers", Text, comment="what the last whole check came to, JSON, with which the next one is compared"),
    Column("made", Float, nullable=False),
    UniqueConstraint("user_id", "host", "ports", "transports"),
    Index("targets_due", "due"),
)

checks = Table(
    "checks",
    tables,
    Column("id", _Number, primary_key=True),
    Column("target_id", ForeignKey("targets.id", ondelete="CASCADE"), nullable=False),
    Column("begun", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("changed", Boolean, nullable=False, comment="whether an answer differs from the check before"),
    Column("changes", Text, nullable=False, comment="the answers that differ, from what and to what, JSON"),
    Column("rows", Text, nullable=False, comment="the tests, a JSON array of portbook.porttest.COLUMNS"),
    Column("note", Text, comment="what is to be said of it, a message id and its values, JSON"),
    Column("tell", Float, comment="when the webhook is to be told; moved on by the worker that does"),
    Column("told", Text, comment="what became of that, a message id and its values, JSON"),
    Index("checks_of_target", "target_id", "id"),
    Index("checks_begun", "begun"),
    Index("checks_tell", "tell"),
)


class Database:
    """The connections of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        url = settings.database_url
        self.is_sqlite = url.startswith("sqlite")
        try:
            self.engine: AsyncEngine = create_async_engine(url, pool_pre_ping=not self.is_sqlite)
        except (SQLAlchemyError, ImportError) as error:
            raise Unavailable(N_("the database cannot be used: {reason}"), reason=error) from error
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _for_sqlite)

    async def prepare(self) -> None:
        """Make the tables where there are none. Raises Unavailable where the database is not there, or is newer."""
        if self.is_sqlite and self._settings.database is None:
            os.makedirs(self._settings.data, mode=0o700, exist_ok=True)
        try:
            async with self.engine.begin() as connection:
                await connection.run_sync(tables.create_all)
            await self._mark()
            async with self.engine.connect() as connection:
                version = await connection.scalar(select(about.c.value).where(about.c.name == "version"))
        except (SQLAlchemyError, OSError) as error:
            reason = getattr(error, "orig", None) or error
            raise Unavailable(N_("the database cannot be used: {reason}"), reason=reason) from error
        if version != str(VERSION):
            raise Unavailable(N_("the database was made by another version of portbook ({version})"), version=version)

    async def _mark(self) -> None:
        try:
            async with self.engine.begin() as connection:
                await connection.execute(insert(about).values(name="version", value=str(VERSION)))
        except IntegrityError:
            return  # another worker, or an earlier start, has

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for questions."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose changes are kept all together, or not at all."""
        async with self.engine.begin() as connection:
            yield connection

    async def is_there(self) -> bool:
        """Whether the database answers."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(select(about.c.name).limit(1))
        except (OperationalError, OSError, SQLAlchemyError):
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


def _for_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
    cursor.execute("PRAGMA synchronous=FULL")  # what was committed is there after a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()
