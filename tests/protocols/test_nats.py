"""NATS is known by INFO."""

from __future__ import annotations

import pytest

from portbook.protocols.nats import PROTOCOL, recognise

from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "nats-server 2.9.10",
        "NATS Server",
        "2.9.10",
        b'INFO {"server_id":"NDJQ","server_name":"NDJQ","version":"2.9.10","proto":1,"headers":true} \r\n',
    ),
    Recorded(
        "one that wants TLS, by its documentation",
        "NATS Server",
        "2.10.1",
        b'INFO {"server_id":"NDJQ","server_name":"bus","version":"2.10.1","tls_required":true}\r\n',
        tls=True,
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


def test_the_name_is_told_where_there_is_one() -> None:
    found = recognise(RECORDED[1].greeting)
    assert found is not None
    assert found.server_name == "bus"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"INFO {}\r\n",
        b'INFO {"server_id":1}\r\n',
        b"INFO [[[\r\n",
        b"INFO {" + b"[" * 9000 + b"}\r\n",
        b"-ERR 'x'\r\n",
    ],
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
