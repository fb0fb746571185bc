"""Child processes for the tests of portbook.linux: some hold sockets, some have lost their rights."""

from __future__ import annotations

import os
import pickle
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is read here")


@contextmanager
def running(body: Callable[[], tuple[object, object]]) -> Iterator[tuple[int, Any]]:
    """Run `body` in a child, which lives on with the second thing it returns; give its PID and the first."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            told, held = body()  # noqa: RUF059 - lives until the child is killed
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(told, pipe)
            while True:  # with `held`
                signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            yield pid, pickle.load(pipe)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def in_child(body: Callable[[], object], unprivileged: bool = False) -> Any:
    """Return what `body` returns in a child, or raise its error; the child can be without root's rights."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            if unprivileged:
                drop_rights()
            value: object = None
            failure: Exception | None = None
            try:
                value = body()
            except Exception as error:  # noqa: BLE001 - raised again in the parent
                failure = error
            with os.fdopen(writing, "wb") as pipe:
                # As text, since an error with named values cannot be pickled.
                pickle.dump((value, failure and (type(failure).__name__, str(failure))), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    value, failed = pickle.loads(data)
    if failed:
        raise ChildError(*failed)
    return value


class ChildError(Exception):
    """What a child raised: the name of the error's class, and its text."""


def drop_rights() -> None:
    """Become nobody."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
