"""MQTT's brokers acknowledge a connection without a user or refuse it, and some publish their version."""

from __future__ import annotations

import pytest

from portbook.protocols.mqtt import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

CONNECT, SUBSCRIBE = b"\x10", b"\x82"
ACCEPTED = b" \x02\0\0"
RECORDED = (
    # Mosquitto 2.0.11, which lets anybody in, and which does not.
    Recorded(
        "Mosquitto 2.0.11", "Mosquitto", "2.0.11",
        answers=(
            (CONNECT, ACCEPTED),
            (SUBSCRIBE, b"\x90\x03\0\x01\x001-\0\x13$SYS/broker/versionmosquitto version 2.0.11"),
        ),
    ),
    Recorded("Mosquitto 2.0.11", None, None, answers=((CONNECT, b" \x02\0\x05"),), ends=True),
    Recorded(
        "aMQTT 0.12.1", "aMQTT", "0.12.1",
        answers=(
            (CONNECT, ACCEPTED),
            (SUBSCRIBE, b"\x90\x03\0\x01\x001)\0\x13$SYS/broker/versionaMQTT version 0.12.1"),
        ),
    ),
    Recorded("Aedes 0.51", None, None, answers=((CONNECT, ACCEPTED), (SUBSCRIBE, b"\x90\x03\0\x01\0"))),
    Recorded("one that forbids it", None, None, answers=((CONNECT, ACCEPTED), (SUBSCRIBE, b"\x90\x03\0\x01\x80"))),
)  # fmt: skip


@pytest.mark.parametrize("recorded", RECORDED)
def test_it_tells_what_it_is(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_a_refusal_is_told_and_nothing_more_is_asked() -> None:
    played = play(PROTOCOL.converse(ASKED), [b" \x02\0\x05"], ended="end")  # type: ignore[misc]
    assert played.finding is not None
    assert (played.finding.banner, played.finding.note) == ("CONNACK 5, not authorized", "it asks for a log-in")
    assert len(played.said) == 1


def test_the_connection_has_no_user_and_leaves_nothing() -> None:
    played = play(PROTOCOL.converse(ASKED), [ACCEPTED])  # type: ignore[misc]
    connect = played.said[0]
    assert connect[2:8] == b"\0\x04MQTT"
    # A clean session, and neither a user name, a password nor a will (3.1.1, section 3.1.2.3).
    assert connect[9] == 0x02
    assert connect[1] == len(connect) - 2
    assert connect[14:] == b"portbook000102030405"
    assert played.farewell == b"\xe0\0"


def test_alone_the_short_answer_is_weak() -> None:
    found = recognise(ACCEPTED)
    assert found is not None
    assert not found.certain
    # The length of a message of MongoDB begins so as well.
    assert recognise(ACCEPTED + b"\x07\0\0\0\0\0\0\0") is None
    # MQTT 5, with properties (section 3.2).
    assert recognise(b" \x06\0\0\x03!\0\x14") is not None


@pytest.mark.parametrize("data", [b" \x02\0\x06", b" \x02\x02\0", b" \x02\x01\x05", b" \xff\0\0", b" \0", b"\x20"])
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
