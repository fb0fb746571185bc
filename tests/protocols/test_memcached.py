"""memcached is known by its version, over UDP only behind the frame header with the number asked with."""

from __future__ import annotations

import pytest

from portbook.protocols.memcached import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded("memcached 1.6.18", "memcached", "1.6.18", answers=((b"version\r\n", b"VERSION 1.6.18\r\n"),)),
    Recorded("a beta", "memcached", "1.6.0", answers=((b"version\r\n", b"VERSION 1.6.0-beta1\r\n"),)),
    Recorded(
        "mcrouter, by its source", "mcrouter", "41.0.0", answers=((b"version\r\n", b"VERSION 41.0.0 mcrouter\r\n"),)
    ),
    Recorded(
        "one that speaks only the meta protocol",
        "memcached",
        None,
        answers=((b"version\r\n", b"ERROR\r\n"), (b"mn\r\n", b"MN\r\n")),
    ),
    Recorded(
        "one that asks for a log-in",
        "memcached",
        None,
        answers=((b"version\r\n", b"CLIENT_ERROR unauthenticated\r\n"),),
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize("data", [b"", b"VERSION 1.6", b"ERROR\r\n", b"MN", b"VERSION\r\n", b"version\r\n"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


UDP = ASKED._replace(transport="udp")


def test_over_udp_the_frame_carries_the_number_asked_with() -> None:
    played = play(converse(UDP), [b"\0\1\0\0\0\1\0\0VERSION 1.6.18\r\n"])
    assert played.said == [b"\0\1\0\0\0\1\0\0version\r\n"]
    assert played.finding is not None
    assert (played.finding.product, played.finding.version) == ("memcached", "1.6.18")


@pytest.mark.parametrize(
    "reply", [b"VERSION 1.6.18\r\n", b"\7\7\0\0\0\1\0\0VERSION 1.6.18\r\n", b"\0\1\0\0\0\1\0\0version\r\n", b"\0\1"]
)
def test_another_datagram_is_no_answer(reply: bytes) -> None:
    assert play(converse(UDP), [reply]).finding is None
