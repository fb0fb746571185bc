"""XMPP: a stream header, the features that a server offers, and STARTTLS, for clients and servers (RFC 6120)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text

_STREAM = re.compile(rb"<stream:stream\s([^<>]{1,2000})>")
_ATTRIBUTE = re.compile(r"""([\w:]+)\s*=\s*(?:'([^'<]*)'|"([^"<]*)")""")
_NODES = (
    (b"process-one.net/en/ejabberd", "ejabberd"),
    (b"mongooseim", "MongooseIM"),
    (b"prosody.im", "Prosody"),
    (b"igniterealtime.org/projects/openfire", "Openfire"),
    (b"tigase", "Tigase"),
    (b"metronome.im", "Metronome"),
    (b"isode.com", "M-Link"),
)
"""Whose entity capabilities (XEP-0115) name which node."""

_CAPS = re.compile(rb"<c\s[^<>]{0,1000}\bnode\s*=\s*['\"]([^'\"<>]{1,300})['\"]")
_VERSION = re.compile(r"[#/ ](\d+(?:\.\w+)+)$")
_TLS = b"urn:ietf:params:xml:ns:xmpp-tls"
_DONE = re.compile(rb"</stream:features\s*>|<stream:features\s*/>|</stream:(?:error|stream)\s*>")


def recognise(data: bytes) -> Finding | None:
    """Return what a stream header with an ID proves, or a header with an error behind it.

    A header without either is what a client sends, or an echo of it.
    """
    head = data[:16384]
    stream = _STREAM.search(head[:4096])
    if stream is None or not re.match(rb"\s*(?:<\?xml[^<>]{0,100}\?>\s*)?<stream:stream\s", head):
        return None
    told = {name: value or other for name, value, other in _ATTRIBUTE.findall(text(stream[1]))}
    if told.get("xmlns:stream") != "http://etherx.jabber.org/streams":
        return None
    if not told.get("id") and b"<stream:error" not in head:
        return None
    service = "xmpp-server" if told.get("xmlns") == "jabber:server" else "xmpp-client"
    node = _CAPS.search(head, stream.end())
    name = version = None
    if node is not None:
        name = next((name for mark, name in _NODES if mark in node[1].lower()), None)
        found = _VERSION.search(text(node[1]))
        version = found[1] if found is not None else None
    error = re.search(rb"<stream:error\s*>\s*<([\w-]{1,60})", head)
    banner = f"stream error: {text(error[1])}" if error is not None else None
    return Finding(service, name, version, banner, told.get("from") or None)


def _header(host: str, namespace: str) -> bytes:
    to = re.sub(r"[^\w.:-]", "", host)
    return (
        f"<?xml version='1.0'?><stream:stream to='{to}' version='1.0' xmlns='jabber:{namespace}' "
        "xmlns:stream='http://etherx.jabber.org/streams'>"
    ).encode()


def _converse(asked: Asked, namespace: str) -> Conversation:
    server = Reader(asked.heard)
    if server.data:
        return recognise(bytes(server.data))
    header = _header(asked.host, namespace)
    yield from server.more(header)
    while not _DONE.search(server.data) and (yield from server.more()):
        pass
    said = bytes(server.data)
    found = recognise(said)
    if found is None:
        return None
    if not asked.tls and _TLS in said and b"<starttls" in said:
        server.take(len(server.data))
        yield from server.until(b">", b"<starttls xmlns='" + _TLS + b"'/>")
        if server.ended is None:
            found = found._replace(tls=(yield from server.start_tls()))
        if found.tls is not None:
            yield from server.more(header)
            while not _DONE.search(server.data) and (yield from server.more()):
                pass
            inside = recognise(bytes(server.data))
            if inside is not None and found.product is None:
                found = inside._replace(tls=found.tls, server_name=inside.server_name or found.server_name)
    yield Say(b"</stream:stream>", farewell=True)
    return found


def converse(asked: Asked) -> Conversation:
    """Open a stream as a client, and go over to TLS where it is offered."""
    return _converse(asked, "client")


def converse_as_server(asked: Asked) -> Conversation:
    """Open a stream as a server that names itself nowhere, and go over to TLS where it is offered."""
    return _converse(asked, "server")


PROTOCOLS = (
    Protocol("xmpp-client", (5222, 5223), recognise=recognise, converse=converse),
    Protocol("xmpp-server", (5269, 5270), recognise=recognise, converse=converse_as_server),
)
