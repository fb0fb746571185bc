"""Apache ZooKeeper: the four-letter word that tells its version (its administrator's guide)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_PRODUCT = "Apache ZooKeeper"
_VERSION = re.compile(rb"(Zookeeper version: (\d+(?:\.\d+)+)?[^\r\n,]{0,100})[,\r\n]", re.IGNORECASE)
_REFUSED = re.compile(rb"(?:srvr|ruok) is not executed because it is not in the whitelist\.|imok\s*\Z")
_AWAY = b"This ZooKeeper instance is not currently serving requests"


def recognise(data: bytes) -> Finding | None:
    """Return what the version proves, or a server's refusal to tell it."""
    version = _VERSION.match(data[:512])
    if version is not None:
        return Finding("zookeeper", _PRODUCT, text(version[2]) if version[2] else None, text(version[1]))
    refused = _REFUSED.match(data[:512])
    if refused is not None:
        return Finding("zookeeper", _PRODUCT, banner=text(refused[0]).strip())
    return Finding("zookeeper", _PRODUCT, banner=text(_AWAY)) if data.startswith(_AWAY) else None


def converse(asked: Asked) -> Conversation:
    """Ask for the server's version; it closes behind its answer."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    yield from server.more(b"srvr")
    while len(server.data) < 4096 and b"\n" not in server.data and (yield from server.more()):
        pass
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol("zookeeper", (2181, 2182, 2281), recognise=recognise, converse=converse)
