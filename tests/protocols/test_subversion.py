"""Subversion is known by svnserve's greeting."""

from __future__ import annotations

import pytest

from portbook.protocols.subversion import recognise

# Subversion 1.14.2
GREETING = b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 accepts-svndiff2 depth list ) ) ) "


def test_the_greeting_proves_it() -> None:
    found = recognise(GREETING)
    assert found is not None
    assert (found.service, found.product, found.version) == ("svn", "Subversion", None)
    assert recognise(b"( success ( 1 2 ( ANONYMOUS ) ( edit-pipeline ) ) ) ") is not None


@pytest.mark.parametrize("place", range(len(GREETING)))
def test_less_is_not_enough(place: int) -> None:
    assert recognise(GREETING[:place]) is None
    assert recognise(GREETING[:place] + b"\0" + GREETING[place + 1 :]) is None or place == len(GREETING)
