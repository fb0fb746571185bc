"""Git is known by the packet line that refuses a repository."""

from __future__ import annotations

import pytest

from portbook.protocols.git import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

REFUSED = b"0043ERR access denied or repository not exported: /portbook.invalid"
GIT = Recorded("Git 2.39.5", "Git", None, answers=((b"003fgit-upload-pack /", REFUSED),))


def test_a_refusal_proves_it() -> None:
    found = known(PROTOCOL, GIT)
    assert found.banner == "ERR access denied or repository not exported: /portbook.invalid"


def test_less_proves_less() -> None:
    cut_short(PROTOCOL, GIT)


def test_the_question_tells_its_length() -> None:
    said = play(converse(ASKED)).said[0]
    assert said == b"003fgit-upload-pack /portbook.invalid\0host=server.example:1234\0"
    assert len(said) == 0x3F


def test_a_repository_that_is_there_proves_it_too() -> None:
    line = b"0" * 40 + b" HEAD\0multi_ack thin-pack agent=git/2.39.5-Debian\n"
    found = recognise(f"{len(line) + 4:04x}".encode() + line)
    assert found is not None
    assert (found.product, found.version) == ("Git", "2.39.5")


@pytest.mark.parametrize(
    "data", [b"", b"0000", b"0004ERR ", b"ffffERR x", b"0008ERR", b"001eERR ", b"zzzzERR x", b"0009ERR?x"]
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
    assert play(converse(ASKED), [data]).finding is None
