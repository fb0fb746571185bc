"""Kafka: ApiVersions, the question that every broker answers before a log-in (Kafka's protocol guide)."""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_API_VERSIONS = 18
_FETCH, _METADATA = 1, 3
_UNSUPPORTED = 35
_MOST = 4096


def _versions(data: bytes) -> dict[int, int] | None:
    """Return the newest version of each request that a broker takes, None where that is not what came."""
    length, error, number = (int.from_bytes(data[i:j], "big") for i, j in ((0, 4), (8, 10), (10, 14)))
    entries = data[14 : 4 + length]
    if length > _MOST or len(data) < 4 + length or error not in (0, _UNSUPPORTED) or length != 10 + 6 * number:
        return None
    found: dict[int, int] = {}
    for place in range(0, len(entries), 6):
        key, lowest, highest = (int.from_bytes(entries[i : i + 2], "big") for i in range(place, place + 6, 2))
        if key in found or lowest > highest or highest > 100:
            return None
        found[key] = highest
    return found if _API_VERSIONS in found else None


def recognise(data: bytes) -> Finding | None:
    """Return what an answer to ApiVersions, version 0, proves: nothing else keeps all of its lengths."""
    found = _versions(data)
    if found is None or (len(found) > 1 and not found.keys() & {_FETCH, _METADATA}):
        return None
    return Finding("kafka", banner=f"ApiVersions 0-{found[_API_VERSIONS]}, {len(found)} requests")


def converse(asked: Asked) -> Conversation:
    """Ask which versions of which requests it takes."""
    if asked.heard:
        return None
    server = Reader()
    number = asked.numbers[:4]
    request = _API_VERSIONS.to_bytes(2, "big") + b"\0\0" + number + b"\xff\xff"
    if not (yield from server.more(len(request).to_bytes(4, "big") + request)):
        return None
    head = yield from server.exactly(8)
    if head is None or head[4:] != number or not 6 <= int.from_bytes(head[:4], "big") <= _MOST:
        return None
    rest = yield from server.exactly(int.from_bytes(head[:4], "big") - 4)
    yield Say(farewell=True)
    return None if rest is None else recognise(head + rest)


PROTOCOL = Protocol("kafka", (9092, 9093, 9094, 19092, 29092), recognise=recognise, converse=converse)
