"""Protocols whose servers answer no stranger: what a reader should know instead of a question."""

from __future__ import annotations

from portbook.errors import N_
from portbook.protocols.conversation import Protocol

PROTOCOLS = (
    Protocol("syslog", (514,), ("udp",), note=N_("syslog never answers, and a question would end up in its log")),
    Protocol("wireguard", (51820,), ("udp",), note=N_("WireGuard answers only those whose key it knows")),
    Protocol(
        "radius",
        (1812, 1813, 1645, 1646),
        ("udp",),
        note=N_("RADIUS answers only those who share its secret"),
    ),
    Protocol("snmptrap", (162,), ("udp",), note=N_("what takes SNMP traps never answers")),
)
