"""NTP: one request of a client, and an answer that gives its random time back (RFC 5905, section 7.3)."""

from __future__ import annotations

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, text

_CLIENT = b"\x23"
"""No leap second known, version 4, mode 3."""
_MODE, _SERVER = 0x07, 4
_SECOND = 1 << 32


def _found(data: bytes) -> Finding:
    version, stratum, reference = data[0] >> 3 & 7, data[1], data[12:16]
    if stratum == 0:
        code = text(reference.rstrip(b"\0"))
        return Finding("ntp", banner=f"NTPv{version}, {code}", note=N_("it asks to be asked less, or not at all"))
    told = f"NTPv{version}, stratum {stratum}"
    if stratum == 1 and (name := reference.rstrip(b"\0")).isalnum():
        told += f", {text(name)}"
    if data[0] >> 6 == 3:
        return Finding("ntp", banner=told, note=N_("its clock is not synchronised"))
    return Finding("ntp", banner=told)


def _is_answer(data: bytes) -> bool:
    return len(data) >= 48 and data[0] & _MODE == _SERVER and 1 <= data[0] >> 3 & 7 <= 4 and data[1] <= 16


def recognise(data: bytes) -> Finding | None:
    """Return what an answer proves by its times: it was sent within a second after the request came."""
    if not _is_answer(data):
        return None
    referred, _, received, sent = (int.from_bytes(data[place : place + 8], "big") for place in (16, 24, 32, 40))
    if not received or not 0 <= sent - received < _SECOND or referred > sent or sent == referred == received:
        return None
    return _found(data)


def converse(asked: Asked) -> Conversation:
    """Ask for the time; the time of asking is a random number, so that it tells nothing of this host."""
    mark = asked.numbers[:8]
    answer = yield from datagram(_CLIENT + bytes(39) + mark, lambda data: _is_answer(data) and data[24:32] == mark)
    return None if answer is None else _found(answer)


PROTOCOL = Protocol("ntp", (123,), ("udp",), recognise=recognise, converse=converse)
