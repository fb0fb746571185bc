"""Microsoft SQL Server: the PRELOGIN of TDS, which tells the version, and the browser that tells the instances.

The TLS of a log-in is packed into TDS itself before version 8, so that no certificate is seen here (MS-TDS, MC-SQLR).
"""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, datagram, text

_VERSION, _ENCRYPTION, _INSTANCE, _THREAD, _MARS, _END = 0, 1, 2, 3, 4, 0xFF
_PRELOGIN = bytes.fromhex(
    "12 01 002f 0000 01 00"
    "00 001a 0006  01 0020 0001  02 0021 0001  03 0022 0004  04 0026 0001  ff"
    "110000000000 02 00 00000000 00"
)
"""A client of version 17 without TLS, whose instance is whichever there is (MS-TDS, section 2.2.6.5)."""

_YEARS = {8: "2000", 9: "2005", 11: "2012", 12: "2014", 13: "2016", 14: "2017", 15: "2019", 16: "2022", 17: "2025"}
_ENCRYPTIONS = {0: "offered", 1: "on", 2: "not supported", 3: "required"}
_INSTANCES = re.compile(
    rb"(?s)\x05..ServerName;([^;]{0,255});InstanceName;([^;]{0,255});IsClustered;[^;]{0,10};Version;(\d[\d.]{0,30})"
)


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to a PRELOGIN proves, which keeps its options in order and the version first."""
    length = int.from_bytes(data[2:4], "big")
    if data[:2] != b"\x04\x01" or not 15 <= length <= 512 or len(data) < length or data[8] != _VERSION:
        return None
    body = data[8:length]
    options: dict[int, bytes] = {}
    place = 0
    while place < len(body) and body[place] != _END:
        offset, size = (int.from_bytes(body[i : i + 2], "big") for i in (place + 1, place + 3))
        if body[place] > 16 or body[place] in options or offset + size > len(body) or offset <= place:
            return None
        options[body[place]] = body[offset : offset + size]
        place += 5
    version = options[_VERSION]
    if place >= len(body) or len(version) != 6 or not version[0]:
        return None
    number = f"{version[0]}.{version[1]}.{int.from_bytes(version[2:4], 'big')}"
    year = "2008 R2" if version[:2] == b"\x0a\x32" else "2008" if version[0] == 10 else _YEARS.get(version[0])
    encryption = _ENCRYPTIONS.get(options.get(_ENCRYPTION, b"\xff")[0]) if options.get(_ENCRYPTION) else None
    banner = f"SQL Server {year} ({number})" if year else number
    if encryption:
        banner += f", encryption {encryption}"
    return Finding("ms-sql-s", "Microsoft SQL Server", number, banner)


def converse(asked: Asked) -> Conversation:
    """Say PRELOGIN."""
    if asked.heard:
        return None
    server = Reader()
    if not (yield from server.more(_PRELOGIN)):
        return None
    head = yield from server.exactly(8)
    if head is None or head[0] != 4:
        return None
    rest = yield from server.exactly(max(0, min(int.from_bytes(head[2:4], "big"), 512) - 8))
    yield Say(farewell=True)
    return None if rest is None else recognise(head + rest)


def recognise_browser(data: bytes) -> Finding | None:
    """Return what the SQL Server Browser's list of instances tells of the first (MC-SQLR, section 2.2.5)."""
    told = _INSTANCES.match(data[:1024])
    if told is None:
        return None
    name, instance, version = (text(part) for part in told.groups())
    return Finding("ms-sql-m", "Microsoft SQL Server", version, f"{name}\\{instance} {version}", name or None)


def converse_browser(_: Asked) -> Conversation:
    """Ask for the instances."""
    answer = yield from datagram(b"\x03", lambda data: recognise_browser(data) is not None)
    return None if answer is None else recognise_browser(answer)


PROTOCOLS = (
    Protocol("ms-sql-s", (1433,), recognise=recognise, converse=converse),
    Protocol("ms-sql-m", (1434,), ("udp",), recognise=recognise_browser, converse=converse_browser),
)
