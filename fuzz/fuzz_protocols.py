"""Fuzz the recognisers and the conversations of all protocols: whatever a server says, all end, and none raises.

    python fuzz/fuzz_protocols.py [RUNS]

It is driven by atheris where that is installed, else by RUNS mutations of what servers say.
"""

from __future__ import annotations

import random

from harness import mutated, run

from portbook.porttest import Finding, Tls
from portbook.protocols.catalogue import protocols
from portbook.protocols.conversation import MOST, Asked, Heard, StartTls
from portbook.protocols.order import recognised

GREETINGS = (
    b"SSH-2.0-OpenSSH_9.2p1\r\n", b"220 server ESMTP Postfix\r\n", b"220 (vsFTPd 3.0.3)\r\n", b"+OK Dovecot \r\n",
    b"* OK [CAPABILITY IMAP4rev1] ready\r\n", b"RFB 003.008\n", b"HTTP/1.1 200 OK\r\nServer: a/1\r\n\r\n",
    b"201 server InterNetNews NNRP server INN 2.7.1 ready\r\n", b"\xff\xfb%\xff\xfd\x18", b"-ERR unknown command\r\n",
    b"I\0\0\0\x0a5.5.5-10.11.19-MariaDB\0" + bytes(60), b"\x03\0\0\x13\x0e\xd0\0\0\x124\0\x02\x01\x08\0\x01\0\0\0",
    b":server CAP * LS :multi-prefix\r\n", b"SIP/2.0 200 OK\r\nServer: kamailio (5.6.3)\r\n\r\n", b"@RSYNCD: 31.0\n",
    b"AMQP\0\0\x09\x01", b"E\0\0\0\x20SFATAL\0C0A000\0Munsupported\0\0",
    b"0\x0c\x02\x01\x01a\x07\x0a\x01\0\x04\0\x04\0",
    b"\0\0\0\x24\xffSMBr" + bytes(30), b"\0\x11\x12\x34\x81\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01",
    b"\x15\x03\x01\0\x02\x02\x0a",
)  # fmt: skip
PARTS = (*GREETINGS, b"\0", b"\xff" * 4, b"\r\n", b"\x1b[2J", b"0" * 40, b"\0\0\0\x08")
CONVERSING = [(one, transport) for one in protocols() if one.converse is not None for transport in one.transports]
MOST_STEPS = 100_000
ENDS = ("silence", "end", "reset")


def test_one(data: bytes) -> None:
    """Show the bytes to every recogniser, and say them in pieces in one conversation; the first two say in which."""
    for transport in ("tcp", "udp"):
        fits = recognised(data, transport=transport)
        assert fits is None or fits[1].service
    if len(data) < 3:
        return
    protocol, transport = CONVERSING[int.from_bytes(data[:2], "big") % len(CONVERSING)]
    size = (1, 7, 300, 65536)[data[2] % 4]
    pieces = [data[place : place + size] for place in range(3, len(data), size)]
    assert protocol.converse is not None
    heard = pieces.pop(0) if pieces and data[2] & 4 else b""
    port = protocol.ports[0] if data[2] & 0x80 else 1234
    asked = Asked("server.example", "192.0.2.1", port, transport, bytes(range(32)), heard, own_ip="192.0.2.9")
    conversation = protocol.converse(asked)
    said: Heard | None = None
    taken = 0
    for _ in range(MOST_STEPS):
        try:
            step = next(conversation) if said is None else conversation.send(said)
        except StopIteration as stop:
            found = stop.value
            assert found is None or (isinstance(found, Finding) and found.service)
            return
        if isinstance(step, StartTls):
            said = Heard(tls=Tls("TLSv1.3"))
            continue
        piece = pieces.pop(0) if pieces else b""
        taken += len(piece)
        said = Heard(piece, None if piece else ENDS[(data[2] >> 3) % len(ENDS)])  # type: ignore[arg-type]
    raise AssertionError(f"{protocol.name} does not end, {taken} of {MOST} bytes taken")


def made(chance: random.Random) -> bytes:
    """Return what says which conversation, and a greeting or two that are damaged."""
    said = b"".join(chance.choices(GREETINGS, k=chance.randrange(1, 4)))
    return chance.randbytes(3) + mutated(said, chance, PARTS)


if __name__ == "__main__":
    run(test_one, made)
