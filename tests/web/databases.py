"""What the tests of accounts share: work on a database of the test's own, and two passwords."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from portbook.web.database import Database
from portbook.web.settings import Settings

PASSWORD = "correct horse battery"
OTHER = "staple of another kind"

Made = Callable[..., Settings]


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings)
    await database.prepare()
    try:
        yield database
    finally:
        await database.close()


def done(settings: Settings, work: Callable[[Database], Any]) -> Any:
    """Return what work on a new connection comes to."""

    async def worked() -> Any:
        async with opened(settings) as database:
            return await work(database)

    return asyncio.run(worked())
