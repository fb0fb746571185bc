"""MySQL and its relatives: the greeting that tells the version, the errors in its place, TLS where offered.

Both protocols of MySQL are here: the classic one, and the X Protocol, which says little before a log-in.
"""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_GREETING = re.compile(rb"(?s)(?P<length>.{3})\0[\x09\x0a](?P<version>[\x20-\x7e]{1,100})\0")
_ERROR = re.compile(rb"(?s)(?P<length>.{3})[\0-\x02]\xff(?P<code>..)(?:#[0-9A-Z]{5})?(?P<message>[\x20-\xff]{4,400})")
_CLIENT_SSL = 0x0800
_SSL_REQUEST = bytes.fromhex("20000001 00aa0800 00000001 2d") + bytes(23)
"""The capabilities PROTOCOL_41, SSL, SECURE_CONNECTION and PLUGIN_AUTH, packets of 16 MB, utf8mb4; no user name."""

_MAKES = (
    (re.compile(r"(?:5\.5\.5-)?\S+ (\d[\d.]*)-maxscale", re.I), "MariaDB MaxScale"),
    (re.compile(r"(?:5\.5\.5-)?(\d+(?:\.\d+)+)(?:-\d+)?-.*maria", re.I), "MariaDB"),
    (re.compile(r".*-TiDB-v?(\d[\w.]*)", re.I), "TiDB"),
    (re.compile(r".*-OceanBase[\w-]*?-v?(\d[\w.]*)", re.I), "OceanBase"),
    (re.compile(r".*mysql_aurora\.(\d[\d.]*)", re.I), "Amazon Aurora"),
    (re.compile(r"(\d[\w.]*).*ClickHouse", re.I), "ClickHouse"),
    (re.compile(r".*\(ProxySQL\)", re.I), "ProxySQL"),
    (re.compile(r".*SingleStore", re.I), "SingleStore"),
    (re.compile(r".*-Vitess", re.I), "Vitess"),
    (re.compile(r"(\d[\d.]*) [0-9a-f]{7,}@\d+"), "Manticore Search"),
    (re.compile(r"(\d[\d.]*)(?:-id64)?-(?:release|beta|alpha) \("), "Sphinx"),
    # Percona's own revisions have two digits; one digit is a distribution's revision of MySQL.
    (re.compile(r"(\d+\.\d+\.\d+-(?:rel)?\d\d(?:\.\d+)?)(?:-|$)"), "Percona Server"),
    (re.compile(r"([3-9]\.\d+\.\d+[a-z]?)(?:[ -].*)?$"), "MySQL"),
)
_NOTES = {
    1040: N_("it has too many connections now"),
    1129: N_("this host is blocked there after too many broken connections"),
    1130: N_("this host is not allowed to connect there"),
    1203: N_("it has too many connections now"),
}
_WORDS = re.compile(r"(?s)Host .{1,255} is |Too many connections|Got packets out of order")
_MARIADB = re.compile(r"this MariaDB server|mariadb-admin")


def recognise(data: bytes) -> Finding | None:
    """Return what a greeting, or the error in its place, proves (the protocol's documentation, Connection Phase)."""
    greeting = _GREETING.match(data[:256])
    if greeting is not None:
        length = int.from_bytes(greeting["length"], "little")
        # The thread, the first part of the salt, its end and the capabilities follow at least.
        if not len(greeting[0]) + 10 <= length < 400:
            return None
        version = text(greeting["version"])
        for pattern, product in _MAKES:
            made = pattern.match(version)
            if made is not None:
                return Finding("mysql", product, made[1] if pattern.groups else None, version)
        return Finding("mysql", banner=version) if version[0].isdigit() else None
    error = _ERROR.match(data[:512])
    if error is None:
        return None
    code, length = int.from_bytes(error["code"], "little"), int.from_bytes(error["length"], "little")
    if not (1000 <= code < 5000 or 9000 <= code < 10000) or length > 520:
        return None
    message = text(error["message"][: length + 4 - error.start("message")])
    if len(data) < length + 4 and not _WORDS.search(message):
        return None
    maker = "MariaDB" if _MARIADB.search(message) else "MySQL" if "this MySQL server" in message else None
    return Finding("mysql", maker, banner=f"{code} {message}", note=_NOTES.get(code))


def _offers_tls(greeting: bytes) -> bool:
    """Return whether a greeting has the capability CLIENT_SSL."""
    place = greeting.find(b"\0", 5) + 14
    return bool(int.from_bytes(greeting[place : place + 2], "little") & _CLIENT_SSL)


def converse(asked: Asked) -> Conversation:
    """Read the greeting, and where it offers TLS begin it, to see the certificate. Nobody logs in.

    The server counts this host's broken connections, and this is one of them whatever it does: more than one would be
    unkind.
    """
    server = Reader(asked.heard)
    head = yield from server.exactly(4)
    if head is None or int.from_bytes(head[:3], "little") > 1024:
        return None
    packet = yield from server.exactly(int.from_bytes(head[:3], "little"))
    if packet is None:
        return recognise(head + bytes(server.data))
    found = recognise(head + packet)
    if found is None or packet[0] != 10 or asked.tls or not _offers_tls(head + packet):
        return found
    yield Say(_SSL_REQUEST, farewell=True)
    tls = yield from server.start_tls()
    yield Say(farewell=True)
    return found._replace(tls=tls)


_X_NOTICE = bytes.fromhex("05 00 00 00 0b 08 05 1a 00")
_X_INVALID = re.compile(rb"(?s).\0\0\0\x01\x08\0\x10[\x80-\xff].\x1a.[\x20-\x7e]+\x22\x05[0-9A-Z]{5}")


def recognise_x(data: bytes) -> Finding | None:
    """Return what the X Protocol's first notice, or its error about a message it cannot read, proves."""
    told = data
    while told.startswith(_X_NOTICE):
        told = told[len(_X_NOTICE) :]
    if len(told) < len(data) or _X_INVALID.match(data[:256]):
        return Finding("mysqlx", "MySQL", banner="X Protocol")
    return None


PROTOCOLS = (
    Protocol("mysql", (3306, 3307), greets=True, recognise=recognise, converse=converse),
    Protocol("mysqlx", (33060,), greets=True, recognise=recognise_x),
)
