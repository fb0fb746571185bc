"""Clients of what networks are watched by: SNMP version 2c (RFC 1901, RFC 3416), and syslog (RFC 5424, RFC 5426)."""

from __future__ import annotations

from datetime import UTC, datetime
from os import getpid

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_GET, _RESPONSE = 0xA0, 0xA2
_VERSION_2C = 1
_SYS_DESCR = b"\x2b\x06\x01\x02\x01\x01\x01\x00"
"""1.3.6.1.2.1.1.1.0, the description of the system (RFC 3418)."""

_COMMUNITY = b"public"
_USER_NOTICE = 1 * 8 + 5


def snmp(dialogue: Dialogue) -> str:
    """Get sysDescr.0, by which a system tells what it is, and return it."""
    number = getpid().to_bytes(4, "big")
    asked = _element(_SEQUENCE, _element(_OID, _SYS_DESCR) + _element(_NULL, b""))
    nought = _element(_INTEGER, b"\0")
    unit = _element(_GET, _element(_INTEGER, number) + nought + nought + _element(_SEQUENCE, asked))
    head = _element(_INTEGER, bytes((_VERSION_2C,))) + _element(_OCTETS, _COMMUNITY)
    dialogue.say(_element(_SEQUENCE, head + unit))
    message, _ = _taken(dialogue.hear(), _SEQUENCE)
    _, rest = _taken(message, _INTEGER)
    _, rest = _taken(rest, _OCTETS)
    unit, _ = _taken(rest, _RESPONSE)
    echoed, rest = _taken(unit, _INTEGER)
    error, rest = _taken(rest, _INTEGER)
    _, rest = _taken(rest, _INTEGER)
    if int.from_bytes(echoed, "big") != int.from_bytes(number, "big") or any(error):
        raise NotSpoken("this is no answer of SNMP to what was asked")
    bindings, _ = _taken(rest, _SEQUENCE)
    binding, _ = _taken(bindings, _SEQUENCE)
    name, rest = _taken(binding, _OID)
    if name != _SYS_DESCR:
        raise NotSpoken("this answers another question")
    return _taken(rest, _OCTETS)[0].decode("utf-8", "replace")


def syslog(dialogue: Dialogue) -> None:
    """Report one event; nobody answers, but a closed port would."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own = dialogue.connection.getsockname()[0]
    # Version, then time, host, application, process, kind of message and structured data.
    text = f"<{_USER_NOTICE}>1 {now} {own} portbook-lab {getpid()} - - Here is {own}."
    dialogue.say(text.encode())
    dialogue.heed_refusal()


def _element(tag: int, content: bytes) -> bytes:
    """Return an element of BER (ITU-T X.690, section 8.1) that is shorter than 128 bytes."""
    return bytes((tag, len(content))) + content


def _taken(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the element that begins here, which must have this tag, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise NotSpoken("this is no answer of SNMP")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise NotSpoken("the answer is damaged")
    return data[start : start + length], data[start + length :]
