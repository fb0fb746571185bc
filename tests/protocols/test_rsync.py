"""rsync's daemon is known by its greeting."""

from __future__ import annotations

import pytest

from portbook.protocols.rsync import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "rsync 3.5.0",
        "rsync",
        None,
        b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n",
        ((b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n#list\n", b"@RSYNCD: EXIT\n"),),
    ),
    Recorded(
        "an old one",
        "rsync",
        None,
        b"@RSYNCD: 29\n",
        ((b"@RSYNCD: 29\n#list\n", b"Hello\npub\tall\n@RSYNCD: EXIT\n"),),
    ),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize("data", [b"", b"@RSYNCD: 32.0 sha512", b"@RSYNCD: EXIT\n", b"x@RSYNCD: 30.0\n"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
    assert play(converse(ASKED), greeting=data).said == []
