"""SNMP is proven by a report of version 3 to our message."""

from __future__ import annotations

import pytest

from portbook.protocols.snmp import converse, recognise

from .asking import ask, cut_short, finds_only_its_own

# Net-SNMP 5.9.3.
REPORT = bytes.fromhex(
    "30720201033011020448aec731020300ffe304010002010304223020041180001f8880cd3e9d652abc016b0000000002"
    "0101020205530400040004003036041180001f8880cd3e9d652abc016b000000000400a81f020448aec7310201000201"
    "003011300f060a2b060106030f01010400410103"
)


def test_the_engine_is_found() -> None:
    finds_only_its_own(converse, _answer, "snmp")
    found = ask(converse, _answer).finding
    assert found is not None
    assert found.product == "Net-SNMP"
    assert found.banner == "SNMPv3, engine 80001f8880cd3e9d652abc016b00000000, enterprise 8072, boots 1, up 1363 s"


def _answer(question: bytes) -> bytes:
    """Answer with the number that a question has, whichever length that is."""
    size = question[8]
    number = question[9 : 9 + size]
    head = bytes.fromhex("020300ffe3040100020103")
    header = b"\x02" + bytes((size,)) + number + head
    security, scoped = REPORT[REPORT.index(b"\x04\x22") :][:36], REPORT[REPORT.index(b"\x30\x36") :]
    content = b"\x02\x01\x03\x30" + bytes((len(header),)) + header + security + scoped
    return b"\x30" + bytes((len(content),)) + content


@pytest.mark.parametrize(
    ("engine", "product"),
    [("80000009", "Cisco"), ("800007e5", "UCD-SNMP"), ("80003a8c", "MikroTik"), ("800fffff", None)],
)
def test_the_enterprise_is_a_hint(engine: str, product: str | None) -> None:
    found = recognise(REPORT.replace(bytes.fromhex("80001f88"), bytes.fromhex(engine)))
    assert found is not None
    assert found.product == product


def test_no_community_is_guessed() -> None:
    (question,) = ask(converse, lambda _: b"").said
    assert b"public" not in question
    assert b"private" not in question


def test_captured_answers_are_recognised() -> None:
    cut_short(recognise, REPORT, "snmp")
    # A response of version 2c, of Net-SNMP 5.9.3, with another community.
    response = bytes.fromhex(
        "3027 020101 0405 6f74686572 a21b 020101 020100 020100 3010 300e 06082b06010201010100 0402 7878"
    )
    cut_short(recognise, response, "snmp")
    assert recognise(b"\x30\x05\x02\x01\x03\x30\x00") is None
    assert recognise(b"0" * 100) is None
