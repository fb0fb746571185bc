"""Clients of databases: MySQL, PostgreSQL, Redis and memcached; each asks the server for its version."""

from __future__ import annotations

from portbook.lab.clients.dialogue import MOST, NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

USER = b"portbook"
"""Whom the lab's servers let in without a password."""

_PROTOCOL_41, _SECURE_CONNECTION, _PLUGIN_AUTH = 0x0200, 0x8000, 0x80000
_UTF8MB4 = 45
_COM_QUERY = b"\x03"
_REPLICATION_PREFIX = b"5.5.5-"

_PROTOCOL_3_0 = 0x00030000


def mysql(dialogue: Dialogue) -> str | None:
    """Log in and ask SELECT VERSION() (the MySQL client/server protocol, version 10). Returns the version."""
    number, greeting = _mysql_packet(dialogue)
    if greeting[:1] != b"\x0a" or b"\0" not in greeting:
        raise NotSpoken(f"no handshake of MySQL: {greeting[:80]!r}")
    greeted, _, _ = greeting[1:].partition(b"\0")
    capabilities = _PROTOCOL_41 | _SECURE_CONNECTION | _PLUGIN_AUTH
    head = capabilities.to_bytes(4, "little") + MOST.to_bytes(4, "little") + bytes((_UTF8MB4,)) + bytes(23)
    # Where there is no password, its scramble is empty.
    dialogue.say(_mysql_framed(number + 1, head + USER + b"\0" + b"\0" + b"mysql_native_password\0"))
    number, result = _mysql_packet(dialogue)
    if result[:1] == b"\xfe":
        dialogue.say(_mysql_framed(number + 1, b""))
        number, result = _mysql_packet(dialogue)
    if result[:1] != b"\x00":
        raise NotSpoken(f"not logged in: {result[:80]!r}")
    dialogue.say(_mysql_framed(0, _COM_QUERY + b"SELECT VERSION()"))
    answer = [_mysql_packet(dialogue)[1]]
    # One column, its definition, a mark, one row, a mark.
    while answer[0] == b"\x01" and len(answer) < 5:
        answer.append(_mysql_packet(dialogue)[1])
    row = answer[3] if len(answer) == 5 else b""
    told = row[1 : 1 + row[0]] if row else b""
    # MariaDB up to 10 greets with a version before its own, for replicas that are older than it.
    if not told or told != greeted.removeprefix(_REPLICATION_PREFIX):
        raise NotSpoken(f"another version than in the handshake: {told[:80]!r}")
    return told.decode("utf-8", "replace")


def postgresql(dialogue: Dialogue) -> str | None:
    """Log in to the database postgres and ask SHOW server_version (PostgreSQL, protocol 3.0). Returns the version."""
    names = b"user\0" + USER + b"\0database\0postgres\0application_name\0portbook-lab\0\0"
    dialogue.say((len(names) + 8).to_bytes(4, "big") + _PROTOCOL_3_0.to_bytes(4, "big") + names)
    began = _postgresql_messages(dialogue)
    if (b"R", bytes(4)) not in began:
        raise NotSpoken("not logged in")
    reported = dict(body.split(b"\0")[:2] for kind, body in began if kind == b"S" and body.count(b"\0") == 2)
    query = b"SHOW server_version\0"
    dialogue.say(b"Q" + (len(query) + 4).to_bytes(4, "big") + query)
    # A row: how many columns, and the length and the text of each.
    rows = [body[6:] for kind, body in _postgresql_messages(dialogue) if kind == b"D"]
    if rows != [reported.get(b"server_version")]:
        raise NotSpoken("another version than was reported at the login")
    return rows[0].decode("utf-8", "replace")


def redis(dialogue: Dialogue) -> str | None:
    """PING, and ask INFO server (RESP, version 2). Returns the server's version."""
    dialogue.say(b"*1\r\n$4\r\nPING\r\n")
    if dialogue.line() != b"+PONG":
        raise NotSpoken("this is no Redis")
    dialogue.say(b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n")
    head = dialogue.line()
    if not head.startswith(b"$") or not head[1:].isdigit() or len(head) > 1 + len(str(MOST)):
        raise NotSpoken(f"no text: {head[:80]!r}")
    lines = dialogue.exactly(int(head[1:]) + 2).splitlines()
    told = dict(line.split(b":", 1) for line in lines if b":" in line)
    return told.get(b"redis_version", b"").decode("utf-8", "replace") or None


def memcached(dialogue: Dialogue) -> str | None:
    """Store a word for a minute, get it back, and ask for the version (memcached's text protocol). Returns it."""
    dialogue.say(b"set portbook 0 60 4\r\nword\r\n")
    if dialogue.line() != b"STORED":
        raise NotSpoken("this is no memcached")
    dialogue.say(b"get portbook\r\n")
    if dialogue.until(b"END\r\n") != b"VALUE portbook 0 4\r\nword\r\nEND\r\n":
        raise NotSpoken("another word than was stored")
    dialogue.say(b"version\r\n")
    word, _, version = dialogue.line().partition(b" ")
    if word != b"VERSION":
        raise NotSpoken("it has no version")
    return version.decode("utf-8", "replace")


def _mysql_framed(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((number % 256,)) + payload


def _mysql_packet(dialogue: Dialogue) -> tuple[int, bytes]:
    """Return the number and the payload of the next packet."""
    head = dialogue.exactly(4)
    return head[3], dialogue.exactly(int.from_bytes(head[:3], "little"))


def _postgresql_messages(dialogue: Dialogue) -> list[tuple[bytes, bytes]]:
    """Return the kinds and the bodies of the messages until the server is ready for a query."""
    messages: list[tuple[bytes, bytes]] = []
    while not messages or messages[-1][0] != b"Z":
        head = dialogue.exactly(5)
        length = int.from_bytes(head[1:], "big")
        if length < 4 or len(messages) > 200:
            raise NotSpoken("this is no PostgreSQL")
        messages.append((head[:1], dialogue.exactly(length - 4)))
        if head[:1] == b"E":
            raise NotSpoken(f"an error: {messages[-1][1][:200]!r}")
    return messages
