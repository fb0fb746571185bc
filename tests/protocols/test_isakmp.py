"""IKE is proven by our own initiator's number coming back in a responder's message."""

from __future__ import annotations

from portbook.protocols.isakmp import converse, recognise

from .asking import UDP, ask, cut_short, finds_only_its_own


def _answer(question: bytes) -> bytes:
    # charon of strongSwan 5.9.8: NO_PROPOSAL_CHOSEN; it knows no version 1 here.
    if question[17] != 0x20:
        return b""
    return question[:8] + bytes.fromhex("acdfaf7ca0bad045 29 20 22 20 00000000 00000024 00000008 0000000e")


def test_a_refusal_is_the_answer() -> None:
    finds_only_its_own(converse, _answer, "isakmp")
    played = ask(converse, _answer)
    assert played.finding is not None
    assert played.finding.banner == "IKEv2, NO_PROPOSAL_CHOSEN"
    assert len(played.said) == 1
    (question,) = played.said
    assert int.from_bytes(question[24:28], "big") == len(question)


def test_the_port_of_address_translation_has_four_zeros_before() -> None:
    played = ask(converse, lambda question: bytes(4) + _answer(question[4:]), UDP._replace(port=4500))
    assert played.finding is not None
    assert played.said[0][:4] == bytes(4)


def _old(question: bytes) -> bytes:
    """Answer version 1 alone, by its notify 14 (RFC 2408, section 3.14), with strongSwan's vendor id behind it."""
    if question[17] != 0x10:
        return b""
    notify = bytes.fromhex("0d00000c 00000001 0100000e")
    vendor = bytes.fromhex("00000014 882fe56d6fd20dbc2251613b2ebe5beb")
    body = notify + vendor
    head = question[:8] + bytes.fromhex("acdfaf7ca0bad045 0b 10 05 00 00000000")
    return head + (28 + len(body)).to_bytes(4, "big") + body


def test_the_first_version_is_asked_after_silence() -> None:
    played = ask(converse, _old)
    assert played.finding is not None
    assert (played.finding.product, played.finding.banner) == ("strongSwan", "IKEv1, NO_PROPOSAL_CHOSEN")
    assert len(played.said) == 2


def test_the_vendor_of_libreswan_has_its_version() -> None:
    vendor = b"OE-Libreswan-4.10"
    body = bytes((0, 0)) + (4 + len(vendor)).to_bytes(2, "big") + vendor
    message = bytes(range(1, 17)) + bytes.fromhex("2b 20 22 20 00000000") + (28 + len(body)).to_bytes(4, "big") + body
    found = recognise(message)
    assert found is not None
    assert (found.product, found.version) == ("Libreswan", "4.10")


def test_captured_answers_are_recognised() -> None:
    answer = _answer(ask(converse, _answer).said[0])
    cut_short(recognise, answer, "isakmp")
    cut_short(recognise, bytes(4) + answer, "isakmp")
    assert recognise(answer[:19] + b"\x08" + answer[20:]) is None
