"""Kerberos is proven by its error in answer to a request that names no user."""

from __future__ import annotations

import pytest

from portbook.protocols.kerberos import converse, recognise

from .asking import ask, cut_short, finds_only_its_own
from .driving import ASKED, play

# MIT's KDC 1.20.1.
ERROR = bytes.fromhex(
    "7e75 3073 a003020105 a10302011e a411 180f 32303236313132313136303632325a a505 0203037c65 a603020106 a912 1b10"
    "504f5254424f4f4b2e494e56414c4944 aa25 3023 a003020102 a11c 301a 1b06 6b7262746774 1b10"
    "504f5254424f4f4b2e494e56414c4944 ab0d 1b0b 4e554c4c5f434c49454e54"
)


def test_over_udp() -> None:
    finds_only_its_own(converse, lambda _: ERROR, "kerberos")
    found = ask(converse, lambda _: ERROR).finding
    assert found is not None
    assert (found.banner, found.server_name) == ("KDC_ERR_C_PRINCIPAL_UNKNOWN: NULL_CLIENT", None)


@pytest.mark.parametrize("cut", [1, 5, 65536])
def test_over_tcp(cut: int) -> None:
    found = play(converse(ASKED), [len(ERROR).to_bytes(4, "big") + ERROR], cut=cut).finding
    assert found is not None
    assert found.service == "kerberos"


def test_its_own_realm_is_told() -> None:
    found = recognise(ERROR.replace(b"PORTBOOK.INVALID", b"CORP.EXAMPLE.COM"))
    assert found is not None
    assert found.server_name == "CORP.EXAMPLE.COM"


def test_the_question_names_no_client() -> None:
    (question,) = ask(converse, lambda _: b"").said
    assert question[0] == 0x6A
    # The client's name would be field 1 of the body, behind the options.
    assert b"\xa0\x07\x03\x05\0\0\0\0\0\xa2\x12" in question


def test_captured_answers_are_recognised() -> None:
    cut_short(recognise, ERROR, "kerberos")
    cut_short(recognise, len(ERROR).to_bytes(4, "big") + ERROR, "kerberos")
    assert recognise(b"\x7e\x02\x30\x00") is None
    assert recognise(ERROR.replace(b"\xa1\x03\x02\x01\x1e", b"\xa1\x03\x02\x01\x0b")) is None
