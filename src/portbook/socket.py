"""A socket of this host: its columns, and the store that a hundred thousand of them fit into.

The store holds what the kernel says of each socket as numbers, one array for each field, filled by the decoders in
wire/ and read by the operations. Who owns a socket, and what its port is called, is added above.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from portbook import tcp
from portbook.columns import ABSENT_ADDRESS, Column
from portbook.endpoint import UNIX
from portbook.errors import N_

COLUMNS = (
    Column("transport", "text", N_("Transport")),
    Column("family", "text", N_("Family")),
    Column("state", "text", N_("State")),
    Column("local_ip", "address", N_("Local address")),
    Column("local_port", "integer", N_("Local port")),
    Column("remote_ip", "address", N_("Remote address")),
    Column("remote_port", "integer", N_("Remote port")),
    Column("remote_host", "text", N_("Remote host"), foreign=True),
    Column("interface", "text", N_("Interface"), foreign=True),
    Column("service", "text", N_("Service")),
    Column("scope", "text", N_("Scope")),
    Column("recv_queue", "integer", N_("Recv queue"), "bytes"),
    Column("send_queue", "integer", N_("Send queue"), "bytes"),
    Column("uid", "integer", N_("UID")),
    Column("user", "text", N_("User"), foreign=True),
    Column("path", "text", N_("Path"), foreign=True),
    Column("peer_inode", "integer", N_("Peer inode")),
    Column("pids", "integers", N_("PIDs")),
    Column("process", "text", N_("Process"), foreign=True),
    Column("command", "text", N_("Command"), foreign=True),
    Column("started", "number", N_("Started"), "epoch"),
    Column("unit", "text", N_("Unit"), foreign=True),
    Column("container", "text", N_("Container"), foreign=True),
    Column("owner_by", "text", N_("Owner by")),
    Column("netns", "text", N_("Network namespace"), foreign=True),
    Column("inode", "integer", N_("Inode")),
    Column("cookie", "integer", N_("Cookie")),
    Column("expires", "number", N_("Expires"), "seconds"),
    Column("rtt_ms", "number", N_("RTT"), "milliseconds"),
    Column("retransmissions", "integer", N_("Retransmissions")),
    Column("bytes_sent", "integer", N_("Bytes sent"), "bytes"),
    Column("bytes_received", "integer", N_("Bytes received"), "bytes"),
    Column("send_rate", "integer", N_("Send rate"), "bytes/second"),
    Column("receive_rate", "integer", N_("Receive rate"), "bytes/second"),
    Column("congestion", "text", N_("Congestion")),
)
"""Every column of the sockets.

`recv_queue` and `send_queue` of a listening TCP socket are the connections that wait to be accepted and how many
may. `local_port` of a raw socket is its IP protocol number, as Linux has it. `path` and `peer_inode` belong to UNIX
sockets; `remote_host` is looked up only on request; `expires` is what remains of a TIME-WAIT; `bytes_sent` are
those sent for the first time.
"""

_DECLARED = {column.name: column for column in COLUMNS}

SUMMARY_COLUMNS = (
    _DECLARED["transport"],
    _DECLARED["state"],
    Column("ipv4", "integer", N_("IPv4")),
    Column("ipv6", "integer", N_("IPv6")),
    Column("count", "integer", N_("Count")),
)

WIDEST_FIRST = ("any", "public", "private", "link", "container", "loopback")
"""The scopes of listeners, those that the most can reach first."""

LISTENER_COLUMNS = (
    _DECLARED["transport"],
    _DECLARED["local_port"]._replace(heading=N_("Port")),
    _DECLARED["service"],
    _DECLARED["scope"],
    Column("addresses", "texts", N_("Addresses")),
    _DECLARED["process"],
    _DECLARED["pids"],
    _DECLARED["user"],
    _DECLARED["unit"],
    _DECLARED["container"],
    _DECLARED["started"],
    Column("conversations", "integer", N_("Conversations")),
    _DECLARED["recv_queue"]._replace(heading=N_("Queue")),
    _DECLARED["send_queue"]._replace(heading=N_("Queue limit")),
    _DECLARED["owner_by"],
    _DECLARED["command"],
    _DECLARED["netns"],
)
"""The columns of the listeners, a line for each service of one owner; the fields of `Listener`."""

HOLDER_COLUMNS = (
    Column("holds", "text", N_("Holds")),
    SUMMARY_COLUMNS[-1],
    *LISTENER_COLUMNS[:4],
    _DECLARED["state"],
    *(column for column in LISTENER_COLUMNS[4:] if column.name != "conversations"),
    _DECLARED["expires"],
)
"""The columns of all that stands on one port: `holds` is listening, bound, conversation or time-wait; `count` says
how many sockets a line stands for, `expires` when the last TIME-WAIT among them is over."""

OWNER_COLUMNS = ("pids", "process", "command", "started", "unit", "container", "owner_by")
TCP_COLUMNS = (
    "rtt_ms",
    "retransmissions",
    "bytes_sent",
    "bytes_received",
    "send_rate",
    "receive_rate",
    "congestion",
)

ABSENT_32 = 0xFFFFFFFF
ABSENT_64 = 0xFFFFFFFFFFFFFFFF

IPV4, IPV6, UNIX_FAMILY = 0, 1, 2
FAMILIES = ("ipv4", "ipv6", "unix")

SCTP_AS_TCP = (
    tcp.CLOSED,
    tcp.SYN_SENT,  # COOKIE-WAIT
    tcp.SYN_SENT,  # COOKIE-ECHOED
    tcp.ESTABLISHED,
    tcp.FIN_WAIT_1,  # SHUTDOWN-PENDING
    tcp.FIN_WAIT_2,  # SHUTDOWN-SENT
    tcp.CLOSE_WAIT,  # SHUTDOWN-RECEIVED
    tcp.LAST_ACK,  # SHUTDOWN-ACK-SENT
)
"""For each state of an SCTP association (RFC 9260, section 4) the one of TCP that means the same to its user."""

FIELDS = {
    "transport": "B",  # place in endpoint.TRANSPORTS
    "family": "B",  # place in FAMILIES
    "state": "B",  # number in tcp.STATES
    "timer": "B",  # what `expires` waits for: 1 retransmission, 2 keep-alive, 3 TIME-WAIT, 4 zero window
    "v6only": "B",  # 1 for an IPv6 socket that takes no IPv4
    "local_port": "H",
    "remote_port": "H",
    "netns": "H",  # which of the namespaces that were read
    "interface": "I",  # index of the device it is bound to, 0 for none
    "recv_queue": "I",
    "send_queue": "I",
    "uid": "I",  # ABSENT_32 where the kernel does not say
    "inode": "I",  # 0 where no process can hold it
    "peer_inode": "I",
    "path": "I",  # place in `paths`
    "expires": "I",  # milliseconds
    "cookie": "Q",
    "cgroup": "Q",  # id of the control group (version 2), 0 for none
}

DETAILS = {
    "rtt": "I",  # microseconds
    "retransmissions": "I",
    "received_rtt": "I",  # microseconds, the receiver's estimate
    "received_space": "I",  # bytes received in one such time
    "last_sent": "I",  # milliseconds since data was sent, or since the connection was made
    "last_received": "I",
    "last_ack": "I",
    "segments_out": "I",
    "segments_in": "I",
    "congestion": "I",  # place in `algorithms`
    "bytes_sent": "Q",  # without retransmissions
    "bytes_received": "Q",
    "send_rate": "Q",  # bytes a second
}
"""What the kernel says of a TCP connection's inside; ABSENT_32 or ABSENT_64 where it says nothing."""


class Owner(NamedTuple):
    """Who holds a socket, and how far that is known.

    `pids` are all the processes that hold it, ascending; `process` their name (several names joined by ", "),
    `command` and `started` (epoch seconds) those of the eldest. `owner_by` is exact where the processes were seen to
    hold it, cgroup where only its control group is known, hidden where rights forbid to know, None where no process
    holds it (the kernel's own, or what remains of one that is gone).
    """

    pids: tuple[int, ...] | None = None
    process: str | None = None
    command: str | None = None
    started: float | None = None
    unit: str | None = None
    container: str | None = None
    owner_by: str | None = None


class Listener(NamedTuple):
    """A service that waits on one port: every socket of one owner on it, of IPv4 and IPv6 together.

    `addresses` are those it listens on, `scope` is the widest of theirs. `queue` counts the connections that wait to
    be accepted, or the bytes to be read, against `queue_limit` (None where there is none or it is not told), of the
    socket whose queue is fullest.
    """

    transport: str
    port: int
    service: str | None
    scope: str | None
    addresses: tuple[str, ...]
    owner: Owner
    user: str | None
    conversations: int
    queue: int | None
    queue_limit: int | None
    netns: str | None


class SocketStore:
    """The sockets of one or more namespaces, one array for each of FIELDS, and of DETAILS where `detailed`.

    Addresses are 16 bytes a row as `columns.Addresses` has them, absent for the remote side of a socket that has
    none. Row `i` of every array is socket `i`.
    """

    # A decoder that appends must append to every array.

    transport: array[int]
    family: array[int]
    state: array[int]
    timer: array[int]
    v6only: array[int]
    local_port: array[int]
    remote_port: array[int]
    netns: array[int]
    interface: array[int]
    recv_queue: array[int]
    send_queue: array[int]
    uid: array[int]
    inode: array[int]
    peer_inode: array[int]
    path: array[int]
    expires: array[int]
    cookie: array[int]
    cgroup: array[int]
    rtt: array[int]
    retransmissions: array[int]
    received_rtt: array[int]
    received_space: array[int]
    last_sent: array[int]
    last_received: array[int]
    last_ack: array[int]
    segments_out: array[int]
    segments_in: array[int]
    congestion: array[int]
    bytes_sent: array[int]
    bytes_received: array[int]
    send_rate: array[int]

    def __init__(self, detailed: bool = False) -> None:
        self.detailed = detailed
        self.local_ip = bytearray()
        self.remote_ip = bytearray()
        self.paths: list[str | None] = [None]
        self.algorithms: list[str] = []
        for name, code in (FIELDS | DETAILS if detailed else FIELDS).items():
            setattr(self, name, array(code))

    def __len__(self) -> int:
        return len(self.state)

    def algorithm(self, name: str) -> int:
        """Return the place of a congestion control's name in `algorithms`."""
        if name not in self.algorithms:
            self.algorithms.append(name)
        return self.algorithms.index(name)

    def path_number(self, path: str) -> int:
        """Return the place of a UNIX socket's path in `paths`."""
        self.paths.append(path)
        return len(self.paths) - 1

    def append_fields(self, **given: int) -> None:
        """Append one row of FIELDS, zero where nothing is given; the addresses are appended by the caller."""
        for name in FIELDS:
            getattr(self, name).append(given.get(name, 0))
        if self.detailed:
            for name, code in DETAILS.items():
                getattr(self, name).append(ABSENT_32 if code == "I" else ABSENT_64)

    def append_unix(
        self, state: int, inode: int, path: int, peer_inode: int, cookie: int, uid: int, queues: tuple[int, int]
    ) -> None:
        """Append a UNIX socket; `queues` are the receive queue (or backlog) and the send queue (or its limit)."""
        self.local_ip += ABSENT_ADDRESS
        self.remote_ip += ABSENT_ADDRESS
        self.append_fields(
            transport=UNIX,
            family=UNIX_FAMILY,
            state=state,
            uid=uid,
            inode=inode,
            path=path,
            peer_inode=peer_inode,
            cookie=cookie,
            recv_queue=queues[0],
            send_queue=queues[1],
        )

    def truncate(self, length: int) -> None:
        """Forget every row from `length` on: what an interrupted dump has brought."""
        del self.local_ip[length * 16 :]
        del self.remote_ip[length * 16 :]
        for name in FIELDS | DETAILS if self.detailed else FIELDS:
            del getattr(self, name)[length:]
