"""SSDP is proven by the fields ST and USN; SERVER names the program last."""

from __future__ import annotations

import pytest

from portbook.protocols.ssdp import converse, recognise

from .asking import ask, cut_short, finds_only_its_own

# MiniUPnPd 2.3.1, shortened.
MINIUPNPD = (
    b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: upnp:rootdevice\r\n"
    b"USN: uuid:00000000-0000-0000-0000-000000000001::upnp:rootdevice\r\nEXT:\r\n"
    b"SERVER: Debian/6.1 UPnP/1.1 MiniUPnPd/2.3.1\r\nLOCATION: http://192.168.6.1:15431/rootDesc.xml\r\n\r\n"
)


def test_the_device_names_itself() -> None:
    finds_only_its_own(converse, lambda _: MINIUPNPD, "ssdp")
    found = cut_short(recognise, MINIUPNPD, "ssdp")
    assert (found.product, found.version) == ("MiniUPnPd", "2.3.1")
    (question,) = ask(converse, lambda _: MINIUPNPD).said
    assert question.startswith(b'M-SEARCH * HTTP/1.1\r\nHOST: 192.0.2.1:1234\r\nMAN: "ssdp:discover"\r\n')


@pytest.mark.parametrize(
    "without", [b"ST: upnp:rootdevice\r\n", b"USN: uuid:00000000-0000-0000-0000-000000000001::upnp:rootdevice\r\n"]
)
def test_http_alone_is_not_enough(without: bytes) -> None:
    assert recognise(MINIUPNPD.replace(without, b"")) is None
