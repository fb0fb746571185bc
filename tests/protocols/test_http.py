"""HTTP is recognised by its status line, and the server by what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portbook.protocols.conversation import Heard, Say
from portbook.protocols.http import converse, recognise

from .asking import cut_short
from .driving import ASKED, play

if TYPE_CHECKING:
    from portbook.porttest import Finding

ANSWER = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("cut", [1, 7, 65536])
@pytest.mark.parametrize("ended", ["end", "silence"])
def test_one_question_is_enough(cut: int, ended: str) -> None:
    played = play(converse(ASKED), [ANSWER], cut=cut, ended=ended)  # type: ignore[arg-type]
    assert played.finding is not None
    assert (played.finding.product, played.finding.version) == ("nginx", "1.22.1")
    assert len(played.said) == 1
    assert b"\r\nHost: server.example:1234\r\n" in played.said[0]


@pytest.mark.parametrize(
    ("server", "product", "version"),
    [
        (b"Apache/2.4.62 (Debian) OpenSSL/3.0", "Apache", "2.4.62"),
        (b"Microsoft-IIS/10.0", "Microsoft-IIS", "10.0"),
        (b"cloudflare", "cloudflare", None),
        (b"SimpleHTTP/0.6 Python/3.11.7", "SimpleHTTP", "0.6"),
    ],
)
def test_the_server_names_itself(server: bytes, product: str, version: str | None) -> None:
    found = recognise(b"HTTP/1.0 404 Not Found\r\nServer: " + server + b"\r\n\r\n")
    assert found is not None
    assert (found.product, found.version) == (product, version)


def test_a_wrong_answer_is_not_http() -> None:
    assert play(converse(ASKED), [b"220 mail.example ESMTP\r\n"]).finding is None
    assert recognise(b"HTTP/1.1 20") is None


@pytest.mark.parametrize(
    "body",
    [
        b"<center>The plain HTTP request was sent to HTTPS port</center>",  # nginx 1.22.1
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",  # Apache 2.4
        b"Client sent an HTTP request to an HTTPS server.\n",  # Go: Caddy 2.6.2, Kubernetes
        b"Bad Request\nThis combination of host and port requires TLS.\n",  # Tomcat
    ],
)
def test_plain_http_to_tls_is_answered_in_words(body: bytes) -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Length: 500\r\n\r\n" + body
    played = play(converse(ASKED), [answer], ended="end")
    assert played.finding is not None
    assert (played.finding.service, played.finding.product) == ("https", "nginx")
    assert played.finding.note == "it wants TLS"


@pytest.mark.parametrize(
    ("head", "product", "note"),
    [
        (b"400 Bad Request\r\nServer: squid/5.7\r\nX-Squid-Error: ERR_INVALID_URL 0", "Squid", "an HTTP proxy"),
        (b"400 Bad Request\r\nServer: tinyproxy/1.11.1", "tinyproxy", "an HTTP proxy"),
        (
            b'407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"',
            None,
            "an HTTP proxy that asks for a log-in",
        ),
    ],
)
def test_proxies_are_told(head: bytes, product: str | None, note: str) -> None:
    played = play(converse(ASKED), [b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\n\r\n"])
    assert played.finding is not None
    assert (played.finding.product, played.finding.note) == (product, note)
    assert len(played.said) == 1


@pytest.mark.parametrize(
    ("answer", "service", "product", "version"),
    [
        # CUPS 2.4.2; Icecast 2.4.4; Varnish 7.1.1; HAProxy 2.6.12; PHP 8.2; all shortened.
        (b"HTTP/1.1 404 Not Found\r\nServer: CUPS/2.4 IPP/2.1\r\n\r\n", "ipp", "CUPS", "2.4"),
        (b"HTTP/1.0 404 File Not Found\r\nServer: Icecast 2.4.4\r\n\r\n", "http", "Icecast", "2.4.4"),
        (b"HTTP/1.1 503 Backend fetch failed\r\nServer: Varnish\r\nX-Varnish: 2\r\n\r\n", "http", "Varnish", None),
        (
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\n\r\n"
            b"<html><body><h1>503 Service Unavailable</h1>\n"
            b"No server is available to handle this request.\n</body></html>\n",
            "http",
            "HAProxy",
            None,
        ),
        (b"HTTP/1.1 200 OK\r\nHost: a\r\nX-Powered-By: PHP/8.2.7\r\n\r\n", "http", "PHP", "8.2.7"),
        (b"HTTP/1.1 200 OK\r\nServer: nginx\r\nX-Powered-By: PHP/8.2.7\r\n\r\n", "http", "nginx", None),
        (
            b"ICY 200 OK\r\nicy-notice2:<BR>SHOUTcast Distributed Network Audio Server/Linux v1.9.8<BR>\r\n\r\n",
            "http",
            "SHOUTcast",
            "1.9.8",
        ),
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nPort 9000 is for clickhouse-client program\r\nYou must use port 8123",
            "clickhouse",
            "ClickHouse",
            None,
        ),
        (b"HTTP/1.1 200\r\n\r\n<h3>Apache Tomcat/10.1.60</h3>", "http", "Apache Tomcat", "10.1.60"),
    ],
)
def test_makes_are_told(answer: bytes, service: str, product: str, version: str | None) -> None:
    found = cut_short_to(answer, service)
    assert (found.service, found.product, found.version) == (service, product, version)


def cut_short_to(answer: bytes, service: str) -> Finding:
    """Return what an answer is recognised as; one that is cut may still be plain HTTP."""
    for length in range(len(answer)):
        cut = recognise(answer[:length])
        assert cut is None or cut.service in (service, "http")
    found = recognise(answer)
    assert found is not None
    return found


def test_the_second_version_is_known_by_its_settings() -> None:
    # What a server of gRPC says first: a SETTINGS frame with one setting.
    found = cut_short(recognise, bytes.fromhex("000006 04 00 00000000 0005 00004000"), "http")
    assert found.banner == "HTTP/2"
    assert recognise(bytes(20)) is None


def test_what_mongodb_says_in_http_is_not_http() -> None:
    assert (
        recognise(
            b"HTTP/1.0 200 OK\r\nContent-Length: 85\r\n\r\n"
            b"It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n"
        )
        is None
    )


def test_a_stream_is_not_listened_to() -> None:
    head = b"HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Type: audio/mpeg\r\n\r\n"
    conversation = converse(ASKED)
    next(conversation)
    assert conversation.send(Heard(head + b"\xff\xfb" * 100)) == Say(farewell=True)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 99999999999\r\n\r\nx",
        b"Content-Length: -1\r\n\r\nx",
        b"Content-Length: \xb2\r\n\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"\r\n" + b"x" * 200_000,
    ],
)
@pytest.mark.parametrize("cut", [1000, 65536])
def test_odd_bodies_end(body: bytes, cut: int) -> None:
    played = play(converse(ASKED), [b"HTTP/1.1 200 OK\r\nServer: x\r\n" + body], cut=cut)
    assert played.finding is not None
    assert played.finding.product == "x"


def test_a_head_without_end_is_left() -> None:
    assert play(converse(ASKED), [b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000], cut=4096).finding is not None
