"""Banners: the whole lines among the first bytes of a server, and the product which such a line names.

Which products a protocol's servers have is told by its module; nothing here knows a protocol.
"""

from __future__ import annotations

import re

from portbook.protocols.conversation import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Products: TypeAlias = tuple[tuple[str, str], ...]

MOST = 8192
"""How many of the first bytes are looked at."""

_BETWEEN = (
    r"(?:[ ,]+(?:ftpd?|e?smtp|lmtp|mail|pop3?|imap[\w/]*|nntp|news|server|service|daemon|proxy|connector"
    r"|release|build|final)\b)*"
)
_VERSION = r"[ ,:(\[/_-]*(?:version[:\s]*|release )?v?\.? ?(\d+(?:\.\w+)+|\d+[a-z]?\b)"


def lines(data: bytes) -> list[str]:
    """Return the lines that have come whole, without their ends, of the first MOST bytes; at most 200."""
    head = data[:MOST]
    return [text(line.rstrip(b"\r")) for line in head.split(b"\n", 200)[:-1][:200]]


def product(line: str, products: Products) -> tuple[str | None, str | None]:
    """Return the first of the products that a line names, and the version behind the name, where it has one.

    `products` are pairs of what a line says, in lower case, and what people call the product. A word within a host's
    name does not count, nor the distribution's part of a version.
    """
    lowered = line[:2048].lower()
    for word, name in products:
        if word in lowered:
            named = rf"(?<![\w.@-]){re.escape(word)}(?![a-z]|[\w-]*\.[a-z]{{2}})"
            found = re.search(rf"{named}(?:{_BETWEEN}{_VERSION})?", lowered)
            if found is not None:
                return name, None if found[1] is None else line[found.start(1) : found.end(1)]
    return None, None
