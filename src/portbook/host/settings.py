"""What this host's kernel settings say of ports (sysctl net.ipv4.ip_*): source ports, reserved and privileged ones.

Linux only; elsewhere nothing is known, and RFC 6335's dynamic range stands for the source ports.
"""

from __future__ import annotations

from typing import NamedTuple

from portbook.endpoint import DYNAMIC_PORTS, SYSTEM_PORTS


class PortSettings(NamedTuple):
    """Where this host takes source ports, which of them it never takes, and below which a bind needs rights.

    `reserved` are the ports of ip_local_reserved_ports; `unprivileged_from` is the first port that any process may
    bind.
    """

    source: range = DYNAMIC_PORTS
    reserved: frozenset[int] = frozenset()
    unprivileged_from: int = SYSTEM_PORTS.stop

    def is_source(self, port: int) -> bool:
        """Return whether this host may take the port as a source port by itself."""
        return port in self.source and port not in self.reserved


def port_settings(folder: str = "/proc/sys/net/ipv4") -> PortSettings:
    """Return the settings of the namespace of this process; what cannot be read is as the RFC has it."""
    source, first = DYNAMIC_PORTS, SYSTEM_PORTS.stop
    bounds = _words(f"{folder}/ip_local_port_range")
    if len(bounds) == 2 and all(word.isdecimal() for word in bounds):
        source = range(int(bounds[0]), int(bounds[1]) + 1)
    start = _words(f"{folder}/ip_unprivileged_port_start")
    if len(start) == 1 and start[0].isdecimal():
        first = int(start[0])
    reserved: set[int] = set()
    for part in ",".join(_words(f"{folder}/ip_local_reserved_ports")).split(","):
        low, _, high = part.partition("-")
        if low.isdecimal() and (high or low).isdecimal():
            reserved.update(range(int(low), int(high or low) + 1))
    return PortSettings(source, frozenset(reserved), first)


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except (OSError, ValueError):
        return []
