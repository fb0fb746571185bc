"""A conversation: one socket pair and its transport, from its first packet to its last.

The columns serve live socket pairs and captured packets alike. Which side is the client is decided by those who
have seen the conversation begin, or by the rule in the vocabulary.
"""

from __future__ import annotations

from portbook.columns import MAPPED_PREFIX, Column
from portbook.errors import N_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

COLUMNS = (
    Column("transport", "text", N_("Transport")),
    Column("family", "text", N_("Family")),
    Column("client_ip", "address", N_("Client address")),
    Column("client_port", "integer", N_("Client port")),
    Column("server_ip", "address", N_("Server address")),
    Column("server_port", "integer", N_("Server port")),
    Column("service", "text", N_("Service")),
    Column("service_by", "text", N_("Service by")),
    Column("client_host", "text", N_("Client host"), foreign=True),
    Column("server_host", "text", N_("Server host"), foreign=True),
    Column("server_name", "text", N_("Server name"), foreign=True),
    Column("start", "number", N_("Start"), "epoch"),
    Column("duration", "number", N_("Duration"), "seconds"),
    Column("state", "text", N_("State")),
    Column("client_packets", "integer", N_("Client packets")),
    Column("server_packets", "integer", N_("Server packets")),
    Column("client_bytes", "integer", N_("Client bytes"), "bytes"),
    Column("server_bytes", "integer", N_("Server bytes"), "bytes"),
    Column("client_payload", "integer", N_("Client payload"), "bytes"),
    Column("server_payload", "integer", N_("Server payload"), "bytes"),
    Column("rtt_ms", "number", N_("RTT"), "milliseconds"),
    Column("retransmissions", "integer", N_("Retransmissions")),
    Column("client_flags", "text", N_("Client flags")),
    Column("server_flags", "text", N_("Server flags")),
    Column("community_id", "text", N_("Community ID")),
    Column("process", "text", N_("Process"), foreign=True),
    Column("pids", "integers", N_("PIDs")),
    Column("container", "text", N_("Container"), foreign=True),
    Column("client_rate", "integer", N_("Client rate"), "bytes/second"),
    Column("server_rate", "integer", N_("Server rate"), "bytes/second"),
)

GROUPS = ("service", "peer", "process")
"""What conversations can be grouped by."""

GROUP_COLUMNS = (
    Column("service", "text", N_("Service")),
    Column("peer", "address", N_("Peer")),
    Column("process", "text", N_("Process"), foreign=True),
    Column("conversations", "integer", N_("Conversations")),
    Column("client_payload", "integer", N_("Client payload"), "bytes"),
    Column("server_payload", "integer", N_("Server payload"), "bytes"),
    Column("retransmissions", "integer", N_("Retransmissions")),
    Column("rtt_ms", "number", N_("RTT"), "milliseconds"),
)
"""The columns of conversations in groups: by one or more of GROUPS, with sums, and the median of the RTTs."""

_COMMUNITY_PROTOCOLS = {"tcp": 6, "udp": 17, "udplite": 136, "sctp": 132}


def community_id(transport: str, one: tuple[bytes, int], other: tuple[bytes, int]) -> str:
    """Return the Community ID of a flow, version 1 with seed 0, as Zeek, Suricata and Wireshark compute it.

    Each end is an address of 16 bytes, IPv4 as IPv4-mapped, and a port. It is the same from either side.
    """
    from base64 import b64encode
    from hashlib import sha1

    ends = [(ip.removeprefix(MAPPED_PREFIX), port.to_bytes(2, "big")) for ip, port in (one, other)]
    (low, low_port), (high, high_port) = sorted(ends)
    protocol = bytes((_COMMUNITY_PROTOCOLS[transport], 0))
    flow = bytes(2) + low + high + protocol + low_port + high_port
    return "1:" + b64encode(sha1(flow, usedforsecurity=False).digest()).decode()


def local_serves(local: int, remote: int, listens: tuple[bool, bool], known: Container[int]) -> bool:
    """Return whether the local port is the server's: the one that is listened on, is known, or is the lower.

    `listens` says of the local and of the remote port whether this host listens on it; `known` are the ports of
    known services. For conversations whose beginning was not seen.
    """
    if listens[0] != listens[1]:
        return listens[0]
    if (local in known) != (remote in known):
        return local in known
    return local <= remote
