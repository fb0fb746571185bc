"""A client of web servers: HTTP/1.1."""

from __future__ import annotations

from portbook.lab.clients.dialogue import NotSpoken, header_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue


def http(dialogue: Dialogue) -> str | None:
    """GET / (RFC 9112); keeps the connection where the server does. Returns the Server field."""
    dialogue.say(f"GET / HTTP/1.1\r\nHost: {dialogue.server}\r\nUser-Agent: portbook-lab\r\n\r\n".encode())
    status, *lines = dialogue.until(b"\r\n\r\n").splitlines()
    if not status.startswith(b"HTTP/1."):
        raise NotSpoken("this is not HTTP")
    fields = header_fields(lines)
    dialogue.body(fields)
    if fields.get(b"connection", b"").lower() == b"close":
        dialogue.connection.recv(1)  # the server ends first where it says so
    return fields.get(b"server", b"").decode("ascii", "replace") or None
