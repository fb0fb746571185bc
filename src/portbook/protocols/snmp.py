"""SNMP: the discovery of a version 3 agent's engine, which needs no name and no community (RFC 3414, section 4)."""

from __future__ import annotations

from portbook.errors import Malformed
from portbook.porttest import Finding
from portbook.protocols.ber import INTEGER, OCTETS, SEQUENCE, children, element, integer, read
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram

_GET, _REPORT, _RESPONSE = b"\xa0", 0xA8, 0xA2
_USM = 3
_MAKERS = {
    2: "IBM",
    9: "Cisco",
    11: "HP",
    43: "3Com",
    171: "D-Link",
    207: "Allied Telesis",
    253: "Xerox",
    311: "Microsoft",
    318: "APC",
    367: "Ricoh",
    641: "Lexmark",
    664: "ADTRAN",
    674: "Dell",
    890: "Zyxel",
    1347: "Kyocera",
    1588: "Brocade",
    1602: "Canon",
    1916: "Extreme Networks",
    1991: "Brocade",
    2011: "Huawei",
    2021: "UCD-SNMP",
    2435: "Brother",
    2636: "Juniper",
    3224: "Juniper NetScreen",
    3375: "F5",
    3902: "ZTE",
    4413: "Broadcom",
    4526: "NETGEAR",
    6027: "Dell Force10",
    6486: "Alcatel-Lucent",
    6574: "Synology",
    6876: "VMware",
    8072: "Net-SNMP",
    8741: "SonicWall",
    10002: "Ubiquiti",
    11863: "TP-Link",
    12356: "Fortinet",
    14823: "Aruba",
    14988: "MikroTik",
    24681: "QNAP",
    25461: "Palo Alto Networks",
    25506: "H3C",
    30065: "Arista",
    30155: "OpenBSD snmpd",
    41112: "Ubiquiti",
    47196: "HPE Aruba",
}
"""Who made an agent, by the number of the enterprise in its engine's id (IANA, Private Enterprise Numbers)."""


def _discovery(number: int) -> bytes:
    """Return a request without any authority, which asks for a report (RFC 3412, section 6; RFC 3414, 2.4)."""
    nothing = element(OCTETS)
    header = element(SEQUENCE, integer(number), integer(65507), element(OCTETS, b"\x04"), integer(_USM))
    security = element(SEQUENCE, nothing, integer(0), integer(0), nothing, nothing, nothing)
    request = element(_GET, integer(number), integer(0), integer(0), element(SEQUENCE))
    scoped = element(SEQUENCE, nothing, nothing, request)
    return element(SEQUENCE, integer(3), header, element(OCTETS, security), scoped)


def _report(data: bytes) -> tuple[int, bytes, int, int]:
    """Return a report's message number, engine id, boots and seconds since the last. Raises Malformed."""
    version, header, security, scoped = children(_sequence(data))[:4]
    if version != (INTEGER[0], b"\3") or header[0] != SEQUENCE[0] or security[0] != OCTETS[0]:
        raise Malformed
    pdu = children(scoped[1])[2] if scoped[0] == SEQUENCE[0] else (0, b"")
    if pdu[0] != _REPORT:
        raise Malformed
    number = children(header[1])[0][1]
    engine, boots, seconds = children(_sequence(security[1]))[:3]
    return _number(number), engine[1][:32], _number(boots[1]), _number(seconds[1])


def _sequence(data: bytes) -> bytes:
    tag, content, _ = read(data)
    if tag != SEQUENCE[0]:
        raise Malformed
    return content


def _number(content: bytes) -> int:
    return int.from_bytes(content[:8], "big", signed=True)


def _reported(data: bytes) -> tuple[int, Finding] | None:
    try:
        number, engine, boots, seconds = _report(data)
    except (Malformed, ValueError, IndexError):
        return None
    enterprise = int.from_bytes(engine[:4], "big") & 0x7FFFFFFF if len(engine) >= 5 else 0
    told = f"SNMPv3, engine {engine.hex()}, enterprise {enterprise}, boots {boots}, up {seconds} s"
    return number, Finding("snmp", _MAKERS.get(enterprise), banner=told)


def _is_response(data: bytes) -> bool:
    """Whether it is an answer of version 1 or 2c."""
    try:
        version, community, pdu = children(_sequence(data))[:3]
        parts = children(pdu[1])
    except (Malformed, ValueError):
        return False
    tags = [tag for tag, _ in parts]
    ours = version[0] == INTEGER[0] and version[1] in (b"\0", b"\1") and community[0] == OCTETS[0]
    return ours and pdu[0] == _RESPONSE and tags == [INTEGER[0]] * 3 + [SEQUENCE[0]]


def recognise(data: bytes) -> Finding | None:
    """Return what a report of version 3, or a response of an older one, proves."""
    reported = _reported(data)
    if reported is not None:
        return reported[1]
    return Finding("snmp") if _is_response(data) else None


def converse(asked: Asked) -> Conversation:
    """Ask who the engine is; agents without version 3 stay silent."""
    number = int.from_bytes(asked.numbers[:4], "big") & 0x7FFFFFFF

    def fits(data: bytes) -> bool:
        reported = _reported(data)
        return reported is not None and reported[0] == number

    answer = yield from datagram(_discovery(number), fits)
    return None if answer is None else recognise(answer)


PROTOCOL = Protocol("snmp", (161,), ("udp",), recognise=recognise, converse=converse)
