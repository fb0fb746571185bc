"""SMB: one NEGOTIATE that all versions understand, directly or through NetBIOS, and no session (MS-SMB2, MS-CIFS).

The dialect is of the server's choice. Its name is told by SMB 1, and by the GUID that Samba makes of it.
"""

from __future__ import annotations

import struct

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from portbook.protocols.conversation import Heard, StartTls

    Message: TypeAlias = Generator[Say | StartTls, Heard, bytes | None]

_SMB1, _SMB2 = b"\xffSMB", b"\xfeSMB"
_NEGOTIATE_1 = 0x72
_DIALECTS = b"\x02NT LM 0.12\0\x02SMB 2.002\0\x02SMB 2.???\0"
_FIRST = (
    _SMB1 + bytes.fromhex("72 00000000 18 01c0") + bytes(12) + bytes.fromhex("ffff 0100 0000 0000 00")
    + len(_DIALECTS).to_bytes(2, "little") + _DIALECTS
)  # fmt: skip
"""Without extended security, so that a server of SMB 1 tells its name (MS-SMB2, section 3.2.4.2.1)."""

_ANY = 0x02FF
"""The dialect that asks for another NEGOTIATE, of SMB 2."""

_NAMES = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1", _ANY: "2"}
_SESSION = b"\x81\0\0\x44 " + b"CKFDENECFDEFFCFGEFFCCACACACACACA" + b"\0 " + b"CACA" * 7 + b"CAAA\0"
"""A session request to *SMBSERVER from a caller whose name is blank (RFC 1001, section 14.1; RFC 1002, 4.3.2)."""

_REFUSED = {
    0x80: "not listening on called name",
    0x81: "not listening for calling name",
    0x82: "called name not present",
}


def _second(numbers: bytes) -> bytes:
    """Return a NEGOTIATE of SMB 2 with all dialects (MS-SMB2, sections 2.2.1.2, 2.2.3 and 2.2.3.1)."""
    dialects = (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)
    header = _SMB2 + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0) + bytes(16)
    integrity = struct.pack("<HHIHHH", 1, 38, 0, 1, 32, 1) + numbers[:32] + bytes(2)
    contexts = integrity + struct.pack("<HHIHH", 2, 4, 0, 1, 1)
    body = struct.pack("<HHHHI16sIHH", 36, len(dialects), 1, 0, 0x7F, numbers[:16], 112, 2, 0)
    return header + body + struct.pack("<5H", *dialects) + bytes(2) + contexts


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def _of_2(message: bytes) -> Finding | None:
    """Return what a NEGOTIATE response of SMB 2 tells (section 2.2.4)."""
    if len(message) < 128 or message[4:6] != b"\x40\0" or message[12:14] != b"\0\0" or not message[16] & 1:
        return None
    status, (size, mode, dialect) = message[8:12], struct.unpack("<HHH", message[64:70])
    if size != 65 or dialect not in _NAMES:
        return Finding("microsoft-ds", banner="SMB 2") if status != bytes(4) else None
    banner = f"SMB {_NAMES[dialect]}, signing {'required' if mode & 2 else 'enabled' if mode & 1 else 'off'}"
    guid = message[72:88].rstrip(b"\0")
    # Samba's GUID is the server's NetBIOS name; others' are random.
    samba = guid[:1].isalpha() and len(guid) < 16 and all(0x20 < byte < 0x7F for byte in guid)
    name = text(guid) if samba else None
    return Finding("microsoft-ds", "Samba" if samba else None, banner=banner, server_name=name)


def _of_1(message: bytes) -> Finding | None:
    """Return what a NEGOTIATE response of SMB 1 tells (MS-CIFS, section 2.2.4.52.2)."""
    if len(message) < 37 or message[4] != _NEGOTIATE_1 or not message[9] & 0x80:
        return None
    found = Finding("microsoft-ds", banner="SMB 1")
    words = message[32]
    if words != 17 or len(message) < 69:
        return found
    unicode = message[11] & 0x80
    key = message[66]
    told = message[69 + key : 69 + int.from_bytes(message[67:69], "little")]
    capabilities = int.from_bytes(message[52:56], "little")
    if capabilities & 0x80000000:
        return found
    if unicode or capabilities & 4:
        names = told[: len(told) & ~1].decode("utf-16-le", "replace").split("\0")
    else:
        names = text(told).split("\0")
    if len(names) < 2 or not names[0].isprintable():
        return found
    return found._replace(banner=f"SMB 1, workgroup {names[0]}", server_name=names[1] or None)


def recognise(data: bytes) -> Finding | None:
    """Return what a NEGOTIATE response proves."""
    if len(data) < 8 or data[0]:
        return None
    length = int.from_bytes(data[1:4], "big")
    if not 32 <= length <= 1 << 16:
        return None
    message = data[4 : 4 + length]
    if message[:4] == _SMB2:
        return _of_2(message)
    return _of_1(message) if message[:4] == _SMB1 else None


def recognise_session(data: bytes) -> Finding | None:
    """Return what the answer to a session request proves (RFC 1002, section 4.3)."""
    if data[:4] == b"\x82\0\0\0":
        return Finding("netbios-ssn", banner="session accepted", certain=len(data) > 8 and data[5:8] == b"\0\0")
    if data[:4] == b"\x83\0\0\x01" and len(data) == 5 and (0x80 <= data[4] <= 0x83 or data[4] == 0x8F):
        return Finding("netbios-ssn", banner=_REFUSED.get(data[4], "session refused"))
    return None


def _message(server: Reader, question: bytes) -> Message:
    """Say something, and return the message that comes, with its length."""
    if not (yield from server.more(question)):
        return None
    head = yield from server.exactly(4)
    if head is None or head[0] or int.from_bytes(head[1:], "big") > 16384:
        return None
    rest = yield from server.exactly(int.from_bytes(head[1:], "big"))
    return None if rest is None else head + rest


def _negotiate(server: Reader, asked: Asked) -> Conversation:
    """Negotiate, twice where the server wants to hear of SMB 2 alone."""
    answer = yield from _message(server, _framed(_FIRST))
    found = None if answer is None else recognise(answer)
    if answer is not None and found is not None and answer[4:8] == _SMB2 and answer[72:74] == b"\xff\x02":
        answer = yield from _message(server, _framed(_second(asked.numbers)))
        found = (recognise(answer) if answer is not None else None) or found
    yield Say(farewell=True)
    return found


def converse(asked: Asked) -> Conversation:
    """Negotiate a dialect."""
    if asked.heard:
        return recognise(asked.heard)
    return (yield from _negotiate(Reader(), asked))


def converse_session(asked: Asked) -> Conversation:
    """Ask for a NetBIOS session, and negotiate a dialect in it."""
    if asked.heard:
        return recognise_session(asked.heard)
    server = Reader()
    if not (yield from server.more(_SESSION)):
        return None
    head = yield from server.exactly(4)
    if head is not None and head[0] == 0x83:
        head += (yield from server.exactly(1)) or b""
    found = recognise_session(head or b"")
    if found is None or head is None or head[0] == 0x83:
        return found
    told = yield from _negotiate(server, asked)
    return found if told is None else told._replace(service="netbios-ssn")


PROTOCOLS = (
    Protocol("microsoft-ds", (445,), recognise=recognise, converse=converse),
    Protocol("netbios-ssn", (139,), recognise=recognise_session, converse=converse_session),
)
