"""A client of chat servers: IRC."""

from __future__ import annotations

import secrets

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

CHANNEL = b"#portbook"

_MYINFO, _END_OF_NAMES, _END_OF_MOTD, _NO_MOTD, _NICK_IN_USE = b"004", b"366", b"376", b"422", b"433"
_MOST_LINES = 1000


def irc(dialogue: Dialogue) -> str | None:
    """Register under a name of one's own and join a channel (RFC 2812, section 3). Returns the server's version."""
    dialogue.say(b"NICK %b\r\nUSER portbook 0 * :portbook lab\r\n" % _nick())
    version = None
    for _ in range(_MOST_LINES):
        line = dialogue.line()
        command, values = _message(line)
        if command == b"PING":
            dialogue.say(b"PONG :%b\r\n" % values[-1])
        elif command == _NICK_IN_USE:
            dialogue.say(b"NICK %b\r\n" % _nick())
        elif command == _MYINFO and len(values) > 2:
            version = values[2].decode("utf-8", "replace")
        elif command in (_END_OF_MOTD, _NO_MOTD):
            dialogue.say(b"JOIN %b\r\n" % CHANNEL)
        elif command == _END_OF_NAMES:
            return version
        elif command[:1] not in (b"0", b"2", b"3") and command not in (b"NOTICE", b"JOIN", b"MODE"):
            raise NotSpoken(f"not the reply that was expected: {line[:80]!r}")
    raise NotSpoken("the greeting has no end")


def _nick() -> bytes:
    """Return a name that nobody has, of the nine characters that every server allows (RFC 2812, section 1.2.1)."""
    return b"p" + secrets.token_hex(4).encode()


def _message(line: bytes) -> tuple[bytes, list[bytes]]:
    """Return the command and the values of a message (RFC 2812, section 2.3.1); a value is there always."""
    front, _, trailing = line.partition(b" :")
    words = front.split()
    if words and words[0].startswith(b":"):
        words = words[1:]
    return (words or [b""])[0], [*words[1:], trailing]
