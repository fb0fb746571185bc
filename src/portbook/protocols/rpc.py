"""ONC RPC: which programs a portmapper knows, and NFS by the versions it has (RFC 5531, RFC 1833, RFC 7530)."""

from __future__ import annotations

import struct

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from portbook.protocols.conversation import Heard, StartTls

    Answered: TypeAlias = Generator[Say | StartTls, Heard, tuple[int, bytes] | None]

_PORTMAPPER, _NFS = 100000, 100003
_PROGRAMS = {
    100000: "portmapper",
    100001: "rstatd",
    100003: "nfs",
    100004: "ypserv",
    100005: "mountd",
    100007: "ypbind",
    100011: "rquotad",
    100021: "nlockmgr",
    100024: "status",
    100227: "nfs_acl",
}
_NULL, _DUMP = 0, 4
_SUCCESS, _UNAVAILABLE, _MISMATCH, _ERRORS = 0, 1, 2, 5
_MOST = 32768


def _call(number: bytes, program: int, version: int, procedure: int) -> bytes:
    """Return a call without credentials."""
    return number + struct.pack(">9I", 0, 2, program, version, procedure, 0, 0, 0, 0)


def _accepted(reply: bytes) -> tuple[int, bytes] | None:
    """Return how a reply ended and its results, None where it is not a reply that accepts the call or denies it.

    A denial is -1: it proves no less.
    """
    if len(reply) < 20 or reply[4:8] != b"\0\0\0\1":
        return None
    if reply[8:12] == b"\0\0\0\1":
        reason = int.from_bytes(reply[12:16], "big")
        return (-1, b"") if (reason == 0 and len(reply) == 24) or (reason == 1 and len(reply) == 20) else None
    if reply[8:12] != bytes(4):
        return None
    flavour, length = struct.unpack(">II", reply[12:20])
    end = 24 + length
    if flavour > 6 or length > 400 or len(reply) < end:
        return None
    status = int.from_bytes(reply[end - 4 : end], "big")
    if (
        status > _ERRORS
        or (status == _MISMATCH and len(reply) != end + 8)
        or (status > _MISMATCH and len(reply) != end)
    ):
        return None
    return status, reply[end:]


def _mapped(results: bytes) -> str | None:
    """Return the programs of a DUMP and their versions (RFC 1833, section 3), None where it is none."""
    versions: dict[int, set[int]] = {}
    place = 0
    while results[place : place + 4] == b"\0\0\0\1" and len(results) >= place + 20:
        program, version, transport, _ = struct.unpack(">4I", results[place + 4 : place + 20])
        if transport > 255:
            return None
        versions.setdefault(program, set()).add(version)
        place += 20
    if not versions:
        return None
    told = []
    for program, known in sorted(versions.items())[:12]:
        span = str(min(known)) if len(known) == 1 else f"{min(known)}-{max(known)}"
        told.append(f"{_PROGRAMS.get(program, program)} {span}")
    return ", ".join(told)


def recognise(data: bytes) -> Finding | None:
    """Return what a reply proves, with the record mark that it has over TCP or without."""
    reply = data
    if data[:1] == b"\x80" and len(data) >= 4:
        length = int.from_bytes(data[1:4], "big")
        if len(data) < 4 + min(length, 24) or length < 20:
            return None
        reply = data[4 : 4 + length]
    accepted = _accepted(reply)
    if accepted is None:
        return None
    return Finding("sunrpc", banner=_mapped(accepted[1]))


def _ask(server: Reader | None, call: bytes) -> Answered:
    """Call, and return how it ended and the results; over UDP where there is no stream."""
    if server is None:
        answer = yield from datagram(call, lambda data: data[:4] == call[:4] and _accepted(data) is not None)
        return None if answer is None else _accepted(answer)
    if not (yield from server.more((0x80000000 | len(call)).to_bytes(4, "big") + call)):
        return None
    reply = b""
    while True:
        mark = yield from server.exactly(4)
        if mark is None or mark[0] & 0x7F or int.from_bytes(mark[1:], "big") + len(reply) > _MOST:
            return None
        piece = yield from server.exactly(int.from_bytes(mark[1:], "big"))
        reply += piece or b""
        if piece is None or (not reply and not piece):
            return None
        if mark[0] & 0x80:
            return _accepted(reply) if reply[:4] == call[:4] else None


def _versions(asked: Asked, server: Reader | None) -> Conversation:
    """Ask NFS for a version that there is not, which has it tell those that there are."""
    ended = yield from _ask(server, _call(asked.numbers[4:8], _NFS, 0, _NULL))
    if ended is None or ended[0] not in (_SUCCESS, _MISMATCH):
        return None
    if ended[0] == _SUCCESS:
        return Finding("nfs")
    lowest, highest = struct.unpack(">II", ended[1][:8])
    if lowest > highest or highest > 9:
        return Finding("nfs")
    return Finding("nfs", banner=f"NFS {lowest}-{highest}" if lowest < highest else f"NFS {lowest}")


def converse(asked: Asked) -> Conversation:
    """Ask a portmapper for its programs; whoever is none, and says so, is asked whether it is NFS."""
    if asked.heard:
        return None
    server = None if asked.transport == "udp" else Reader()
    ended = yield from _ask(server, _call(asked.numbers[:4], _PORTMAPPER, 2, _DUMP))
    if ended is None:
        return None
    found = None
    if ended[0] == _UNAVAILABLE:
        found = yield from _versions(asked, server)
    yield Say(farewell=True)
    return found or Finding("sunrpc", banner=_mapped(ended[1]) if ended[0] == _SUCCESS else None)


def converse_nfs(asked: Asked) -> Conversation:
    """Ask NFS for its versions."""
    if asked.heard:
        return None
    found = yield from _versions(asked, None if asked.transport == "udp" else Reader())
    yield Say(farewell=True)
    return found


PROTOCOLS = (
    Protocol("sunrpc", (111,), ("tcp", "udp"), recognise=recognise, converse=converse),
    Protocol("nfs", (2049,), ("tcp", "udp"), converse=converse_nfs),
)
