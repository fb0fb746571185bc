"""Open ports identified in haste: what the tests of identification share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from portbook.porttest import Finding
from portbook.probe import identify, tls
from portbook.probe.identify import Identification, Patience
from portbook.probe.line import Line

from .serving import Authority, authority

HOST = "127.0.0.1"
HASTY = Patience(answer=1.0, hunch=0.15, whole=6.0)
HANGS = 60.0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything that is waited for come sooner."""
    for name, seconds in (
        *(("_GREETS", 1.0), ("_MAY_GREET", 0.15), ("_MAY_GREET_INSIDE", 0.15), ("_LATE_GREETING", 1.5)),
        ("_SLOW_ANSWER", 1.5),
    ):
        monkeypatch.setattr(identify, name, seconds)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Line]]:
    """The connections that are made: never two at a time, and each is closed in the end."""
    made: list[Line] = []
    init = Line.__init__

    def kept(self: Line, *arguments: object) -> None:
        assert [line for line in made if line.socket.fileno() != -1] == []
        init(self, *arguments)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(Line, "__init__", kept)
    yield made
    assert [line for line in made if line.socket.fileno() != -1] == []


def found_at(port: int, patience: Patience = HASTY, host: str = HOST) -> tuple[Finding | None, Identification]:
    identification = Identification("server.example", host, port, patience)

    async def bounded() -> Finding | None:
        async with asyncio.timeout(HANGS):
            return await identification.finding()

    return asyncio.run(bounded()), identification


@pytest.fixture(autouse=True)
def _roots_are_read_anew() -> Iterator[None]:
    """Have each test trust the roots that it names, and none of the one before."""
    tls.shared_context.cache_clear()
    yield
    tls.shared_context.cache_clear()
