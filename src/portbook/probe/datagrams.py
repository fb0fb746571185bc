"""UDP ports: whether one answers, and in which protocol; what ICMP says of it where it does not.

A UDP port says nothing by itself: only an answer proves that it is open, and port-unreachable from the target that
it is closed (RFC 1122, section 4.1.3.1). So it is asked in the protocols that are at home there, else in the likely
ones, each from a socket of its own and twice, since a datagram may be lost. One whose protocol never answers is not
asked.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import nullcontext
from dataclasses import dataclass, field
from errno import errorcode
from time import monotonic

from portbook.errors import N_
from portbook.porttest import PortTest
from portbook.probe.connecting import NoSocket, queued_error, with_zone
from portbook.probe.line import drive
from portbook.protocols.conversation import Asked, Heard, Say, StartTls
from portbook.protocols.order import ANYWHERE_UDP, at_home, named, recognised
from portbook.wire.error_queue import IP_RECVERR, IPV6_RECVERR, SOL_IP, SOL_IPV6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.porttest import Finding
    from portbook.probe.targets import Target
    from portbook.protocols.conversation import Protocol
    from portbook.wire.error_queue import IcmpError

_ANSWER = 2.0
"""Seconds for an answer; one that is slower than the next question is still heard."""
_NEXT, _NEXT_HUNCH = 1.0, 0.25
"""Seconds until the next question: in a protocol that is at home, and in others."""
_MOST = 65536
_OF_OTHERS = 64
"""So many errors that are none of a question's own are passed over."""
_ICMP, _ICMPV6 = (3, 3), (1, 4)
"""Type and code of port unreachable (RFC 792, RFC 4443)."""
_NO_RIGHT = N_("the answer would come to a port that only root may listen on")
_TAKEN = N_("the answer would come to a port that another program of this host has")


@dataclass
class Datagrams:
    """The socket of one question, the address of who answered, and what ICMP told.

    `note` is a message id where an answer may have come to somebody else.
    """

    made: socket.socket
    target: tuple[str, int] | tuple[str, int, int, int]
    other_port: bool
    note: str | None = None
    sent: bool = False
    answer: bytes = b""
    round_trip: float | None = None
    refused: IcmpError | None = None
    code: int = 0

    async def take(self, step: Say | StartTls) -> Heard:
        """Take one step of a conversation."""
        if isinstance(step, StartTls) or self.refused is not None:
            return Heard(ended="reset")
        begun = monotonic()
        if step.data and not self._send(step.data):
            return Heard(ended="reset")
        if step.farewell:
            return Heard()
        others = 0
        while (left := begun + _ANSWER - monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    data, sender = await _received(self.made)
            except TimeoutError:
                break
            except OSError as error:
                refused = queued_error(self.made, self.target[0])
                if refused is None:
                    others += 1  # it came for a socket beside this one, which has the same source port
                    if others < _OF_OTHERS:
                        continue
                    break
                self.code, self.refused = error.errno or 0, refused
                return Heard(ended="reset")
            if sender[0] != self.target[0] or (sender[1] != self.target[1] and not self.other_port):
                continue
            if self.round_trip is None:
                self.round_trip = monotonic() - begun
            self.answer = data
            self.target = sender
            # All of a transfer comes from the port that the first answer came from (RFC 1350, section 4).
            self.other_port = False
            return Heard(data)
        return Heard(ended="silence")

    def _send(self, data: bytes) -> bool:
        """Send a datagram; return whether it went, `code` and `refused` tell why not."""
        for _ in range(_OF_OTHERS):
            if not self.sent and self._of_another():
                continue
            try:
                self.made.sendto(data, self.target)
            except BlockingIOError:
                pass  # lost, as any other may be
            except OSError as error:
                self.code, self.refused = error.errno or 0, queued_error(self.made, self.target[0])
                if self.refused is None and isinstance(error, ConnectionRefusedError):
                    continue
                return False
            self.code, self.sent = 0, True
            return True
        return False

    def _of_another(self) -> bool:
        """Take an error that was there before anything was sent: it came for who had the source port before."""
        return self.made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or queued_error(self.made) is not None


async def _received(made: socket.socket) -> tuple[bytes, tuple[str, int]]:
    """Return the next datagram and who sent it. Raises OSError.

    By what every event loop has, which is not so of sock_recvfrom.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            return made.recvfrom(_MOST)
        except BlockingIOError:
            pass
        ready = loop.create_future()
        loop.add_reader(made.fileno(), _mark, ready)
        try:
            await ready
        finally:
            loop.remove_reader(made.fileno())


def _mark(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@dataclass
class SourcePorts:
    """The ports of this host that answers come to whatever port asked: one question at a time has each.

    Where they are not `free` to be used every question has a port of its own, so that what comes for one of many
    that are asked at the same time never comes to another.
    """

    free: bool = True
    locks: dict[int, asyncio.Lock] = field(default_factory=dict)

    def lock(self, protocol: Protocol, port: int) -> asyncio.Lock | nullcontext[None]:
        """Return what is held while a server is asked."""
        if protocol.source_port is None or not self.free:
            return nullcontext()
        return self.locks.setdefault(protocol.source_port(port), asyncio.Lock())


async def port_test(target: Target, port: int, identify: bool, sources: SourcePorts | None = None) -> PortTest:
    """Return what becomes of a UDP port."""
    known = at_home(port, "udp")
    whole = PortTest(target.text, target.ip, port, "udp", "open|filtered", "silence", attempts=0)
    asked = [one for one in known if one.converse is not None]
    silent = next((one for one in known if one.converse is None), None)
    if silent is not None and not asked:
        return whole._replace(reason="not asked", service=silent.name, service_by="port", note=silent.note)
    interval = _NEXT if asked else _NEXT_HUNCH
    if not asked:
        asked = [one for one in map(named, ANYWHERE_UDP) if one is not None and one.converse is not None]
    if not identify:
        asked = asked[:1]
    try:
        return await _asked(whole, target, [*asked, *asked], interval, sources or SourcePorts())
    except NoSocket as error:
        return whole._replace(state="error", reason=errorcode.get(error.errno or 0, "error"))


async def _asked(
    whole: PortTest, target: Target, questions: Sequence[Protocol], interval: float, sources: SourcePorts
) -> PortTest:
    """Ask one question after the other, each as long as none was answered, and return what came. Raises NoSocket."""
    running: set[asyncio.Task[tuple[Datagrams, Finding | None]]] = set()
    begun = 0
    sent = False
    try:
        for begun, protocol in enumerate(questions, 1):
            running.add(asyncio.create_task(_ask(target, whole.port, protocol, sources)))
            last = begun == len(questions)
            until = monotonic() + interval
            while running and (last or monotonic() < until):
                left = None if last else until - monotonic()
                done, running = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    line, found = task.result()
                    sent = sent or line.sent
                    if found is not None or ((line.code or line.refused) and whole.state != "open"):
                        return _told(whole, line, found)._replace(attempts=begun)
                    whole = _told(whole, line, None)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return whole._replace(attempts=begun) if sent else whole._replace(reason="not asked")


def _told(whole: PortTest, line: Datagrams, found: Finding | None) -> PortTest:
    """Return a test with what one question came to."""
    if found is not None or line.answer:
        rtt = None if line.round_trip is None else line.round_trip * 1000
        whole = whole._replace(state="open", reason="answered", rtt_ms=rtt, note=None)
        if found is not None:
            return whole.with_finding(found)
        return whole._replace(banner=whole.banner or line.answer[:200])
    if line.refused is not None or line.code:
        return _refused(whole, line)
    return whole._replace(note=line.note) if whole.state != "open" else whole


async def _ask(
    target: Target, port: int, protocol: Protocol, sources: SourcePorts
) -> tuple[Datagrams, Finding | None]:
    """Ask in one protocol from a socket of its own. Raises NoSocket."""
    ipv6 = ":" in target.ip
    async with sources.lock(protocol, port):
        try:
            made = socket.socket(
                socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            )
        except OSError as error:
            raise NoSocket(error.errno, error.strerror) from error
        with made:
            level, option = (SOL_IPV6, IPV6_RECVERR) if ipv6 else (SOL_IP, IP_RECVERR)
            made.setsockopt(level, option, 1)
            line = Datagrams(made, with_zone((target.ip, port)), protocol.other_port)
            if protocol.source_port is not None:
                line.note = _bound(made, protocol.source_port(port)) if sources.free else _NO_RIGHT
            assert protocol.converse is not None
            own = _own_address(target.ip, ipv6)
            asked = Asked(target.host, target.ip, port, "udp", os.urandom(32), own_ip=own)
            found = await drive(line.take, protocol.converse(asked))
    if found is None and line.answer and (fits := recognised(line.answer, transport="udp")) is not None:
        found = fits[1]
    return line, found


def _bound(made: socket.socket, port: int) -> str | None:
    """Bind a socket to a port of every address, since answers may be broadcast; return a note where that fails.

    Some servers answer the port that asked all the same.
    """
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:
        made.bind(("", port))
    except PermissionError:
        return _NO_RIGHT
    except OSError:
        return _TAKEN
    return None


def _own_address(ip: str, ipv6: bool) -> str:
    """Return the address that this host has towards another, empty where it has none; nothing is sent for it."""
    try:
        with socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.connect(with_zone((ip, 9)))
            return str(made.getsockname()[0])
    except OSError:
        return ""


def _refused(whole: PortTest, line: Datagrams) -> PortTest:
    icmp = line.refused
    if icmp is None:
        return whole._replace(state="unreachable", reason=errorcode.get(line.code, "error"))
    closed = (icmp.type, icmp.code) in (_ICMP, _ICMPV6) and icmp.sender == whole.ip.partition("%")[0]
    told = whole._replace(icmp_type=icmp.type, icmp_code=icmp.code, icmp_from=icmp.sender, reason="icmp")
    return told._replace(state="closed" if closed else "rejected")
