"""MQTT: a CONNECT without a user, and the version that a broker publishes of itself (MQTT 3.1.1 and 5)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from portbook.protocols.conversation import Heard, StartTls

    Version: TypeAlias = Generator[Say | StartTls, Heard, str | None]

_DISCONNECT = b"\xe0\0"
_TOPIC = b"$SYS/broker/version"
_SUBSCRIBE = b"\x82" + bytes((len(_TOPIC) + 5,)) + b"\0\x01" + len(_TOPIC).to_bytes(2, "big") + _TOPIC + b"\0"
_ANSWERS = ("accepted", "unacceptable protocol version", "identifier rejected", "server unavailable")
_ASKS = (4, 5)
_MADE = re.compile(r"([A-Za-z][\w -]{1,40}?)[ /]+(?:version )?v?(\d+\.[\w.+-]+)")
_NAMES = {"mosquitto": "Mosquitto", "emq x": "EMQX"}


def _acknowledged(data: bytes) -> int | None:
    """Return the code of a CONNACK (MQTT 3.1.1 and 5, section 3.2), None where it is not one."""
    if len(data) < 4 or data[0] != 0x20 or data[2] > 1 or (data[2] and data[3]):
        return None
    old, new = data[1] == 2 and data[3] <= 5, data[1] >= 3 and (data[3] == 0 or 0x80 <= data[3] <= 0x9F)
    if not old and not (new and data[1] < 0x80 and data[4:5] == bytes((data[1] - 3,))):
        return None
    behind = data[2 + data[1] : 3 + data[1]]
    return data[3] if not behind or behind[0] in (0x90, 0x30, 0x31, 0xD0, 0xE0) else None


def _banner(code: int) -> str:
    told = _ANSWERS[code] if code < len(_ANSWERS) else "not authorized"
    return f"CONNACK {code}, {told}"


def recognise(data: bytes) -> Finding | None:
    """Return what a CONNACK proves: it is so short that alone it only fits."""
    code = _acknowledged(data[:256])
    if code is None:
        return None
    return Finding("mqtt", banner=_banner(code), note=_note(code), certain=len(data) > 4)


def _note(code: int) -> str | None:
    return N_("it asks for a log-in") if code in _ASKS or code in (0x86, 0x87) else None


def converse(asked: Asked) -> Conversation:
    """Connect as nobody with a name made up for this, ask a broker that takes us for its version, and go."""
    if asked.heard:
        return None
    server = Reader()
    name = b"portbook" + asked.numbers[:6].hex().encode()
    hello = b"\0\x04MQTT\x04\x02\0\x0a" + len(name).to_bytes(2, "big") + name
    if not (yield from server.more(b"\x10" + bytes((len(hello),)) + hello)):
        return None
    head = yield from server.exactly(2)
    if head is None or head[0] != 0x20 or not 2 <= head[1] < 0x80:
        return None
    rest = yield from server.exactly(head[1])
    code = None if rest is None else _acknowledged(head + rest)
    if code is None:
        return None
    found = Finding("mqtt", banner=_banner(code), note=_note(code))
    if code:
        return found
    version = yield from _version(server)
    yield Say(_DISCONNECT, farewell=True)
    if version is None:
        return found
    made = _MADE.match(version)
    if made is None:
        return found._replace(banner=version)
    return found._replace(product=_NAMES.get(made[1].lower(), made[1]), version=made[2], banner=version)


def _version(server: Reader) -> Version:
    """Subscribe to the broker's version, and return it where it is published at once."""
    if server.data or not (yield from server.more(_SUBSCRIBE)):
        return None
    for _ in range(4):
        head = yield from server.exactly(2)
        if head is None or head[1] >= 0x80:
            return None
        packet = yield from server.exactly(head[1])
        if packet is None or (head[0] == 0x90 and packet[2:3] >= b"\x80"):
            return None
        if head[0] & 0xF0 == 0x30 and packet[2:].startswith(_TOPIC):
            return text(packet[2 + len(_TOPIC) :])
    return None


PROTOCOL = Protocol("mqtt", (1883,), recognise=recognise, converse=converse)
