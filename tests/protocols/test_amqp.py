"""AMQP's brokers tell themselves in Connection.Start, or the version they want."""

from __future__ import annotations

import pytest

from portbook.protocols.amqp import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

HEADER = b"AMQP\0\0\x09\x01"
# RabbitMQ 3.10.8.
START = (
    b"\x01\x00\x00\x00\x00\x01\xf0\x00\n\x00\n\x00\t\x00\x00\x01\xcb\x0ccapabilitiesF\x00\x00"
    b"\x00\xc7\x12publisher_confirmst\x01\x1aexchange_exchange_bindingst\x01\nbasic.nackt\x01"
    b"\x16consumer_cancel_notifyt\x01\x12connection.blockedt\x01\x13consumer_prioritiest\x01"
    b"\x1cauthentication_failure_closet\x01\x10per_consumer_qost\x01\x0fdirect_reply_tot\x01"
    b"\x0ccluster_nameS\x00\x00\x00\trb@server\tcopyrightS\x00\x00\x007Copyright (c) 2007-2022 "
    b"VMware, Inc. or its affiliates.\x0binformationS\x00\x00\x009Licensed under the MPL 2.0. W"
    b"ebsite: https://rabbitmq.com\x08platformS\x00\x00\x00\x11Erlang/OTP 25.2.3\x07productS"
    b"\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8\x00\x00\x00\x0ePLAIN AMQPLAIN"
    b"\x00\x00\x00\x05en_US\xce"
)
RECORDED = (
    Recorded("RabbitMQ 3.10.8", "RabbitMQ", "3.10.8", answers=((HEADER, START),)),
    Recorded("a broker of 1.0", None, None, answers=((HEADER, b"AMQP\0\x01\0\0"),), ends=True),
    Recorded("a broker of 1.0 that wants SASL", None, None, answers=((HEADER, b"AMQP\x03\x01\0\0"),), ends=True),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_it_tells_what_it_is(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_the_node_names_its_host() -> None:
    found = known(PROTOCOL, RECORDED[0])
    assert found.server_name == "server"
    assert found.banner == "AMQP 0-9-1; RabbitMQ 3.10.8"


def test_the_header_for_a_wrong_question_proves_it() -> None:
    found = recognise(b"AMQP\0\0\x09\x01")
    assert found is not None
    assert found.banner == "AMQP 0-9-1"
    assert recognise(b"AMQP\x07\x07\x07\x07") is None


@pytest.mark.parametrize("place", range(17, 40))
def test_a_broken_table_is_survived(place: int) -> None:
    for value in (0, 0x7F, 0xFF):
        broken = START[:place] + bytes((value,)) + START[place + 1 :]
        recognise(broken)
        play(PROTOCOL.converse(ASKED), [broken], ended="end")  # type: ignore[misc]
