"""The NetBIOS name service is proven by the status of a node."""

from __future__ import annotations

from portbook.protocols.netbios_ns import converse, recognise

from .asking import ask, cut_short, finds_only_its_own

# nmbd of Samba 4.17.12, shortened.
RECORD = (
    bytes.fromhex("0021 0001 00000000 0041 03")
    + b"UHTEST         \x00\x04\x00UHTEST         \x20\x04\x00LAB            \x00\x84\x00"
    + bytes(8)
)


def _answer(question: bytes) -> bytes:
    return question[:2] + bytes.fromhex("8400 0000 0001 0000 0000") + question[12:46] + RECORD


def test_the_host_names_itself() -> None:
    finds_only_its_own(converse, _answer, "netbios-ns")
    found = ask(converse, _answer).finding
    assert found is not None
    assert (found.server_name, found.banner) == ("UHTEST", "UHTEST in LAB")


def test_captured_answers_are_recognised() -> None:
    answer = _answer(ask(converse, _answer).said[0])
    cut_short(recognise, answer, "netbios-ns")
    assert recognise(answer[:2] + b"\0\0" + answer[4:]) is None
