"""A peer in place of a socket: what it answers is a function of what it was told."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from portbook.lab.clients.dialogue import Dialogue


@dataclass
class Peer:
    """It answers each message at once; a stream as it comes, datagrams one by one."""

    answer: Callable[[bytes], bytes]
    type: socket.SocketKind = socket.SOCK_DGRAM
    waiting: bytes = b""

    def sendall(self, data: bytes) -> None:
        self.waiting = self.answer(data)

    def recv(self, most: int) -> bytes:
        taken = most if self.type == socket.SOCK_STREAM else len(self.waiting)
        data, self.waiting = self.waiting[:taken], self.waiting[taken:]
        if not data and self.type == socket.SOCK_DGRAM:
            raise TimeoutError
        return data

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.1", 50000

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.2", 80

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0


def dialogue(answer: Callable[[bytes], bytes], kind: socket.SocketKind = socket.SOCK_DGRAM) -> Dialogue:
    """Return a conversation with a peer that answers so."""
    return Dialogue(cast("socket.socket", Peer(answer, kind)))
