"""IKE: the first message of version 2 with a proposal that is too weak for everybody, so that no session begins.

The answer is a refusal (RFC 7296, section 2.21); where there is none, the same in version 1 (RFC 2408, RFC 2409).
"""

from __future__ import annotations

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, text

_HEAD, _ID = 28, 8
_SA, _KE, _NONCE, _V1_SA, _VENDORS = 33, 34, 40, 1, (13, 43)
_NOTIFIES = (11, 41)
_INIT, _MAIN, _INFORMATIONAL = 34, 2, 5
_NAT_PORT = 4500
_REFUSALS = {
    1: "INVALID-PAYLOAD-TYPE",
    5: "INVALID_MAJOR_VERSION",
    7: "INVALID_SYNTAX",
    14: "NO_PROPOSAL_CHOSEN",
    17: "INVALID_KE_PAYLOAD",
    24: "AUTHENTICATION_FAILED",
    16390: "COOKIE",
}
_MADE_BY = (
    (bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb"), "strongSwan"),
    (bytes.fromhex("1e2b516905991c7d7c96fcbfb587e461"), "Windows"),
    (bytes.fromhex("4f45"), "Libreswan"),
    (bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d3"), "FRITZ!Box"),
    (bytes.fromhex("f4ed19e0c114eb516faaac0ee37daf2807b4381f"), "Check Point"),
)
"""The first bytes of vendor ids that one maker alone sends."""


def _payload(following: int, content: bytes) -> bytes:
    return bytes((following, 0)) + (4 + len(content)).to_bytes(2, "big") + content


def _message(numbers: bytes, first: int, kind: tuple[int, int, int], body: bytes) -> bytes:
    """Return a message with its head; `kind` is version, exchange and flags (RFC 7296, section 3.1)."""
    size = (_HEAD + len(body)).to_bytes(4, "big")
    return numbers[:_ID] + bytes(_ID) + bytes((first, *kind)) + bytes(4) + size + body


def _second(numbers: bytes) -> bytes:
    """Return IKE_SA_INIT: DES, MD5, the group of 768 bits."""
    chosen = ((1, 2), (2, 1), (3, 1), (4, 1))
    transforms = b"".join(
        bytes((0 if number == len(chosen) else 3, 0, 0, 8, kind, 0, 0, which))
        for number, (kind, which) in enumerate(chosen, 1)
    )
    proposal = bytes((0, 0)) + (8 + len(transforms)).to_bytes(2, "big") + bytes((1, 1, 0, len(chosen))) + transforms
    exchanged = bytes((0, 1, 0, 0)) + numbers * 3
    body = _payload(_KE, proposal) + _payload(_NONCE, exchanged) + _payload(0, numbers)
    return _message(numbers, _SA, (0x20, _INIT, 0x08), body)


def _first(numbers: bytes) -> bytes:
    """Return main mode's first message: DES, MD5, the group of 768 bits, a shared secret, a minute."""
    attributes = bytes.fromhex("80010001 80020001 80030001 80040001 800b0001 800c003c")
    transform = bytes((0, 0)) + (8 + len(attributes)).to_bytes(2, "big") + bytes((1, 1, 0, 0)) + attributes
    proposal = bytes((0, 0)) + (8 + len(transform)).to_bytes(2, "big") + bytes((1, 1, 0, 1)) + transform
    return _message(numbers, _V1_SA, (0x10, _MAIN, 0), _payload(0, bytes((0, 0, 0, 1, 0, 0, 0, 1)) + proposal))


def _payloads(data: bytes) -> list[tuple[int, bytes]]:
    """Return the kinds and contents of the payloads, as far as they are whole."""
    found: list[tuple[int, bytes]] = []
    following, place = data[16], _HEAD
    while following and place + 4 <= len(data) and len(found) < 32:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if length < 4 or place + length > len(data):
            break
        found.append((following, data[place + 4 : place + length]))
        following, place = data[place], place + length
    return found


def _shown(data: bytes) -> Finding:
    major = data[17] >> 4
    banner, product, version = f"IKEv{major}", None, None
    for kind, content in _payloads(data):
        if kind in _NOTIFIES:
            # Version 1 has the domain of interpretation before it (RFC 2408, section 3.14).
            start = 6 if kind == _NOTIFIES[0] else 2
            refusal = int.from_bytes(content[start : start + 2], "big")
            banner += f", {_REFUSALS.get(refusal, f'notify {refusal}')}"
        elif kind in _VENDORS:
            made = next((name for mark, name in _MADE_BY if content.startswith(mark)), None)
            product = product or made
            if made == "Libreswan" and content.startswith(b"OE-Libreswan-"):
                version = text(content[13:45])
    return Finding("isakmp", product, version, banner[:200])


def recognise(data: bytes) -> Finding | None:
    """Return what a responder's message proves, behind the four zeros of port 4500 too (RFC 3948, section 2.2)."""
    if data[:4] == bytes(4):
        data = data[4:]
    if len(data) < _HEAD or int.from_bytes(data[24:28], "big") != len(data) or not any(data[:_ID]):
        return None
    if data[17] == 0x20:
        ours = data[18] == _INIT and data[19] & 0x28 == 0x20 and not any(data[20:24])
    else:
        ours = data[17] == 0x10 and data[18] in (_MAIN, _INFORMATIONAL) and not data[19] & 0xF8
    return _shown(data) if ours and _payloads(data) else None


def converse(asked: Asked) -> Conversation:
    """Propose what is refused, in version 2 and then in version 1."""
    before = bytes(4) if asked.port == _NAT_PORT else b""

    def fits(data: bytes) -> bool:
        behind = data[4:] if data[:4] == bytes(4) else data
        return behind[:_ID] == asked.numbers[:_ID] and behind != question and recognise(data) is not None

    for question in (_second(asked.numbers), _first(asked.numbers)):
        answer = yield from datagram(before + question, fits)
        if answer is not None:
            return recognise(answer)
    return None


PROTOCOL = Protocol("isakmp", (500, 4500), ("udp",), recognise=recognise, converse=converse)
