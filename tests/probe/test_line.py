"""A line ends when its time is up, however much there is still to hear."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic

from portbook.probe.line import Line
from portbook.protocols.conversation import Heard


def test_what_waits_to_be_read_is_not_heard_when_the_time_is_up() -> None:
    async def heard() -> list[Heard]:
        line = Line(made, "server.example", 60.0, monotonic() + 60)
        told = [await line.hear()]
        line.until = monotonic()
        return [*told, await line.hear()]

    made, server = socket.socketpair()
    with made, server:
        made.setblocking(False)
        server.sendall(b"a" * 65537)
        assert asyncio.run(heard()) == [Heard(b"a" * 65536), Heard(ended="silence")]
