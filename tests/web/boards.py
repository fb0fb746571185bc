"""What the tests of the shared board need: to wait for what becomes true, and workers that are missed sooner."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable

import pytest

from portbook.web import shared_board

from .. import servers

PATIENCE = 20.0


async def eventually(truth: Callable[[], Awaitable[object]]) -> bool:
    """Return whether something becomes true before long."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if await truth():
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker that is gone be missed sooner."""
    monkeypatch.setattr(shared_board, "_BEATS_EVERY", 0.1)
    monkeypatch.setattr(shared_board, "_BEAT_FOR", 1500)
    monkeypatch.setattr(shared_board, "_GONE_AFTER", 0.5)
    monkeypatch.setattr(shared_board, "_LOOKED_EVERY", 0.1)
    monkeypatch.setattr(shared_board, "_AGAIN", 0.1)


def url(store: servers.Server) -> str:
    return f"redis://127.0.0.1:{store.port}"


def tell(store: servers.Server, *words: str) -> None:
    subprocess.run(
        [servers.program("redis-cli"), "-p", str(store.port), *words], check=True, stdout=subprocess.DEVNULL
    )
