"""Clients of name servers: DNS by datagrams and by a stream (RFC 1035)."""

from __future__ import annotations

import os
import socket
import struct
from struct import pack, unpack_from

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_A, _TXT = 1, 16
_IN, _CH = 1, 3
_RESPONSE, _CODE = 0x8000, 0x000F
_POINTER = 0xC0

# OPT with the option edns-tcp-keepalive (RFC 6891, section 6.1.2; RFC 7828): servers end idle connections else.
_KEEP_ALIVE = b"\0" + pack("!HHIHHH", 41, 4096, 0, 4, 11, 0)


def dns(dialogue: Dialogue) -> str | None:
    """Ask for the address of the lab's zone, which must be known, and for the server's name and version.

    The latter is `version.bind` (RFC 4892, section 2.1), as servers tell it by custom; None where this one does not.
    """
    code, _ = _ask(dialogue, b"\3lab\0", _A, _IN)
    if code:
        raise NotSpoken(f"the server does not know the zone lab: its code is {code}")
    code, text = _ask(dialogue, b"\7version\4bind\0", _TXT, _CH)
    return text if not code else None


def _ask(dialogue: Dialogue, name: bytes, kind: int, space: int) -> tuple[int, str | None]:
    """Ask one question; return the code of the answer and the first text in it."""
    question = name + pack("!HH", kind, space)
    stream = dialogue.connection.type == socket.SOCK_STREAM
    number = os.urandom(2)
    message = number + pack("!5H", 0, 1, 0, 0, int(stream)) + question + (_KEEP_ALIVE if stream else b"")
    if stream:
        dialogue.say(pack("!H", len(message)) + message)
        answer = dialogue.exactly(int.from_bytes(dialogue.exactly(2), "big"))
    else:
        dialogue.say(message)
        answer = dialogue.hear()
    if len(answer) < 12 or answer[:2] != number:
        raise NotSpoken("this is no answer of DNS")
    flags, questions, answers = unpack_from("!3H", answer, 2)
    if not flags & _RESPONSE:
        raise NotSpoken("this is a question of DNS, and no answer")
    code = flags & _CODE
    if questions == 1 and answer[12:][: len(question)].lower() != question:
        raise NotSpoken("this answers another question")
    return code, _first_text(answer, 12 + len(question)) if answers and kind == _TXT else None


def _first_text(answer: bytes, place: int) -> str:
    """Return the first string of the first record, which must be TXT (RFC 1035, sections 3.2.1 and 3.3.14)."""
    try:
        while 0 < answer[place] < _POINTER:
            place += 1 + answer[place]
        place += 2 if answer[place] else 1
        kind, length = unpack_from("!H6xH", answer, place)
        text = answer[place + 10 :][:length]
        if kind != _TXT:
            raise NotSpoken("the server tells its version, but not as a text")
        return text[1 : 1 + text[0]].decode("utf-8", "replace")
    except (IndexError, struct.error) as error:
        raise NotSpoken("the answer is damaged") from error
