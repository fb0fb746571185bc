"""DHCP: a host that has an address asks for no more than the settings (DHCPINFORM; RFC 2131, section 3.4).

The server answers to the client's port, whatever port asked: the one after its own. A client at that port never
answers anybody but its server.
"""

from __future__ import annotations

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, text

_REQUEST, _REPLY = 1, 2
_BROADCAST = b"\x80\0"
_COOKIE = b"\x63\x82\x53\x63"
_TYPE, _WANTED, _SERVER, _VENDOR, _END = 53, 55, 54, 60, 255
_INFORM = 8
_NAMES = {2: "DHCPOFFER", 5: "DHCPACK", 6: "DHCPNAK"}


def _inform(number: bytes, own: bytes, hardware: bytes) -> bytes:
    """Return a DHCPINFORM that comes from no relay (RFC 2131, figure 1 and table 5).

    BusyBox answers to the hardware address itself, and this one is nobody's: it is asked to broadcast.
    """
    head = bytes((_REQUEST, 1, len(hardware), 0)) + number + b"\0\0" + _BROADCAST + own + bytes(12)
    wanted = bytes((1, 3, 6, 15, 54))
    options = bytes((_TYPE, 1, _INFORM, _WANTED, len(wanted))) + wanted + bytes((_END,))
    return (head + hardware.ljust(16, b"\0") + bytes(192) + _COOKIE + options).ljust(300, b"\0")


def _options(data: bytes) -> dict[int, bytes]:
    """Return the options behind the cookie, as far as they are whole (RFC 2132, section 2)."""
    found: dict[int, bytes] = {}
    place = 240
    while place + 1 < len(data) and data[place] != _END:
        if not data[place]:
            place += 1
            continue
        value = data[place + 2 : place + 2 + data[place + 1]]
        if len(value) == data[place + 1]:
            found.setdefault(data[place], value)
        place += 2 + data[place + 1]
    return found


def recognise(data: bytes) -> Finding | None:
    """Return what a reply with the cookie and a server's type of message proves."""
    if len(data) < 244 or data[0] != _REPLY or data[236:240] != _COOKIE:
        return None
    options = _options(data)
    name = _NAMES.get(int.from_bytes(options.get(_TYPE, b""), "big"))
    if name is None:
        return None
    banner = name
    server = options.get(_SERVER, b"")
    if len(server) == 4:
        banner += " " + ".".join(map(str, server))
    if vendor := options.get(_VENDOR):
        banner += f", {text(vendor)}"
    return Finding("bootps", banner=banner)


def converse(asked: Asked) -> Conversation:
    """Ask for the settings; the hardware address is a made-up one."""
    if ":" in asked.ip:
        return None
    number = asked.numbers[:4]
    parts = asked.own_ip.split(".")
    own = bytes(map(int, parts)) if len(parts) == 4 else bytes(4)
    question = _inform(number, own, b"\x02" + asked.numbers[4:9])
    answer = yield from datagram(question, lambda data: data[4:8] == number and recognise(data) is not None)
    return None if answer is None else recognise(answer)


PROTOCOLS = (
    Protocol(
        "bootps", (67,), ("udp",), recognise=recognise, converse=converse, source_port=lambda server: server + 1
    ),
    Protocol("bootpc", (68,), ("udp",), note=N_("a DHCP client answers nobody but its server")),
)
