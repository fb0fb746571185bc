"""RTSP is proven by its status line."""

from __future__ import annotations

import pytest

from portbook.protocols.http import recognise as recognise_http
from portbook.protocols.rtsp import converse, recognise

from .asking import cut_short
from .driving import ASKED, play

# GStreamer's RTSP server 1.22.0.
GSTREAMER = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, PLAY\r\nServer: GStreamer RTSP server\r\n"
    b"Date: Sat, 21 Nov 2026 16:06:20 GMT\r\n\r\n"
)


@pytest.mark.parametrize("cut", [1, 9, 65536])
def test_the_server_names_itself(cut: int) -> None:
    played = play(converse(ASKED), [GSTREAMER], cut=cut)
    assert played.finding is not None
    assert (played.finding.service, played.finding.product) == ("rtsp", "GStreamer RTSP server")
    assert played.said[0].startswith(b"OPTIONS rtsp://server.example:1234/ RTSP/1.0\r\nCSeq: 1\r\n")


def test_a_refusal_counts() -> None:
    found = recognise(b"RTSP/1.0 400 Bad Request\r\nServer: Wowza Streaming Engine 4.8.0 build20200609\r\n\r\n")
    assert found is not None
    assert (found.product, found.version) == ("Wowza Streaming Engine", "4.8.0")
    cut_short(recognise, GSTREAMER, "rtsp")
    assert play(converse(ASKED), [b"HTTP/1.1 400 Bad Request\r\n\r\n"]).finding is None


def test_its_answer_to_http_gives_it_away() -> None:
    # What GStreamer's says to a GET.
    found = recognise_http(b"HTTP/1.1 503 Service Unavailable\r\nServer: GStreamer RTSP Server\r\n\r\n")
    assert found is not None
    assert found.service == "rtsp"
