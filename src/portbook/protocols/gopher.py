"""Gopher: the menu that an empty selector asks for (RFC 1436)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_PRODUCTS = (
    ("gophernicus", "Gophernicus"),
    ("pygopherd", "PyGopherd"),
    ("geomyidae", "geomyidae"),
    ("bucktooth", "Bucktooth"),
    ("motsognir", "Motsognir"),
    ("gn gopher", "GN"),
)
_ITEM = re.compile(r"[0-9+gITdhipsM;<:!rcXPS]([^\t]{0,300})\t[^\t]{0,300}\t([^\t\s]{0,255})\t\d{1,5}(?:\t[^\r\n]*)?$")


def recognise(data: bytes) -> Finding | None:
    """Return what the items of a menu prove: a type, a text, a selector, a host and a port, between tabs."""
    came = lines(data)
    if not came or _ITEM.match(came[0]) is None:
        return None
    items = [item for item in map(_ITEM.match, came) if item is not None]
    if len(items) < sum(1 for line in came if line not in ("", ".")):
        return None
    for item in items:
        name, version = product(item[1], _PRODUCTS)
        if name is not None:
            return Finding("gopher", name, version, item[1].strip())
    banner = next((item[1].strip() for item in items if item[1].strip()), None)
    host = next((item[2] for item in items if "." in item[2] and not item[2].endswith((".host", ".invalid"))), None)
    return Finding("gopher", banner=banner, server_name=host)


def converse(asked: Asked) -> Conversation:
    """Ask for the root menu."""
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    yield from server.more(b"\r\n")
    while len(server.data) < 8192 and b"\n.\r\n" not in server.data and (yield from server.more()):
        pass
    yield Say(farewell=True)
    return recognise(bytes(server.data))


PROTOCOL = Protocol("gopher", (70,), recognise=recognise, converse=converse)
