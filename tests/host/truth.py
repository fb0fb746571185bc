"""The sockets of this thread's network namespace as ss(8) and as portbook tell them, in the same words."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

from portbook.host.sockets import sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portbook.host.reading import Selection

Row = tuple[object, ...]

STATES = {
    "LISTEN": "LISTEN",
    "SYN-SENT": "SYN-SENT",
    "SYN-RECV": "SYN-RECEIVED",
    "ESTAB": "ESTABLISHED",
    "FIN-WAIT-1": "FIN-WAIT-1",
    "FIN-WAIT-2": "FIN-WAIT-2",
    "CLOSE-WAIT": "CLOSE-WAIT",
    "CLOSING": "CLOSING",
    "LAST-ACK": "LAST-ACK",
    "TIME-WAIT": "TIME-WAIT",
    "UNCONN": "UNCONNECTED",
}
_UNIX = re.compile(r"u_(?:str|dgr|seq)\s+(\S+)\s+(\d+)\s+(\d+) (.*) (\d+)\s+\* (\d+)\s*")
COLUMNS = (
    *("transport", "family", "state", "local_ip", "local_port", "remote_ip", "remote_port", "interface"),
    *("recv_queue", "send_queue", "uid", "inode", "cookie", "path", "peer_inode"),
)


def ss(*words: str) -> str:
    """Return what ss prints. Raises CalledProcessError."""
    return subprocess.run(["ss", "-HOna", *words], check=True, capture_output=True, text=True).stdout


def seen_by_ss() -> Counter[Row]:
    """Return how often ss shows each TCP, UDP, raw and UNIX socket."""
    return Counter([*_inet(), *_unix()])


def seen_by_portbook(selection: Selection) -> Counter[Row]:
    """Return how often portbook shows each socket, without what ss does not tell."""
    rows = []
    for row in sockets(selection, COLUMNS):
        if row.transport == "unix":
            path = row.path and row.path.replace("\0", "@")
            rows.append(("unix", row.state, path, row.inode, row.peer_inode or 0, row.recv_queue, row.send_queue))
            continue
        interface = None if row.transport == "raw" else row.interface
        known = (0, 0, 0) if row.transport == "raw" else (row.uid or 0, row.inode or 0, row.cookie)
        local, remote = (row.local_ip, row.local_port), (row.remote_ip, row.remote_port)
        queues = (row.recv_queue, row.send_queue)
        rows.append((row.transport, row.family, row.state, *local, *remote, interface, *queues, *known))
    return Counter(rows)


def _inet() -> Iterator[Row]:
    for transport in ("tcp", "udp", "raw"):
        for family in ("ipv4", "ipv6"):
            for line in ss("-e", f"--{transport}", f"--{family}").splitlines():
                state, received, sent, local, remote, *rest = line.split()
                name = STATES[state]
                if transport != "tcp" and name == "ESTABLISHED":
                    name = "CONNECTED"
                said = dict(word.split(":", 1) for word in rest if ":" in word)
                known = (int(said.get("uid", 0)), int(said.get("ino", 0)), int(said.get("sk", "0"), 16))
                here, port, interface = _end(local)
                there, other, _ = _end(remote)
                if (there, other) in (("0.0.0.0", None), ("::", None)):
                    there = None
                queues = (int(received), int(sent))
                yield (transport, family, name, here, port, there, other, interface, *queues, *known)


def _end(text: str) -> tuple[str | None, int | None, str | None]:
    """Return the address, port and device of `127.0.0.1%lo:53`, `[::ffff:1.2.3.4]:80` or `*:*`."""
    address, _, port = text.rpartition(":")
    address, _, interface = address.partition("%")
    address = address.strip("[]").removeprefix("::ffff:")
    return "::" if address == "*" else address, None if port == "*" else int(port), interface.strip("]") or None


def _unix() -> Iterator[Row]:
    for line in ss("--unix").splitlines():
        found = _UNIX.fullmatch(line)
        assert found is not None, line
        state, received, sent, path, inode, peer = found.groups()
        named = None if path.strip() == "*" else path.strip()
        yield ("unix", STATES[state], named, int(inode), int(peer), int(received), int(sent))
