"""The Valkey or Redis that workers share: how it is connected to, and what is said while it cannot be reached."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

from limits.aio.storage import RedisStorage
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from portbook.errors import N_
from portbook.web.refused import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SOON = 5
"""Seconds after which it is worth asking again."""

_CONNECTING, _ANSWERING = 2.0, 5.0
"""A visitor waits no longer for it, in seconds."""

_UNREACHABLE = N_("the store that this server shares with others cannot be reached; try again in {seconds} seconds")


class _Together(Redis):
    """A client that sends whatever is asked while it waits in one piece, over one connection.

    Each of many hundred visitors asks a little: to have a connection and a packet for each would cost more than the
    questions.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._asked: list[tuple[tuple[Any, ...], dict[str, Any], asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """Ask, and return the answer. Raises RedisError, OSError."""
        answer = asyncio.get_running_loop().create_future()
        self._asked.append((words, options, answer))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                async with self.pipeline(transaction=False) as together:
                    for words, options, _ in asked:
                        together.execute_command(*words, **options)
                    answers = await together.execute(raise_on_error=False)
            except Exception as error:  # noqa: BLE001 - it is theirs who asked
                answers = [error] * len(asked)
            for (_, _, answer), came in zip(asked, answers, strict=True):
                if answer.done():
                    continue  # whoever asked has gone
                if isinstance(came, Exception):
                    answer.set_exception(came)
                else:
                    answer.set_result(came)


def store(url: str) -> Redis:
    """Return the store at a URL (redis, rediss, valkey, valkeys or unix); connected to when it is first asked."""
    made: Redis = _Together.from_url(
        _as_redis(url),
        decode_responses=True,
        retry=Retry(NoBackoff(), 1),  # a connection that the store has closed is made anew once
        socket_connect_timeout=_CONNECTING,
        socket_timeout=_ANSWERING,
    )
    return made


def counters(url: str) -> RedisStorage:
    """Return the counters in that store."""
    known = _as_redis(url)
    known = f"redis+{known}" if known.startswith("unix:") else known
    made = RedisStorage(f"async+{known}", implementation="redispy", key_prefix="portbook:quota")
    made.bridge.storage = store(url)  # type: ignore[attr-defined]  # declared for one of its clients only
    made.bridge.register_scripts()
    return made


def _as_redis(url: str) -> str:
    """Return the URL with Valkey by its older name, which the libraries know: the protocol is the same."""
    return "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url


@contextmanager
def within_reach() -> Iterator[None]:
    """Raise Refused (503) where the store cannot be reached, or cannot do what is asked of it now."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Refused(503, _UNREACHABLE, retry_after=SOON, seconds=SOON) from error
