"""NetBIOS name service: which names a host has (RFC 1002, sections 4.2.17 and 4.2.18)."""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, text

_ANY = b"\x20CK" + b"A" * 30 + b"\0"
_STATUS = b"\0\x21\0\1"
_HEAD = 12
_ENTRY, _NAME = 18, 15
_GROUP = 0x80


def recognise(data: bytes) -> Finding | None:
    """Return what a node status response proves; a name of its first entries is the host's."""
    record = data[_HEAD + len(_ANY) :]
    if len(data) < _HEAD + len(_ANY) + 11 or data[2] & 0xF8 != 0x80 or data[4:8] != b"\0\0\0\1":
        return None
    if data[_HEAD] != 0x20 or record[:4] != _STATUS:
        return None
    own = group = None
    for number in range(min(record[10], 40)):
        entry = record[11 + number * _ENTRY :][:_ENTRY]
        if len(entry) == _ENTRY and not entry[_NAME]:
            name = text(entry[:_NAME]).rstrip(" \0")
            if entry[16] & _GROUP:
                group = group or name
            else:
                own = own or name
    banner = " ".join(filter(None, (own, group and f"in {group}")))
    return Finding("netbios-ns", banner=banner or None, server_name=own)


def converse(asked: Asked) -> Conversation:
    """Ask for all names."""
    number = asked.numbers[:2]
    question = number + b"\0\0\0\1\0\0\0\0\0\0" + _ANY + _STATUS
    answer = yield from datagram(question, lambda data: data[:2] == number and recognise(data) is not None)
    return None if answer is None else recognise(answer)


PROTOCOL = Protocol("netbios-ns", (137,), ("udp",), recognise=recognise, converse=converse)
