"""The states of TCP (RFC 9293, section 3.3.2) and what Linux, ss and netstat call them.

The numbers are Linux's (include/net/tcp_states.h), as sock_diag and /proc/net/tcp give them. UDP, raw and UNIX
sockets borrow two of them, ESTABLISHED for a connected socket and CLOSED for one that is not; what those mean to a
reader has two names, and so two numbers, of its own.
"""

from __future__ import annotations

ESTABLISHED, SYN_SENT, SYN_RECEIVED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT = 1, 2, 3, 4, 5, 6
CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING, NEW_SYN_RECEIVED, BOUND_INACTIVE = 7, 8, 9, 10, 11, 12, 13
UNCONNECTED, CONNECTED = 14, 15

STATES = (
    None,
    "ESTABLISHED",
    "SYN-SENT",
    "SYN-RECEIVED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSED",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "SYN-RECEIVED",
    "CLOSED",
    "UNCONNECTED",
    "CONNECTED",
)
"""The name of each number. 12 is a request not yet accepted, 13 a bound socket that does nothing."""

KERNEL_STATES = range(1, 14)

DATAGRAM_STATES = {CLOSED: UNCONNECTED, ESTABLISHED: CONNECTED}
"""What the kernel's numbers mean for a UDP, UDP-Lite or raw socket."""

ALL = sum(1 << state for state in range(1, 16)) & ~(1 << BOUND_INACTIVE)
"""The mask of every state that a socket table shows; bound but inactive ones (13) are asked for by name."""

_HALF_OPEN = 1 << SYN_RECEIVED | 1 << NEW_SYN_RECEIVED
LISTENING = 1 << LISTEN | 1 << CLOSED | 1 << UNCONNECTED
"""The mask of what listens, or may receive without a connection, as ss -l has it."""

CONVERSING = ALL & ~(LISTENING | _HALF_OPEN | 1 << TIME_WAIT)
"""The mask that ss shows when it is asked for nothing else."""

FIN_RECEIVED = frozenset({CLOSE_WAIT, LAST_ACK, CLOSING, TIME_WAIT})
"""States in which the peer's FIN has been received, which counts one in the sequence numbers (RFC 9293, 3.4)."""

_SYNONYMS = {
    "estab": "ESTABLISHED",
    "syn-recv": "SYN-RECEIVED",
    "syn-rcvd": "SYN-RECEIVED",
    "fin-wait1": "FIN-WAIT-1",
    "fin-wait2": "FIN-WAIT-2",
    "listening": "LISTEN",
    "close": "CLOSED",
    "closing": "CLOSING",
    "unconn": "UNCONNECTED",
}
_GROUPS = {
    "all": ALL | 1 << BOUND_INACTIVE,
    "synchronized": ALL & ~(LISTENING | 1 << SYN_SENT),
    "bucket": _HALF_OPEN | 1 << TIME_WAIT,
    "big": ALL & ~(_HALF_OPEN | 1 << TIME_WAIT),
    "bound-inactive": 1 << BOUND_INACTIVE,
}


def state_mask(name: str) -> int | None:
    """Return the mask of the states that a person means by `name`, None where it names none.

    It may be a name of RFC 9293, of ss or of netstat, in any case and with `_` or `-`, or one of ss's groups.
    CLOSED and UNCONNECTED mean each other, as ESTABLISHED and CONNECTED do: they are one state of the kernel.
    """
    plain = name.strip().lower().replace("_", "-")
    if plain in _GROUPS:
        return _GROUPS[plain]
    wanted = _SYNONYMS.get(plain, plain.upper())
    mask = 0
    for number, state in enumerate(STATES):
        if state is not None and wanted in (state, state.replace("-", "")):
            mask |= 1 << number
    for borrowed, meant in DATAGRAM_STATES.items():
        if mask & (1 << borrowed | 1 << meant):
            mask |= 1 << borrowed | 1 << meant
    return mask or None


def kernel_mask(mask: int) -> int:
    """Return the mask to ask the kernel with: it knows UNCONNECTED and CONNECTED as CLOSED and ESTABLISHED."""
    for borrowed, meant in DATAGRAM_STATES.items():
        if mask >> meant & 1:
            mask |= 1 << borrowed
    return mask & sum(1 << state for state in KERNEL_STATES)


def kernel_state(state: int) -> int:
    """Return what the kernel calls a state: it knows UNCONNECTED as CLOSED and CONNECTED as ESTABLISHED."""
    return next((borrowed for borrowed, meant in DATAGRAM_STATES.items() if meant == state), state)
