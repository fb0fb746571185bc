"""Clients of mail servers: SMTP, POP3 and IMAP."""

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


def pop3(dialogue: Dialogue) -> str | None:
    """Log in, and ask how much mail there is (RFC 1939). Returns the greeting."""
    greeting = _status(dialogue, None)
    _status(dialogue, b"USER portbook")
    _status(dialogue, b"PASS portbook")
    count = _status(dialogue, b"STAT").partition(" ")[0]
    _status(dialogue, b"LIST")
    listed = len(dialogue.block())
    if str(listed) != count:
        raise NotSpoken(f"{listed} messages are listed, not {count[:20]}")
    return greeting


def imap(dialogue: Dialogue) -> str | None:
    """Log in and open the inbox (RFC 9051, whose commands here are those of RFC 3501). Returns the greeting."""
    greeting = dialogue.line()
    if not greeting.startswith(b"* OK"):
        raise NotSpoken("this is not IMAP")
    _complete(dialogue, b"a1", b"CAPABILITY")
    _complete(dialogue, b"a2", b"LOGIN portbook portbook")
    _complete(dialogue, b"a3", b"SELECT INBOX")
    return _text(greeting.removeprefix(b"* OK"))


def _status(dialogue: Dialogue, command: bytes | None) -> str:
    """Send a command of POP3 where there is one, and return the text of the status (RFC 1939, section 3).

    Raises NotSpoken where that is not +OK.
    """
    if command is not None:
        dialogue.say(command + b"\r\n")
    line = dialogue.line()
    if not line.startswith(b"+OK"):
        raise NotSpoken("not the +OK that was expected")
    return line.removeprefix(b"+OK").strip().decode("utf-8", "replace")


def _complete(dialogue: Dialogue, tag: bytes, command: bytes) -> None:
    """Send a command of IMAP, and hear what comes up to its tag (RFC 9051, section 2.2.2).

    Raises NotSpoken where it is NO or BAD.
    """
    dialogue.say(tag + b" " + command + b"\r\n")
    *_, last = dialogue.lines_until(lambda line: line.startswith(tag + b" "))
    if last.split(b" ", 2)[1] != b"OK":
        raise NotSpoken(f"not the OK that was expected for {tag.decode()}")


def _text(greeting: bytes) -> str:
    """Return the text of a response without the code in brackets before it (RFC 9051, section 7.1)."""
    told = greeting.strip()
    if told.startswith(b"["):
        told = told.partition(b"]")[2].strip()
    return told.decode("utf-8", "replace")
