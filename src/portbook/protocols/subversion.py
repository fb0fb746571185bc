"""Subversion's own protocol: svnserve's greeting, a list of words in parentheses (its protocol documentation)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Protocol, text

_GREETING = re.compile(rb"\( success \( \d \d{1,2} \( (?:[\w-]+ )*\) \( (?:[\w-]+ )*\) \) \)\s")


def recognise(data: bytes) -> Finding | None:
    """Return what the greeting proves: success, the lowest and highest version, and the capabilities."""
    greeting = _GREETING.match(data[:2048])
    return None if greeting is None else Finding("svn", "Subversion", banner=text(greeting[0]).strip())


PROTOCOL = Protocol("svn", (3690,), greets=True, recognise=recognise)
