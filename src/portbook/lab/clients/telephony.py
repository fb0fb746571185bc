"""A client of telephony servers: SIP over UDP and TCP."""

from __future__ import annotations

import secrets
import socket

from portbook.endpoint import Endpoint
from portbook.lab.clients.dialogue import NotSpoken, header_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_COMPACT = {b"i": b"call-id", b"l": b"content-length"}
"""Short names of header fields (RFC 3261, section 7.3.3)."""

_MOST_PROVISIONAL = 10


def sip(dialogue: Dialogue) -> str | None:
    """Ask what the server can do (OPTIONS, RFC 3261, section 11). Returns the Server field."""
    here = Endpoint(*dialogue.connection.getsockname()[:2])
    datagrams = dialogue.connection.type == socket.SOCK_DGRAM
    call = secrets.token_hex(8)
    lines = (
        f"OPTIONS sip:{dialogue.server} SIP/2.0",
        f"Via: SIP/2.0/{'UDP' if datagrams else 'TCP'} {here};rport;branch=z9hG4bK{call}",
        "Max-Forwards: 70",
        f"From: <sip:portbook@{here}>;tag={secrets.token_hex(4)}",
        f"To: <sip:{dialogue.server}>",
        f"Call-ID: {call}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:portbook@{here}>",
        "Accept: application/sdp",
        "User-Agent: portbook-lab",
        "Content-Length: 0",
        "",
        "",
    )
    dialogue.say("\r\n".join(lines).encode())
    for _ in range(_MOST_PROVISIONAL):
        status, fields = _response(dialogue, datagrams)
        if fields.get(b"call-id") != call.encode() or fields.get(b"cseq", b"").split() != [b"1", b"OPTIONS"]:
            raise NotSpoken("this answers another request")
        if status.startswith(b"SIP/2.0 200 "):
            return fields.get(b"server", b"").decode("utf-8", "replace") or None
        if not status.startswith(b"SIP/2.0 1"):
            break
    raise NotSpoken(f"not the answer that was expected: {status[:80]!r}")


def _response(dialogue: Dialogue, datagrams: bool) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the status line and the header fields of a response, under their long names in lower case."""
    head = (dialogue.hear() if datagrams else dialogue.until(b"\r\n\r\n")).partition(b"\r\n\r\n")[0]
    status, *lines = head.split(b"\r\n")
    if not status.startswith(b"SIP/2.0 "):
        raise NotSpoken("this is not SIP")
    fields = {_COMPACT.get(name, name): value for name, value in header_fields(lines).items()}
    if not datagrams:
        dialogue.body(fields)
    return status, fields
