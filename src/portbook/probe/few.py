"""A few ports of one address, tested in the caller's event loop, each told as soon as something is known of it.

For many addresses at once, each with a handful of ports, where no pace has to be found: how one connection ends is
connecting.py's, what speaks at a port identify.py's, UDP datagrams.py's. Thousands of ports are reach.py's.
"""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from errno import errorcode
from ipaddress import ip_address
from time import monotonic
from typing import NamedTuple

from portbook.porttest import PortTest
from portbook.probe.connecting import NoFamily, NoSocket, Result, again, begin, new_socket, round_trip_ms
from portbook.probe.datagrams import SourcePorts, port_test
from portbook.probe.pace import syn_tries
from portbook.probe.reach import ALL_OPEN, Outcome
from portbook.probe.testing import FAILED, by_port, identified, told
from portbook.probe.turns import Turns
from portbook.probe.waiting import CONTROLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from portbook.probe.targets import Target
    from portbook.probe.testing import ServiceName

PATIENCE = 3.2
"""Seconds that a port may be silent, in which the kernel makes four tries."""

_TRIES_FOR_SOCKET, _UNTIL_NEXT = 40, 0.25
_SUSPICIOUS = 8
"""From so many ports that are all open on, two that hardly anybody would have open are asked too."""


class Told(NamedTuple):
    """What is known of a port: whether that is all, or what speaks there is still being found out."""

    test: PortTest
    final: bool


class Few(NamedTuple):
    """The ports of one target to be tested, as (port, transport), the first one first, and so many `at_once`.

    `turns` is the room that all targets share.
    """

    target: Target
    ports: Sequence[tuple[int, str]]
    service_name: ServiceName
    identify: bool = True
    at_once: int = 64
    turns: Turns | None = None


async def as_known(few: Few) -> AsyncGenerator[Told, None]:
    """Yield what becomes of each port: an open TCP port twice, when it is reached and when it is identified.

    Closing the generator ends all that still runs, and closes its connections.
    """
    answers: asyncio.Queue[Told] = asyncio.Queue()
    own_room = asyncio.Semaphore(few.at_once)
    turns = few.turns or Turns(few.at_once)
    sources = SourcePorts()

    async def one(place: int, port: int, transport: str) -> None:
        async with own_room, turns.turn(place):
            try:
                if transport == "udp":
                    answer = by_port(await port_test(few.target, port, few.identify, sources), few.service_name)
                else:
                    answer = await _connected(few, port, answers, turns)
            except Exception:  # noqa: BLE001 - one port must not keep the others from being told
                answer = PortTest(few.target.text, few.target.ip, port, transport, "error", "error", note=FAILED)
            answers.put_nowait(Told(answer, final=True))

    tasks = [asyncio.create_task(one(place, port, transport)) for place, (port, transport) in enumerate(few.ports)]
    try:
        left = len(tasks)
        while left:
            known = await answers.get()
            left -= known.final
            yield known
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connected(few: Few, port: int, answers: asyncio.Queue[Told], turns: Turns) -> PortTest:
    """Return what becomes of a TCP port; that it is open is told before it is known what speaks there."""
    outcome = await _reached(few.target.ip, port)
    test = told(few.target, outcome, few.service_name)
    if outcome.made is None:
        return test
    try:
        if not few.identify:
            return test
        answers.put_nowait(Told(test, final=False))
        await turns.pause()
        return await identified(few.target, test, outcome.made)
    finally:
        outcome.made.close()


async def accepts_everything(target: Target, tests: Sequence[PortTest]) -> str | None:
    """Return a note, a message id, where something in between seems to answer for every port of the target."""
    tcp = [test for test in tests if test.transport == "tcp"]
    if len(tcp) < _SUSPICIOUS or any(test.state != "open" for test in tcp):
        return None
    tested = {test.port for test in tcp}
    for port in random.sample([port for port in CONTROLS if port not in tested], 2):
        outcome = await _reached(target.ip, port)
        if outcome.made is None:
            return None
        outcome.made.close()
    return ALL_OPEN


async def _reached(ip: str, port: int) -> Outcome:
    """Return what became of a connection to a TCP port, with the open one."""
    address = (ip, port)
    try:
        made = await _socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
    except OSError as error:
        family = isinstance(error, NoFamily)
        reason = errorcode.get(error.errno or 0, "error")
        return Outcome(address, Result("unreachable" if family else "error", reason), None, 1)
    open_one = None
    try:
        begun = monotonic()
        came, at = begin(made, address), monotonic()
        if came is None:
            came, at = await _answer(made, address)
        waited = at - begun
        tries = syn_tries(waited)
        if came is None:
            return Outcome(address, Result("filtered", "silence"), None, tries)
        if came.state == "open" and not _is_peer(made, ip):
            return Outcome(address, Result("error", "other-peer"), None, tries)
        rtt = round_trip_ms(made) if came.state == "open" else None
        if rtt is None and tries == 1 and came.state in ("closed", "rejected", "open"):
            rtt = waited * 1000
        open_one = made if came.state == "open" else None
        return Outcome(address, came, rtt, tries, made=open_one)
    finally:
        if open_one is None:
            made.close()


def _is_peer(made: socket.socket, ip: str) -> bool:
    """Whether a connection has led to the address that was asked for, and to no other."""
    try:
        return ip_address(made.getpeername()[0]) == ip_address(ip)
    except OSError:
        return True  # it was, and has ended already


async def _socket(family: int) -> socket.socket:
    """Return a new socket, waiting a while for one to be free. Raises NoSocket, NoFamily."""
    for _ in range(_TRIES_FOR_SOCKET):
        with suppress(NoSocket):
            return new_socket(family)
        await asyncio.sleep(_UNTIL_NEXT)
    return new_socket(family)


async def _answer(made: socket.socket, address: tuple[str, int]) -> tuple[Result | None, float]:
    """Return what became of a connection that is being made, None where nothing is heard, and when that was seen."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[tuple[Result | None, float]] = loop.create_future()

    def look(last: bool) -> None:
        came = again(made, address)
        if (last or came is not None) and not answered.done():
            answered.set_result((came, monotonic()))

    loop.add_writer(made.fileno(), look, False)
    # In a busy process the time can be up before an answer that has come was looked at.
    timer = loop.call_later(PATIENCE, look, True)
    try:
        return await answered
    finally:
        timer.cancel()
        loop.remove_writer(made.fileno())
