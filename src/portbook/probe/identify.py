"""What really speaks at an open TCP port: a greeting, else questions, the likely ones first and each politely.

About half of all services are mute until spoken to, and one wrong question ends many a connection. So every question
but the first has a connection of its own, few are asked at all, and what a server says to a wrong one is read by
every protocol's recogniser. What is asked and understood is protocols/'s, how bytes move line.py's.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic
from typing import NamedTuple

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.probe.connecting import new_socket, round_trip_ms, with_zone
from portbook.probe.line import Line
from portbook.protocols.conversation import Asked
from portbook.protocols.order import (
    FIRST,
    INSIDE,
    all_first,
    alpn,
    at_home,
    further_questions,
    inside_at_home,
    named,
    questions,
    questions_inside,
    recognised,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.protocols.conversation import Protocol
    from portbook.protocols.order import Behaviour

MOST_CONNECTIONS = 8
"""To one port that stays mute; the last of them only listens at first, for a greeting that comes late."""

_GREETS, _MAY_GREET, _MAY_GREET_INSIDE, _MUTE = 6.0, 1.0, 0.3, 0.1
"""Seconds that a greeting is waited for: where the protocol of the port greets, where none is known, the same inside
TLS, and where it does not greet. Mail servers let strangers wait, and dislike those who speak first."""
_MORE_OF_GREETING = 0.5
_LATE_GREETING, _SLOW_ANSWER = 9.0, 5.0
_CONNECTING = 4.0
_ROUND_TRIPS = 3
"""How many of them are added to each patience: for the question, its answer, and one that was lost."""

_MOST_GREETING = 4096
_BANNER = 200
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")

_WANTS_TLS = N_("it wants TLS")
_HANGS_UP = N_("it closes the connection before a word is said")


class Patience(NamedTuple):
    """How long a server is listened to, in seconds beside the round trips.

    After a question in the protocol that is at home there, after one asked on a hunch, and in all.
    """

    answer: float = 4.0
    hunch: float = 2.0
    whole: float = 25.0


@dataclass
class Identification:
    """One port being identified: the connections so far, and what was said that nobody understood.

    `made` is a connection that exists already, which is then the first. `note` is a message id where there is
    something to say of a port at which nothing was found.
    """

    host: str
    ip: str
    port: int
    patience: Patience = field(default_factory=Patience)
    made: socket.socket | None = None
    line: Line | None = None
    """The connection that is there, the only one: many a small server takes the next when the last has ended."""
    connections: int = 0
    unknown: bytes = b""
    note: str | None = None
    refused_tls: bool = False
    behaviour: Behaviour = "silence"
    """What it did when it was asked last."""
    trip: float = 0.0
    """Seconds of a round trip."""

    def __post_init__(self) -> None:
        self.until = monotonic() + self.patience.whole

    async def finding(self) -> Finding | None:
        """Return what speaks there; None where it says nothing that proves a protocol."""
        line = await self._line()
        if line is None:
            return None
        try:
            await line.hear(self._greeting_patience() + 2 * self.trip)
            if line.transcript:
                return await self._greeted(line)
            if line.hung_up:
                self.note = _HANGS_UP
                return None
            found = await self._ask(line)
        finally:
            line.close()
        return found if found is not None or self.unknown else await self._late()

    async def _ask(self, line: Line) -> Finding | None:
        """Ask one question after the other, the first on the connection that is there."""
        spare: Line | None = line
        asked = questions(self.port)
        for protocol in chain(asked, further_questions(lambda: self.behaviour, asked)):
            if protocol is None and self.refused_tls:
                continue
            spare = spare or await self._line()
            if spare is None:
                break
            try:
                spare.patience = self._answer_patience(self._is_at_home(protocol))
                found = await self._tls(spare) if protocol is None else await self._question(spare, protocol)
            finally:
                self.behaviour = "words" if spare.transcript else "hung up" if spare.hung_up else "silence"
                spare.close()
            spare = None
            if found is not None:
                return found
        return None

    async def _question(self, line: Line, protocol: Protocol, inside: bool = False) -> Finding | None:
        """Ask in one protocol; what is not understood is shown to all others."""
        assert protocol.converse is not None
        found = await line.drive(protocol.converse(self._asked(inside=inside)))
        if found is not None and found.note == _WANTS_TLS and not inside:
            return await self._fresh_tls() or found
        if found is not None and found.certain and found.service != FIRST:
            return found
        if line.transcript[:2] in _TLS_RECORDS and not inside:
            return await self._fresh_tls()
        fits = recognised(line.transcript)
        if found is not None and found.certain and (fits is None or fits[0] is protocol or not fits[1].certain):
            return found
        if fits is None:
            self._keep(line.transcript)
            return found
        return await self._asked_rightly(*fits, inside) if fits[0] is not protocol else fits[1]

    async def _asked_rightly(self, protocol: Protocol, found: Finding, inside: bool) -> Finding:
        """Ask a server in its own protocol, which an answer to another one's question gave away."""
        if protocol.converse is None or (found.product is not None and found.certain):
            return found
        line = await self._line(inside)
        if line is None:
            return found
        try:
            line.patience = self._answer_patience()
            if protocol.greets:
                await line.hear()
            more = await line.drive(protocol.converse(self._asked(line.transcript, inside)))
        finally:
            line.close()
        if more is None or more.product is not None:
            return more or found
        return more._replace(product=found.product, version=found.version)

    async def _greeted(self, line: Line, inside: bool = False) -> Finding | None:
        """Understand a greeting, and go on in its protocol."""
        order = all_first(inside_at_home(self.port) if inside else at_home(self.port))
        fits = recognised(line.transcript, order)
        while fits is None or not fits[1].certain:
            heard = await line.hear(_MORE_OF_GREETING)
            if not heard.data or len(line.transcript) >= _MOST_GREETING:
                break
            fits = recognised(line.transcript, order)
        if fits is None:
            self._keep(line.transcript)
            return await self._last_look(line, order, inside)
        protocol, found = fits
        if not found.certain:
            return await self._last_look(line, [protocol, *order], inside) or found
        if protocol.converse is None or line.hung_up:
            return found
        line.patience = self._answer_patience()
        return await line.drive(protocol.converse(self._asked(line.transcript, inside))) or found

    async def _last_look(self, line: Line, order: list[Protocol], inside: bool) -> Finding | None:
        """Ask one whose greeting could be of several protocols, or of none, in each of those that greet in words.

        Their conversations say nothing where the greeting cannot be theirs. One that spoke in vain has spent the
        line, and the next has another.
        """
        if line.hung_up or not line.transcript.isascii() or len(line.transcript) >= _MOST_GREETING:
            return None
        greeting, fresh = line.transcript, line
        try:
            for protocol in order:
                if not protocol.greets or protocol.converse is None:
                    continue
                if fresh.said or fresh.hung_up:
                    another = await self._line(inside)
                    if another is None or not (await another.hear(_GREETS)).data:
                        return None
                    fresh = another
                fresh.said = 0
                heard = greeting if fresh is line else fresh.transcript
                found = await fresh.drive(protocol.converse(self._asked(heard, inside)))
                if found is None and (fits := recognised(fresh.transcript, order)) is not None:
                    found = fits[1]
                if found is not None:
                    return found
        finally:
            fresh.close()
        return None

    async def _late(self) -> Finding | None:
        """Listen once more, and longer: some greet only after they have looked up whom; then ask one that is slow."""
        line = await self._line(last=True)
        if line is None:
            return None
        try:
            await line.hear(_LATE_GREETING)
            if line.transcript:
                return await self._greeted(line)
            first = named(FIRST)
            if line.hung_up or first is None:
                return None
            line.patience = _SLOW_ANSWER
            return await self._question(line, first)
        finally:
            line.close()

    async def _fresh_tls(self) -> Finding | None:
        line = await self._line()
        if line is None:
            return None
        try:
            return await self._tls(line)
        finally:
            line.close()

    async def _tls(self, line: Line) -> Finding | None:
        """Begin TLS, and find out what speaks inside; None where there is no TLS."""
        await line.start_tls(alpn(self.port))
        if line.tls is None:
            return await self._no_tls(line)
        session = line.learned()
        found = await self._inside(line)
        if found is None:
            note = N_("TLS; what stands inside says nothing")
            if line.asked_for_certificate:
                note = N_("it asks for a client's certificate")
            return Finding("ssl", tls=session, note=note)
        return found._replace(service=INSIDE.get(found.service, (found.service,))[0], tls=session)

    async def _no_tls(self, line: Line) -> Finding | None:
        """Return what a failed handshake proves."""
        self.refused_tls = True
        if line.raw[:2] in _TLS_RECORDS:
            note = N_("it speaks TLS, but not with this client")
            if line.asked_for_certificate:
                note = N_("it asks for a client's certificate")
            return Finding("ssl", banner=line.failure, note=note, tls=line.shown)
        self._keep(line.raw)
        fits = recognised(line.raw)
        if fits is None:
            return None
        return await self._asked_rightly(*fits, inside=False)

    async def _inside(self, line: Line) -> Finding | None:
        """Return what speaks inside TLS; each question but the first has a session of its own."""
        greeting = any(one.greets for one in inside_at_home(self.port))
        line.patience = self._answer_patience()
        tls = line.tls
        assert tls is not None
        second_version = tls.learned().alpn == "h2"
        if not line.transcript and not second_version:
            await line.hear((_GREETS if greeting else _MAY_GREET_INSIDE) + self.trip)
        if line.transcript and not second_version:
            return await self._greeted(line, inside=True)
        # What is asked is HTTP/1.1, which needs a session of its own where the server chose HTTP/2.
        spare: Line | None = None if second_version or line.hung_up else line
        if line.asked_for_certificate and line.hung_up:
            return None
        for protocol in questions_inside(self.port):
            spare = spare or await self._line(inside=True)
            if spare is None:
                return None
            try:
                found = await self._question(spare, protocol, inside=True)
            finally:
                spare.close()
            if found is not None:
                return found
            spare = None
        return None

    def _greeting_patience(self) -> float:
        home = at_home(self.port)
        if any(one.greets for one in home):
            return _GREETS
        return _MUTE if home or inside_at_home(self.port) else _MAY_GREET

    def _is_at_home(self, protocol: Protocol | None) -> bool:
        return bool(inside_at_home(self.port)) if protocol is None else self.port in protocol.ports

    def _answer_patience(self, likely: bool = True) -> float:
        seconds = self.patience.answer if likely else self.patience.hunch
        return seconds + _ROUND_TRIPS * self.trip

    def _asked(self, heard: bytes = b"", inside: bool = False) -> Asked:
        return Asked(self.host, self.ip, self.port, "tcp", os.urandom(32), heard, inside)

    def _keep(self, said: bytes) -> None:
        if said and not self.unknown:
            self.unknown = said[:_BANNER]

    async def _line(self, inside: bool = False, last: bool = False) -> Line | None:
        """Return a new connection, with TLS on it for what is `inside`.

        None where none can be made, or there have been enough: one is kept for the `last`.
        """
        last = last or self.behaviour == "hung up"  # such a one waits for no stranger
        if self.connections >= MOST_CONNECTIONS - (not last) or monotonic() >= self.until:
            return None
        if self.line is not None:
            self.line.close()
        self.connections += 1
        made, self.made = self.made, None
        if made is None:
            made = await self._connected()
        if made is None:
            return None
        self.trip = (round_trip_ms(made) or 0.0) / 1000
        self.line = line = Line(made, self.host, self._answer_patience(), self.until)
        if inside:
            await line.start_tls()
            if line.tls is None:
                line.close()
                return None
        return line

    async def _connected(self) -> socket.socket | None:
        try:
            made = new_socket(socket.AF_INET6 if ":" in self.ip else socket.AF_INET)
        except OSError:
            return None
        try:
            async with asyncio.timeout(max(0.01, min(_CONNECTING, self.until - monotonic()))):
                await asyncio.get_running_loop().sock_connect(made, with_zone((self.ip, self.port)))
        except (OSError, TimeoutError) as error:
            made.close()
            if isinstance(error, ConnectionResetError) and self.connections == 1:
                self.note = _HANGS_UP  # it was reset before the connection could be looked at
            return None
        except BaseException:
            made.close()
            raise
        return made
