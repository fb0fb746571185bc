"""An IP address with a port, the transports that have ports, and how far an address reaches.

It knows text and bytes of addresses and RFC 6335's ranges; where they come from is left to others.
"""

from __future__ import annotations

from typing import NamedTuple

from portbook.columns import ABSENT_ADDRESS, MAPPED_PREFIX

TRANSPORTS = ("tcp", "udp", "udplite", "sctp", "raw", "unix", "dccp")
"""The transports, numbered by their place as socket tables store them. DCCP stands only in the registry."""

TCP, UDP, UDPLITE, SCTP, RAW, UNIX = range(6)
DATAGRAM_TRANSPORTS = (UDP, UDPLITE, RAW)

SYSTEM_PORTS = range(1024)
USER_PORTS = range(1024, 49152)
DYNAMIC_PORTS = range(49152, 65536)


class Endpoint(NamedTuple):
    """An IP address (canonical text) and a port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def port_range(port: int) -> str:
    """Return the range of RFC 6335 (section 6) that a port lies in: system, user or dynamic."""
    if port in SYSTEM_PORTS:
        return "system"
    return "user" if port in USER_PORTS else "dynamic"


def reach(packed: bytes) -> str | None:
    """Return how far an address of 16 bytes reaches: any, loopback, link, private or public; None for none.

    `private` is RFC 1918, RFC 4193 and the shared space of carriers (RFC 6598): not for the whole internet.
    """
    if packed == ABSENT_ADDRESS:
        return None
    if packed.startswith(MAPPED_PREFIX):
        return _reach_ipv4(packed[12:])
    if packed == bytes(16):
        return "any"
    if packed == bytes(15) + b"\x01":
        return "loopback"
    if packed[0] == 0xFE and packed[1] & 0xC0 == 0x80:
        return "link"
    if packed[0] & 0xFE == 0xFC or (packed[0] == 0xFE and packed[1] & 0xC0 == 0xC0):
        return "private"
    if packed[0] == 0xFF:
        return "loopback" if packed[1] & 0x0F == 1 else "link" if packed[1] & 0x0F == 2 else "public"
    return "public"


def _reach_ipv4(octets: bytes) -> str:
    first, second = octets[0], octets[1]
    if octets == bytes(4):
        return "any"
    if first == 127:
        return "loopback"
    if (first, second) == (169, 254) or octets[:3] == b"\xe0\x00\x00" or octets == b"\xff" * 4:
        return "link"
    if first == 10 or (first == 172 and second & 0xF0 == 16) or (first, second) == (192, 168):
        return "private"
    if first == 100 and second & 0xC0 == 64:
        return "private"
    return "public"
