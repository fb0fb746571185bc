"""HTTP/1: a request for /, and what the answer tells of the server (RFC 9110, RFC 9112); ICY, which Shoutcast speaks.

The makes that name themselves elsewhere than in the field Server, and where they are asked for that, are
http_apis.py's; those questions go over the same connection, or are not put.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say, text
from portbook.protocols.http_apis import FIRST, further, naming
from portbook.protocols.software import software

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from portbook.protocols.conversation import Heard, StartTls

_STATUS = re.compile(rb"(HTTP/\d(?:\.\d)?|ICY) (\d{3})(?: ([^\r\n]{0,200}))?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")
_SHOUTCAST = re.compile(rb"SHOUTcast[^\r\n]{0,80}?v(\d[\w.]*)")
_SETTINGS = 4
_TO_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS port|speaking plain HTTP to an SSL-enabled|an HTTP request to an HTTPS "
    rb"|combination of host and port requires TLS|server is running in SSL mode|requires? (?:an )?HTTPS connection"
)
"""What servers answer to plain HTTP on a port of TLS: nginx, Apache, Go, Tomcat, Webmin."""
_NOT_HTTP = re.compile(rb"MongoDB over HTTP on the native driver port")
"""What servers of another protocol answer in HTTP's words."""
_TO_CLICKHOUSE = re.compile(rb"Port \d+ is for clickhouse-client")
_PROXIES = frozenset({"Squid", "tinyproxy", "Privoxy", "3proxy", "Mikrotik HttpProxy", "CCProxy", "goproxy"})
_STREAMS = ("audio/", "video/", "multipart/", "text/event-stream", "application/ogg")
_MOST_BODY = 32768


class Answer(NamedTuple):
    """An answer: its head, what came of its body, and whether the next one may follow on the same connection."""

    head: bytes
    body: bytes
    lasting: bool


def fields(head: bytes) -> dict[str, str]:
    """Return the fields of a head by their names in lower case; of one that comes twice the first."""
    found: dict[str, str] = {}
    for line in head.split(b"\n")[1:200]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(text(name).strip().lower(), text(value).strip())
    return found


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of an answer that may be cut short anywhere."""
    end = _END.search(data)
    return (data, b"") if end is None else (data[: end.start()] + b"\r\n", data[end.end() :])


def _named(head: bytes, body: bytes, path: str) -> tuple[str | None, str | None]:
    """Return the product and the version that an answer tells, the more telling place first."""
    if (made := naming(head, body, path)) is not None:
        return made
    told = fields(head)
    if told.get("server"):
        return software(told["server"])
    if "x-varnish" in told:
        return "Varnish", None
    return software(told["x-powered-by"]) if told.get("x-powered-by") else (None, None)


def _banner(head: bytes, told: dict[str, str]) -> str:
    banner = text(head.partition(b"\n")[0].strip())[:120]
    for name in ("Server", "X-Powered-By"):
        if told.get(name.lower()):
            return f"{banner}; {name}: {told[name.lower()][:200]}"
    return f"{banner}; Location: {told['location'][:120]}" if told.get("location") else banner


def _note(status: bytes, told: dict[str, str], product: str | None) -> str | None:
    if status == b"407" or "proxy-authenticate" in told:
        return N_("an HTTP proxy that asks for a log-in")
    if product in _PROXIES or "x-squid-error" in told:
        return N_("an HTTP proxy")
    return None


def recognise(data: bytes) -> Finding | None:
    """Return what the answer to any request proves, by its status line, its fields and the beginning of its body."""
    status = _STATUS.match(data[:1024])
    if status is None:
        return _second_version(data)
    head, body = _split(data[:_MOST_BODY])
    if _NOT_HTTP.search(body):
        return None
    if _TO_CLICKHOUSE.search(body):
        return Finding("clickhouse", "ClickHouse", banner=text(body.partition(b"\n")[0].strip())[:200])
    told = fields(head)
    banner = _banner(head, told)
    if _TO_TLS.search(body):
        product, version = _named(head, b"", "/")
        return Finding("https", product, version, banner, note=N_("it wants TLS"))
    if (shoutcast := _SHOUTCAST.search(data[:2048])) is not None:
        return Finding("http", "SHOUTcast", text(shoutcast[1]), banner)
    product, version = _named(head, body, "/")
    return Finding(_service(told.get("server", "")), product, version, banner, note=_note(status[2], told, product))


def _service(server: str) -> str:
    """Return what the protocol is: printers say which IPP they speak (RFC 8010), and RTSP may be put into HTTP."""
    if " IPP/" in server:
        return "ipp"
    return "rtsp" if "rtsp" in server.lower() else "http"


def _second_version(data: bytes) -> Finding | None:
    """Return what the SETTINGS prove that a server of HTTP/2 begins with (RFC 9113, sections 3.4 and 6.5)."""
    size = int.from_bytes(data[:3], "big")
    head = data[3:9]
    if len(head) < 6 or size % 6 or size > 96 or head[0] != _SETTINGS or any(head[1:]) or len(data) < 9 + size:
        return None
    known = all(1 <= int.from_bytes(data[place : place + 2], "big") <= 16 for place in range(9, 9 + size, 6))
    return Finding("http", banner="HTTP/2") if known and (size or len(data) > 9) else None


def request(asked: Asked, path: str = "/") -> bytes:
    """Return a GET after which the server may keep the connection."""
    return (f"GET {path} HTTP/1.1\r\nHost: {asked.authority}\r\nUser-Agent: portbook\r\nAccept: */*\r\n\r\n").encode(
        "ascii", "replace"
    )


def _fetch(server: Reader, say: bytes) -> Generator[Say | StartTls, Heard, Answer]:
    """Say a request, and return what came: of a body no more than tells something."""
    if not (yield from server.more(say)):
        return Answer(b"", b"", lasting=False)
    while (end := _END.search(server.data)) is None:
        if len(server.data) > _MOST_BODY or not (yield from server.more()):
            return Answer(server.take(len(server.data)), b"", lasting=False)
    head, _ = _split(server.take(end.end()))
    told = fields(head)
    if told.get("content-type", "").startswith(_STREAMS) or head.startswith(b"ICY"):
        return Answer(head, b"", lasting=False)
    closing = told.get("connection", "").lower() if head.startswith(b"HTTP/1.1") else "close"
    status = head[9:12]
    if status in (b"204", b"304"):
        return Answer(head, b"", "close" not in closing)
    if told.get("transfer-encoding", "").lower() == "chunked":
        body, whole = yield from _chunks(server)
    else:
        told_size = told.get("content-length", "")
        size = int(told_size) if told_size.isascii() and told_size.isdigit() and len(told_size) < 10 else _MOST_BODY
        while len(server.data) < min(size, _MOST_BODY) and (yield from server.more()):
            pass
        whole = len(server.data) >= size < _MOST_BODY
        body = server.take(min(size, len(server.data)))
    return Answer(head, body, whole and "close" not in closing)


def _chunks(server: Reader) -> Generator[Say | StartTls, Heard, tuple[bytes, bool]]:
    """Return the body that comes in chunks, and whether it came whole (RFC 9112, section 7.1)."""
    body = b""
    while len(body) < _MOST_BODY:
        line = yield from server.line()
        try:
            size = int((line or b"").partition(b";")[0], 16)
        except ValueError:
            break
        if not 0 <= size <= _MOST_BODY:
            break
        chunk = yield from server.exactly(size + 2)
        if chunk is None:
            return body + server.take(min(size, len(server.data))), False
        body += chunk[:-2]
        if not size:
            return body, True
    return body, False


def converse(asked: Asked) -> Conversation:
    """Ask for /, and then for what the answer makes worth asking for, as long as the connection lasts."""
    server = Reader(asked.heard)
    path = FIRST.get(asked.port, "/")
    answer = yield from _fetch(server, request(asked, path))
    found = recognise(answer.head + b"\r\n" + answer.body)
    if found is None or found.service != "http" or found.note is not None:
        yield Say(farewell=True)
        return found
    made = naming(answer.head, answer.body, path)
    for another in further(answer.head, answer.body, asked.port, found.product is not None):
        if not answer.lasting or (made is not None and made[1] is not None):
            break
        path = another
        answer = yield from _fetch(server, request(asked, path))
        made = naming(answer.head, answer.body, path)
        if made is not None and (made[1] is not None or found.version is None):
            found = found._replace(product=made[0], version=made[1])
    yield Say(farewell=True)
    return found


_USUAL = (80, 8080, 8000, 8008, 8888, 8081, 3000, 5000)
_OF_APIS = (
    *(631, 2375, 2379, 3100, 3128, 4646, 5601, 5984, 6443, 7474, 8001, 8086, 8096, 8118, 8123, 8200, 8222, 8500),
    *(8983, 9000, 9090, 9093, 9100, 9200, 11434, 15672, 32400),
)
PROTOCOL = Protocol("http", _USUAL + _OF_APIS, recognise=recognise, converse=converse)
