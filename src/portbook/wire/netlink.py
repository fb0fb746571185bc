"""Netlink messages (RFC 3549, section 2.2; linux/netlink.h): headers, attributes, and the end of a dump.

It cuts a buffer that the kernel has filled into messages and a message into attributes. What the messages say is
left to the modules named after them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from portbook.errors import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""Length (header included), type, flags, sequence number, port id."""

_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 1, 2, 3, 4
NLM_F_REQUEST, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x10, 0x300
_ATTRIBUTE_TYPE = 0x3FFF  # the two high bits are flags: nested, and byte order


class Progress(NamedTuple):
    """How far a dump has come after one buffer.

    `done`: its last message was in it. `interrupted`: the table changed in between and the dump must be read again.
    `errno`: what the kernel refused it with, 0 for nothing.
    """

    done: bool = False
    interrupted: bool = False
    errno: int = 0


def messages(buffer: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield type, flags and payload of each message in the buffer. Raises Malformed."""
    offset, end = 0, len(buffer)
    while offset < end:
        if end - offset < HEADER.size:
            raise Malformed("a netlink header is cut short")
        length, kind, flags, _, _ = HEADER.unpack_from(buffer, offset)
        if length < HEADER.size or length > end - offset:
            raise Malformed("a netlink message is longer than its buffer")
        yield kind, flags, buffer[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(payload: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield type and value of each attribute in the payload. Raises Malformed."""
    offset, end = 0, len(payload)
    while end - offset >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size or length > end - offset:
            raise Malformed("a netlink attribute is longer than its message")
        yield kind & _ATTRIBUTE_TYPE, payload[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def refusal(payload: memoryview) -> int:
    """Return the errno in an NLMSG_ERROR or NLMSG_DONE message, 0 for success. Raises Malformed."""
    if len(payload) < _ERRNO.size:
        raise Malformed("a netlink error is cut short")
    code: int = -_ERRNO.unpack_from(payload)[0]
    if not 0 <= code < 4096:
        raise Malformed("a netlink error has no errno")
    return code


def request(kind: int, payload: bytes, sequence: int) -> bytes:
    """Return the message that asks for a dump."""
    length = HEADER.size + len(payload)
    return HEADER.pack(length, kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + payload
