"""WS-Discovery is proven by matches that relate to our probe."""

from __future__ import annotations

from portbook.protocols.ws_discovery import converse, recognise

from .asking import ask, cut_short, finds_only_its_own


def _answer(question: bytes) -> bytes:
    # As WS-Discovery 1.0, section 5.3 has it.
    number = question.partition(b"<a:MessageID>")[2].partition(b"<")[0]
    return (
        b'<?xml version="1.0"?><e:Envelope><e:Header><w:Action>'
        b"http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</w:Action>"
        b"<w:RelatesTo>" + number + b"</w:RelatesTo></e:Header><e:Body><d:ProbeMatches><d:ProbeMatch>"
        b"<d:Types>wsdp:Device pub:Computer</d:Types></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
    )


def test_the_device_is_found() -> None:
    finds_only_its_own(converse, _answer, "ws-discovery")
    found = ask(converse, _answer).finding
    assert found is not None
    assert found.banner == "wsdp:Device pub:Computer"
    (question,) = ask(converse, _answer).said
    cut_short(recognise, _answer(question), "ws-discovery")
    assert recognise(question) is None
