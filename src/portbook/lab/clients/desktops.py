"""Clients of remote desktops: RDP until the user would log in, VNC until the desktop is there."""

from __future__ import annotations

import struct

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_NEGOTIATION_RESPONSE, _TLS = 2, 1
_DATA = bytes.fromhex("02f080")
"""The head of an X.224 data TPDU, class 0 (ITU-T X.224, section 13.7)."""

_DOMAIN_PARAMETERS = bytes.fromhex(
    "3019 020122 020102 020100 020101 020100 020101 0202ffff 020102"
    "3019 020101 020101 020101 020101 020100 020101 02020420 020102"
    "301c 0202ffff 0202fc17 0202ffff 020101 020100 020101 0202ffff 020102"
)
"""What is wanted, the least and the most (ITU-T T.125; the values of MS-RDPBCGR, section 4.1.3)."""

_RFB = b"RFB 003.008\n"
_NO_SECURITY = 1
_RAW = 0


def rdp(dialogue: Dialogue) -> None:
    """Agree on TLS and begin a conference (MS-RDPBCGR, section 1.3.1.1); the server has no name for itself."""
    request = b"Cookie: mstshash=portbook\r\n" + struct.pack("<BBHI", 1, 0, 8, _TLS)
    dialogue.say(_tpkt(bytes((6 + len(request), 0xE0)) + bytes(5) + request))
    confirm = _from_tpkt(dialogue)
    if len(confirm) != 15 or confirm[1] & 0xF0 != 0xD0:
        raise NotSpoken("no confirmation of the connection that tells the security")
    kind, _, _, chosen = struct.unpack("<BBHI", confirm[7:])
    if (kind, chosen) != (_NEGOTIATION_RESPONSE, _TLS):
        raise NotSpoken("it does not want TLS")
    dialogue.start_tls()
    dialogue.say(_tpkt(_DATA + _connect_initial()))
    answer = _from_tpkt(dialogue)
    # Connect-Response with a length of one, two or three bytes, and its result: rt-successful (ITU-T T.125).
    place = 6 + (answer[5] & 0x7F if len(answer) > 5 and answer[5] & 0x80 else 0)
    if answer[:5] != _DATA + b"\x7f\x66" or answer[place : place + 3] != b"\x0a\x01\x00":
        raise NotSpoken("no conference")


def vnc(dialogue: Dialogue) -> str | None:
    """Come in without a password, share the desktop and look at one pixel (RFC 6143). Returns the desktop's name."""
    if not dialogue.exactly(12).startswith(b"RFB 003."):
        raise NotSpoken("this is not RFB")
    dialogue.say(_RFB)
    kinds = dialogue.exactly(dialogue.exactly(1)[0])
    if _NO_SECURITY not in kinds:
        raise NotSpoken("it wants a password")
    dialogue.say(bytes((_NO_SECURITY,)))
    if dialogue.exactly(4) != bytes(4):
        raise NotSpoken("it lets nobody in")
    dialogue.say(b"\x01")
    depth, length = struct.unpack("!4xB15xI", dialogue.exactly(24))
    name = dialogue.exactly(length)
    # SetEncodings to Raw alone, then FramebufferUpdateRequest of the first pixel.
    dialogue.say(struct.pack("!BxHi", 2, 1, _RAW) + struct.pack("!BBHHHH", 3, 0, 0, 0, 1, 1))
    # The pixel may come with others, such as those of a pointer that the server draws itself.
    kind, count = struct.unpack("!BxH", dialogue.exactly(4))
    if kind != 0 or (0, 0) not in [_rectangle(dialogue, depth) for _ in range(count)]:
        raise NotSpoken("another part of the desktop than was asked for")
    return name.decode("utf-8", "replace")


def _rectangle(dialogue: Dialogue, depth: int) -> tuple[int, int]:
    """Take a rectangle of pixels of so many bits, and return where it begins."""
    left, top, width, height, encoding = struct.unpack("!HHHHi", dialogue.exactly(12))
    if encoding != _RAW:
        raise NotSpoken("another encoding than was asked for")
    dialogue.exactly(width * height * depth // 8)
    return left, top


def _tpkt(payload: bytes) -> bytes:
    """Return a packet of ISO transport over TCP (RFC 1006, section 6)."""
    return struct.pack("!BxH", 3, len(payload) + 4) + payload


def _from_tpkt(dialogue: Dialogue) -> bytes:
    version, length = struct.unpack("!BxH", dialogue.exactly(4))
    if version != 3 or length < 7:
        raise NotSpoken("this is not RDP")
    return dialogue.exactly(length - 4)


def _connect_initial() -> bytes:
    """Return the MCS Connect Initial PDU with GCC Conference Create Request (MS-RDPBCGR, section 2.2.1.3)."""
    name = "portbook".encode("utf-16-le").ljust(32, b"\0")
    screen = struct.pack("<IHHHHII", 0x00080004, 1024, 768, 0xCA01, 0xAA03, 0x409, 2600)
    keyboard = struct.pack("<III64x", 4, 0, 12)
    colours = struct.pack("<HHIHHH64xBxI", 0xCA01, 1, 0, 24, 7, 1, 0, _TLS)
    core = screen + name + keyboard + colours
    blocks = _block(0xC001, core) + _block(0xC002, bytes(8)) + _block(0xC003, bytes(4))
    # In T.124's packed encoding: a conference without a name, and data for the key "Duca".
    request = bytes.fromhex("000800100001c000") + b"Duca" + _packed_length(blocks) + blocks
    conference = bytes.fromhex("000500147c0001") + _packed_length(request) + request
    data = b"\x04\x82" + struct.pack("!H", len(conference)) + conference
    body = bytes.fromhex("040101 040101 0101ff") + _DOMAIN_PARAMETERS + data
    return b"\x7f\x65\x82" + struct.pack("!H", len(body)) + body


def _block(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body) + 4) + body


def _packed_length(body: bytes) -> bytes:
    """Return a length as two bytes (ITU-T X.691, section 11.9.3.6)."""
    return struct.pack("!H", 0x8000 | len(body))
