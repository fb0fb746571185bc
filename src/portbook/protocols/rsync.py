"""rsync's daemon: the greeting with the version of the protocol, and what a list of modules is answered with."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_GREETING = re.compile(rb"@RSYNCD: \d{1,3}(?:\.\d{1,3})?(?: [\w ,.-]{0,300})?\r?\n")


def recognise(data: bytes) -> Finding | None:
    """Return what the greeting proves. The version that it tells is the protocol's, not the program's."""
    greeting = _GREETING.match(data[:512])
    return None if greeting is None else Finding("rsync", "rsync", banner=text(greeting[0]).strip())


def converse(asked: Asked) -> Conversation:
    """Read the greeting, answer with the same one, and ask for the modules, which ends it in good form."""
    server = Reader(asked.heard)
    greeting = yield from server.until(b"\n")
    found = None if greeting is None else recognise(greeting)
    if greeting is not None and found is not None:
        yield from server.until(b"@RSYNCD: EXIT\n", greeting + b"#list\n")
    yield Say(farewell=True)
    return found


PROTOCOL = Protocol("rsync", (873,), greets=True, recognise=recognise, converse=converse)
