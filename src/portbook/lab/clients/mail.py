"""Clients of mail servers: SMTP, POP3 and IMAP, over TLS too."""

from __future__ import annotations

import time

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_MESSAGE = """\
Date: {date}
From: <portbook@{at}>
To: <postmaster@{at}>
Subject: From one host to another

It arrived.
."""
_LINES = 10_000
"""How many lines of one answer are read at most."""


def smtp(dialogue: Dialogue) -> str | None:
    """Send a message to the postmaster, whom every server has (RFC 5321, section 4.5.1). Returns the greeting."""
    greeting = dialogue.reply(None, b"220")
    # It begins with the server's own domain (section 4.2), which mail for its users has behind the at sign.
    at = (greeting.split() or ["localhost"])[0]
    dialogue.reply(b"EHLO client.lab.test", b"250")
    dialogue.reply(f"MAIL FROM:<portbook@{at}>".encode(), b"250")
    dialogue.reply(f"RCPT TO:<postmaster@{at}>".encode(), b"25")
    dialogue.reply(b"DATA", b"354")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    dialogue.reply(_MESSAGE.format(at=at, date=date).replace("\n", "\r\n").encode(), b"250")
    return greeting


def smtps(dialogue: Dialogue) -> str | None:
    """The same inside TLS (RFC 8314, section 3.3)."""
    dialogue.start_tls()
    return smtp(dialogue)


def pop3(dialogue: Dialogue) -> str | None:
    """Log in, and ask how much mail there is (RFC 1939). Returns the greeting."""
    greeting = _status(dialogue)
    for command in ("USER portbook", "PASS portbook"):
        dialogue.say(f"{command}\r\n".encode())
        _status(dialogue)
    dialogue.say(b"STAT\r\n")
    count = _status(dialogue).partition(" ")[0]
    dialogue.say(b"LIST\r\n")
    _status(dialogue)
    listed = len(dialogue.block())
    if str(listed) != count:
        raise NotSpoken(f"{listed} messages are listed, not {count[:20]}")
    return greeting


def pop3s(dialogue: Dialogue) -> str | None:
    """The same inside TLS (RFC 8314, section 3.3)."""
    dialogue.start_tls()
    return pop3(dialogue)


def imap(dialogue: Dialogue) -> str | None:
    """Log in and open the inbox (RFC 9051, whose commands here are those of RFC 3501). Returns the greeting."""
    greeting = dialogue.line()
    if not greeting.startswith(b"* OK"):
        raise NotSpoken("this is not IMAP")
    for number, command in enumerate(("CAPABILITY", "LOGIN portbook portbook", "SELECT INBOX"), 1):
        dialogue.say(f"a{number} {command}\r\n".encode())
        _completed(dialogue, f"a{number}".encode())
    return _text(greeting.removeprefix(b"* OK"))


def imaps(dialogue: Dialogue) -> str | None:
    """The same inside TLS (RFC 8314, section 3.2)."""
    dialogue.start_tls()
    return imap(dialogue)


def _status(dialogue: Dialogue) -> str:
    """Return the text of a status indicator of POP3 (RFC 1939, section 3). Raises NotSpoken for what is not +OK."""
    line = dialogue.line()
    if not line.startswith(b"+OK"):
        raise NotSpoken("not the +OK that was expected")
    return line.removeprefix(b"+OK").strip().decode("utf-8", "replace")


def _completed(dialogue: Dialogue, tag: bytes) -> None:
    """Hear what comes up to the tagged OK (RFC 9051, section 2.2.2). Raises NotSpoken where it is NO or BAD."""
    for _ in range(_LINES):
        line = dialogue.line()
        if line.startswith(tag + b" "):
            if line.split(b" ", 2)[1] != b"OK":
                break
            return
    raise NotSpoken(f"not the OK that was expected for {tag.decode()}")


def _text(greeting: bytes) -> str:
    """Return the text of a response without the code in brackets before it (RFC 9051, section 7.1)."""
    told = greeting.strip()
    if told.startswith(b"["):
        told = told.partition(b"]")[2].strip()
    return told.decode("utf-8", "replace")
