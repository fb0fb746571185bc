"""NTP is proven by a time of our own making that comes back."""

from __future__ import annotations

from portbook.protocols.ntp import converse, recognise

from .asking import ask, cut_short, finds_only_its_own

# chrony 4.3, without a source.
CHRONY = bytes.fromhex(
    "240a00e6 00000000 00000000 7f7f0101 eeac3ffc8bbdb337 20fbb1859ab74c37 eeac3ffe4d079705 eeac3ffe4d1e298a"
)


def _answer(question: bytes) -> bytes:
    return CHRONY[:24] + question[40:48] + CHRONY[32:]


def test_the_time_comes_back() -> None:
    finds_only_its_own(converse, _answer, "ntp")
    found = ask(converse, _answer).finding
    assert found is not None
    assert found.banner == "NTPv4, stratum 10"


def test_the_question_is_a_clients_and_tells_nothing() -> None:
    (question,) = ask(converse, _answer).said
    assert (len(question), question[0]) == (48, 0x23)
    assert not any(question[1:40])


def test_a_kiss_of_death_counts() -> None:
    found = ask(
        converse, lambda question: b"\xe4\0\0\0" + bytes(8) + b"RATE" + bytes(8) + question[40:48] * 3
    ).finding
    assert found is not None
    assert found.banner == "NTPv4, RATE"
    assert found.note is not None


def test_the_source_of_a_first_server_is_told() -> None:
    found = ask(converse, lambda question: b"\x24\x01" + bytes(10) + b"GPS\0" + _answer(question)[16:]).finding
    assert found is not None
    assert found.banner == "NTPv4, stratum 1, GPS"
    unset = ask(converse, lambda question: b"\xe4" + _answer(question)[1:]).finding
    assert unset is not None
    assert unset.note is not None


def test_captured_answers_are_recognised_by_their_times() -> None:
    cut_short(recognise, CHRONY, "ntp")
    assert recognise(CHRONY[:40] + bytes(8)) is None
    assert recognise(b"\x24" * 48) is None
    assert recognise(b"\x23" + CHRONY[1:]) is None
