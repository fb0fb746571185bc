"""Clients of remote shells: SSH until keys would be exchanged."""

from __future__ import annotations

from portbook.lab.clients.dialogue import NotSpoken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue


def ssh(dialogue: Dialogue) -> str | None:
    """Exchange the identification strings (RFC 4253, section 4.2). Returns the server's."""
    dialogue.say(b"SSH-2.0-portbook_lab\r\n")
    name = dialogue.line()
    if not name.startswith(b"SSH-2.0-"):
        raise NotSpoken("this is not SSH")
    return name.removeprefix(b"SSH-2.0-").decode("ascii", "replace")
