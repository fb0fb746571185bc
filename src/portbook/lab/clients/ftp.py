"""Clients of FTP servers (RFC 959), one of which has the server open the data connection."""

from __future__ import annotations

import socket

from portbook.lab.clients.dialogue import NotSpoken
from portbook.lab.ftp_files import LARGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.clients.dialogue import Dialogue

_SMALL_BUFFER = 4096


def ftp(dialogue: Dialogue) -> str | None:
    """Log in and ask for the folder. Returns the first line of the greeting, without ornaments."""
    code, lines = dialogue.coded(None)
    if code != b"220":
        raise NotSpoken("this is not FTP, or it serves nobody now")
    code, _ = dialogue.coded(b"USER anonymous")
    if code == b"331":
        code, _ = dialogue.coded(b"PASS portbook@")
    if code != b"230":
        raise NotSpoken("it lets nobody in")
    dialogue.reply(b"PWD", b"257")
    return lines[0].strip(" -")


def ftp_active(dialogue: Dialogue) -> str | None:
    """The same, and begin to fetch the large file in active mode: PORT, or EPRT over IPv6 (RFC 2428).

    The rest of the file is not read, so that the data connection, which is one of the others, stays open.
    """
    greeting = ftp(dialogue)
    control = dialogue.connection
    here = control.getsockname()[0]
    dialogue.reply(b"TYPE I", b"200")
    with socket.socket(control.family, socket.SOCK_STREAM) as waiting:
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        waiting.settimeout(control.gettimeout())
        waiting.bind((here, 0))
        waiting.listen(1)
        port = waiting.getsockname()[1]
        place = f"EPRT |2|{here}|{port}|"
        if control.family == socket.AF_INET:
            place = f"PORT {here.replace('.', ',')},{port >> 8},{port & 255}"
        dialogue.reply(place.encode(), b"200")
        dialogue.reply(b"RETR " + LARGE.encode(), b"1")
        data, sender = waiting.accept()
    dialogue.others.append(data)
    data.settimeout(control.gettimeout())
    if sender[0] != dialogue.server.ip or not data.recv(1):
        raise NotSpoken("no file comes by the data connection")
    return greeting
