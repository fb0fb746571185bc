"""kill -9 in the middle: after the restart accounts, targets and history are whole, and tests can begin again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select

from portbook.web.database import Database, checks, targets, users
from portbook.web.settings import read_settings

from .. import servers
from .boards import tell, url
from .processes import eventually, started
from .test_workers import silent

pytestmark = pytest.mark.servers

WRITES = """
import asyncio, sys, time
from sqlalchemy import insert
from portbook.web.database import Database, checks, targets, users
from portbook.web.settings import read_settings

def row(table, **given):
    needed = (column for column in table.columns if not (column.nullable or column.primary_key or column.default))
    blank = {column.name: column.type.python_type() for column in needed}
    return insert(table).values(**{**blank, **given})

async def main():
    database = Database(read_settings(None, {"data": sys.argv[1], "database": sys.argv[2] or None}))
    for number in range(1_000_000):
        name = f"{sys.argv[3]}-{number}"
        async with database.writing() as connection:
            user = (await connection.execute(row(users, name=name))).inserted_primary_key[0]
            target = (await connection.execute(row(targets, user_id=user, host=name))).inserted_primary_key[0]
            for begun in range(3):
                await connection.execute(row(checks, target_id=target, begun=time.time() + begun, rows="[]"))
        print(name, flush=True)

asyncio.run(main())
"""
"""One user with one target and three checks at a time, each told when it is kept."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield ""
        else:
            server = stack.enter_context(servers.postgresql())
            yield f"postgresql://harbour@127.0.0.1:{server.port}/postgres"


def kept(folder: Path, database: str) -> dict[str, int]:
    """Return the users that are there, each with how many checks its one target has."""

    async def read() -> dict[str, int]:
        opened = Database(read_settings(None, {"data": str(folder / "serve"), "database": database or None}))
        try:
            await opened.prepare()
            counted = (
                select(users.c.name, func.count(checks.c.id).label("number"))
                .outerjoin(targets, targets.c.user_id == users.c.id)
                .outerjoin(checks, checks.c.target_id == targets.c.id)
                .group_by(users.c.name)
            )
            async with opened.reading() as connection:
                return {row.name: row.number for row in await connection.execute(counted)}
        finally:
            await opened.close()

    return asyncio.run(read())


def test_what_was_kept_is_whole_after_kill_9(database: str, tmp_path: Path) -> None:
    told: list[str] = []
    with servers.redis() as store:
        tell(store, "flushall")
        given = {"workers": 2, "shared": url(store), **({"database": database} if database else {})}
        for life in range(2):
            with started(tmp_path, **given) as server, silent() as port:
                # Whom the server before was testing when it died is tested again.
                assert eventually(lambda: server.begin(str(port)))
                writing = subprocess.Popen(
                    [sys.executable, "-c", WRITES, str(tmp_path / "serve"), database, str(life)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                assert writing.stdout is not None
                told += [writing.stdout.readline().strip() for _ in range(20)]
                workers = server.workers
                for pid in (server.running.pid, *workers, writing.pid):
                    os.kill(pid, signal.SIGKILL)
                told += writing.stdout.read().split()
                writing.stdout.close()
                writing.wait()
                server.running.wait()
            there = kept(tmp_path, database)
            assert set(told) <= set(there)
            # None is there in part; the last one may have been kept without being told.
            assert set(there.values()) == {3}
            assert len(there) <= len(told) + life + 1
        with started(tmp_path, **given) as server, silent() as port:
            run = server.begin(str(port))
            assert eventually(lambda: server.result(run)["over"])
            assert [row["state"] for row in server.result(run)["tests"]] == ["open"]
            assert set(kept(tmp_path, database)) == set(there)
