"""SIP is proven by its status line; Server or User-Agent tells the make."""

from __future__ import annotations

import pytest

from portbook.protocols.sip import converse, recognise

from .asking import UDP, ask, cut_short
from .driving import ASKED, play

# Kamailio 5.6.3, shortened.
KAMAILIO = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK0001;rport=5555\r\n"
    b"To: <sip:192.0.2.1>;tag=1\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\nContent-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize("cut", [1, 9, 65536])
@pytest.mark.parametrize("trying", [b"", b"SIP/2.0 100 Trying\r\n\r\n"])
def test_over_tcp(cut: int, trying: bytes) -> None:
    found = play(converse(ASKED), [trying + KAMAILIO], cut=cut).finding
    assert found is not None
    assert (found.service, found.product, found.version) == ("sip", "Kamailio", "5.6.3")
    assert found.banner == "SIP/2.0 200 OK; Server: kamailio (5.6.3 (x86_64/linux))"


@pytest.mark.parametrize(
    ("field", "product", "version"),
    [
        (b"Server: Asterisk PBX 18.10.0~dfsg", "Asterisk", "18.10.0~dfsg"),
        (b"User-Agent: FreeSWITCH-mod_sofia/1.10.7-release", "FreeSWITCH", "1.10.7-release"),
        (b"Server: OpenSIPS (3.2.5 (x86_64/linux))", "OpenSIPS", "3.2.5"),
        (b"User-Agent: FPBX-16.0.40.7(18.14.0)", "FreePBX", "16.0.40.7"),
        (b"User-Agent: AVM FRITZ!Box 7590 154.07.29 (Sep 2 2021)", "AVM FRITZ!Box 7590", "154.07.29"),
        (b"Allow: INVITE", None, None),
    ],
)
def test_over_udp(field: bytes, product: str | None, version: str | None) -> None:
    found = ask(converse, lambda _: b"SIP/2.0 404 Not Found\r\n" + field + b"\r\n\r\n").finding
    assert found is not None
    assert (found.product, found.version) == (product, version)


def test_what_is_tried_is_passed_over_and_what_is_wrong_is_nothing() -> None:
    assert ask(converse, lambda _: b"SIP/2.0 100 Trying\r\n\r\n").finding is None
    assert ask(converse, lambda question: question).finding is None
    assert play(converse(ASKED), [b"HTTP/1.1 400 Bad Request\r\n\r\n"]).finding is None
    cut_short(recognise, KAMAILIO, "sip")


@pytest.mark.parametrize(
    ("host", "written"), [("192.0.2.1", b"192.0.2.1:1234"), ("2001:db8::1", b"[2001:db8::1]:1234")]
)
def test_the_question_names_nobody(host: str, written: bytes) -> None:
    (question,) = ask(converse, lambda _: b"", UDP._replace(host=host)).said
    assert question.startswith(b"OPTIONS sip:" + written + b" SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK")
    assert b";rport\r\nMax-Forwards: 70\r\n" in question
    assert b"@" not in question
