"""An error as a socket's error queue has it (linux/errqueue.h, struct sock_extended_err): who said what in ICMP.

The queue is read elsewhere; here its control messages become values.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from portbook.columns import MAPPED_PREFIX, address_text
from portbook.errors import Malformed

SOL_IP, SOL_IPV6 = 0, 41
IP_RECVERR, IPV6_RECVERR = 11, 25

_EXTENDED = struct.Struct("=IBBBxII")
_LOCAL, _ICMP, _ICMPV6 = 1, 2, 3
_FAMILY = struct.Struct("=H")
_INET, _INET6 = 2, 10


class IcmpError(NamedTuple):
    """An ICMP error (RFC 792, RFC 4443): the errno that it became, its type and code, and who sent it."""

    errno: int
    type: int
    code: int
    sender: str | None


def icmp_error(level: int, kind: int, data: bytes) -> IcmpError | None:
    """Return the ICMP error in a control message, None where it is another or comes from this host's own kernel.

    Raises Malformed.
    """
    if (level, kind) not in ((SOL_IP, IP_RECVERR), (SOL_IPV6, IPV6_RECVERR)):
        return None
    if len(data) < _EXTENDED.size:
        raise Malformed("an extended error is cut short")
    errno, origin, icmp_type, code, _, _ = _EXTENDED.unpack_from(data)
    if origin not in (_ICMP, _ICMPV6):
        return None
    return IcmpError(errno, icmp_type, code, _sender(data[_EXTENDED.size :]))


def _sender(address: bytes) -> str | None:
    """Return the address in a struct sockaddr_in or sockaddr_in6, None where there is none."""
    if len(address) < _FAMILY.size:
        return None
    (family,) = _FAMILY.unpack_from(address)
    if family == _INET and len(address) >= 8:
        return address_text(MAPPED_PREFIX + address[4:8])
    if family == _INET6 and len(address) >= 24:
        return address_text(address[8:24])
    return None
