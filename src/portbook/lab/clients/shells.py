"""Clients of remote shells: SSH until keys would be exchanged, telnet until somebody would log in."""

from __future__ import annotations

from portbook.lab.clients.dialogue import MOST, NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_SE, _SB, _WILL, _WONT, _DO, _DONT, _IAC = 240, 250, 251, 252, 253, 254, 255


def ssh(dialogue: Dialogue) -> str | None:
    """Exchange the identification strings (RFC 4253, section 4.2). Returns the server's."""
    dialogue.say(b"SSH-2.0-portbook_lab\r\n")
    name = dialogue.line()
    if not name.startswith(b"SSH-2.0-"):
        raise NotSpoken("this is not SSH")
    return name.removeprefix(b"SSH-2.0-").decode("ascii", "replace")


def telnet(dialogue: Dialogue) -> None:
    """Refuse every option (RFC 854, RFC 1143) until the server asks who logs in; it does not name itself."""
    text = bytearray()
    asked = 0
    while not (asked and text.lower().rstrip().endswith((b"login:", b"username:"))):
        byte = dialogue.exactly(1)
        if byte[0] == _IAC:
            text += _command(dialogue)
            asked += 1
        else:
            text += byte
        if len(text) + asked > MOST:
            raise NotSpoken("this telnet server talks without end")


def _command(dialogue: Dialogue) -> bytes:
    """Answer what stands behind an IAC; returns the data that it stands for."""
    [code] = dialogue.exactly(1)
    if code == _IAC:
        return bytes((_IAC,))
    if code == _SB:
        # What was not agreed on is not understood either.
        dialogue.until(bytes((_IAC, _SE)))
    elif code in (_WILL, _DO):
        # Every option is off, and stays so; that one is off already needs no answer.
        refusal = _DONT if code == _WILL else _WONT
        dialogue.say(bytes((_IAC, refusal)) + dialogue.exactly(1))
    elif code in (_WONT, _DONT):
        dialogue.exactly(1)
    return b""
