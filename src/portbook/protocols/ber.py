"""BER, as LDAP, SNMP and Kerberos have it (ITU-T X.690): elements of a one-byte tag and a definite length."""

from __future__ import annotations

from portbook.errors import Malformed

SEQUENCE, INTEGER, OCTETS = b"\x30", b"\x02", b"\x04"


def element(tag: bytes, *contents: bytes) -> bytes:
    """Return an element of that tag, shorter than 64 KiB."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return tag + bytes((length,)) + content
    if length < 0x100:
        return tag + bytes((0x81, length)) + content
    return tag + b"\x82" + length.to_bytes(2, "big") + content


def integer(number: int) -> bytes:
    """Return an INTEGER that is not negative."""
    return element(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def read(data: bytes, place: int = 0) -> tuple[int, bytes, int]:
    """Return the tag, the content and the end of the element at a place. Raises Malformed, also where it is cut."""
    head = data[place : place + 2]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        raise Malformed
    length, start = head[1], place + 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or len(data) < start + size:
            raise Malformed
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if len(data) < start + length:
        raise Malformed
    return head[0], data[start : start + length], start + length


def children(content: bytes, most: int = 64) -> list[tuple[int, bytes]]:
    """Return the tags and the contents of the elements that follow each other. Raises Malformed."""
    found: list[tuple[int, bytes]] = []
    place = 0
    while place < len(content) and len(found) < most:
        tag, inner, place = read(content, place)
        found.append((tag, inner))
    return found
