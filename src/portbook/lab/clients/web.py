"""Clients of web servers: HTTP/1.1, over TLS too."""

from __future__ import annotations

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue


def http(dialogue: Dialogue) -> str | None:
    """GET / (RFC 9112); keeps the connection where the server does. Returns the Server field."""
    dialogue.say(f"GET / HTTP/1.1\r\nHost: {dialogue.authority}\r\nUser-Agent: portbook-lab\r\n\r\n".encode())
    status, *lines = dialogue.until(b"\r\n\r\n").splitlines()
    if not status.startswith(b"HTTP/1."):
        raise NotSpoken("this is not HTTP")
    pairs = (line.partition(b":") for line in lines)
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = fields.get(b"content-length", b"0")
    dialogue.exactly(int(length) if length.isdigit() else 0)
    if fields.get(b"connection", b"").lower() == b"close":
        dialogue.connection.recv(1)  # the server ends first where it says so
    return fields.get(b"server", b"").decode("ascii", "replace") or None


def https(dialogue: Dialogue) -> str | None:
    """The same inside TLS."""
    dialogue.start_tls()
    return http(dialogue)
