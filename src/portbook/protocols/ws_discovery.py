"""WS-Discovery: a probe that is sent to the host itself (Web Services Dynamic Discovery 1.0 and 1.1)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, datagram, text

_ACTION = re.compile(rb"/discovery/ProbeMatches<")
_RELATES = re.compile(rb":?RelatesTo[^<>]{0,200}>\s{0,20}(urn:uuid:[0-9a-f-]{36})\s{0,20}<")
_TYPES = re.compile(rb":?Types[^<>]{0,500}>([^<>]{1,200})<")
_PROBE = """\
<?xml version="1.0" encoding="utf-8"?>\
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"\
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"\
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>\
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
<a:MessageID>{number}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
<s:Body><d:Probe/></s:Body></s:Envelope>"""


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to a probe proves."""
    if _ACTION.search(data) is None or _RELATES.search(data) is None:
        return None
    types = _TYPES.search(data)
    return Finding("ws-discovery", banner=None if types is None else text(types[1].strip()))


def converse(asked: Asked) -> Conversation:
    """Ask which devices it is."""
    made = asked.numbers[:16].hex()
    number = f"urn:uuid:{made[:8]}-{made[8:12]}-4{made[13:16]}-8{made[17:20]}-{made[20:]}"

    def fits(data: bytes) -> bool:
        related = _RELATES.search(data)
        return related is not None and text(related[1]) == number and recognise(data) is not None

    answer = yield from datagram(_PROBE.format(number=number).encode(), fits)
    return None if answer is None else recognise(answer)


PROTOCOL = Protocol("ws-discovery", (3702,), ("udp",), recognise=recognise, converse=converse)
