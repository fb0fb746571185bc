"""Oracle's listener tells its version, or refuses in words of its own."""

from __future__ import annotations

import pytest

from portbook.protocols.oracle_tns import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known


def _packet(kind: int, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(2, "big") + b"\0\0" + bytes((kind, 0, 0, 0)) + body


def _refusal(words: bytes) -> bytes:
    return _packet(4, b"\x22\0" + len(words).to_bytes(2, "big") + words)


# As Oracle's documentation of the listener and its users' traces have them.
TEXT = b"TNSLSNR for Linux: Version 19.0.0.0.0 - Production\n\tTNS for Linux: Version 19.0.0.0.0 - Production\n"
ELEVEN = _refusal(b"(DESCRIPTION=(TMP=)(VSNNUM=186647552)(ERR=0))")
TWENTY_ONE = _refusal(b"(DESCRIPTION=(TMP=)(VSNNUM=352518144)(ERR=1189)(ERROR_STACK=(ERROR=(CODE=1189)(EMFI=4))))")
SILENT = _refusal(b"(DESCRIPTION=(ERR=1153)(VSNNUM=0)(ERROR_STACK=(ERROR=(CODE=1153)(EMFI=4))))")


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (_packet(6, b"\0\0" + TEXT), "19.0.0.0.0"),
        (ELEVEN, "11.2.0.4.0"),
        (TWENTY_ONE, "21.3.0.0.0"),
        (SILENT, None),
    ],
)
def test_the_listener_tells(answer: bytes, version: str | None) -> None:
    recorded = Recorded("Oracle", "Oracle Database", version, answers=((b"\0\x5a\0\0\x01", answer),))
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_it_may_want_to_hear_it_again() -> None:
    played = play(PROTOCOL.converse(ASKED), [b"\0\x08\0\0\x0b\0\0\0", ELEVEN])  # type: ignore[misc]
    assert played.finding is not None
    assert len(played.said) == 2


def test_the_question_keeps_its_own_lengths() -> None:
    question = play(PROTOCOL.converse(ASKED)).said[0]  # type: ignore[misc]
    assert int.from_bytes(question[:2], "big") == len(question)
    place, length = int.from_bytes(question[26:28], "big"), int.from_bytes(question[24:26], "big")
    assert question[place:] == b"(CONNECT_DATA=(COMMAND=VERSION))"
    assert len(question[place:]) == length


@pytest.mark.parametrize("data", [b"\0\x0c\0\0\x04\0\0\0abcd", b"(DESCRIPTION=(ERR=1))", _packet(9, b"(VSNNUM=1)")])
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
