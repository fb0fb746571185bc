"""Clients of time servers: NTP version 4 (RFC 5905)."""

from __future__ import annotations

import os

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_LENGTH = 48
_VERSION, _CLIENT, _SERVER, _MODES = 4, 3, 4, 0x07
_UNSYNCHRONISED = 16


def ntp(dialogue: Dialogue) -> None:
    """Ask for the time; the answer must be a server's to this question, and have a time.

    The question's own time of transmission is a random number, which the answer repeats as its origin.
    """
    sent = os.urandom(8)
    dialogue.say(bytes((_VERSION << 3 | _CLIENT,)) + bytes(_LENGTH - 9) + sent)
    answer = dialogue.hear()
    if len(answer) < _LENGTH or answer[0] & _MODES != _SERVER or answer[24:32] != sent:
        raise NotSpoken("this is no answer of NTP")
    if not 0 < answer[1] < _UNSYNCHRONISED or not any(answer[40:48]):
        raise NotSpoken("the server does not know the time")
