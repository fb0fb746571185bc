"""SQL Server tells its version before a log-in, and its browser the instances."""

from __future__ import annotations

import pytest

from portbook.protocols.tds import PROTOCOLS, recognise, recognise_browser

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

SERVER, BROWSER = PROTOCOLS
QUESTION = b"\x12\x01"


def _answer(version: str, encryption: int = 1) -> bytes:
    # The example of MS-TDS, section 4.2, has the same options.
    options = (
        (0, bytes.fromhex(version)),
        (1, bytes((encryption,))),
        (2, b"\0"),
        (3, b""),
        (4, b"\0"),
    )
    place, table, data = 5 * len(options) + 1, b"", b""
    for kind, value in options:
        table += bytes((kind,)) + place.to_bytes(2, "big") + len(value).to_bytes(2, "big")
        data += value
        place += len(value)
    body = table + b"\xff" + data
    return b"\x04\x01" + (len(body) + 8).to_bytes(2, "big") + b"\0\0\x01\0" + body


@pytest.mark.parametrize(
    ("version", "number", "banner"),
    [
        ("10000fa00000", "16.0.4000", "SQL Server 2022 (16.0.4000), encryption on"),
        ("0f0007d00000", "15.0.2000", "SQL Server 2019 (15.0.2000), encryption on"),
        ("0a3206400000", "10.50.1600", "SQL Server 2008 R2 (10.50.1600), encryption on"),
        ("080002f80000", "8.0.760", "SQL Server 2000 (8.0.760), encryption on"),
    ],
)
def test_it_tells_its_version(version: str, number: str, banner: str) -> None:
    recorded = Recorded("SQL Server", "Microsoft SQL Server", number, answers=((QUESTION, _answer(version)),))
    assert known(SERVER, recorded).banner == banner
    cut_short(SERVER, recorded)


def test_the_question_keeps_its_own_lengths() -> None:
    question = play(SERVER.converse(ASKED)).said[0]  # type: ignore[misc]
    assert int.from_bytes(question[2:4], "big") == len(question)
    assert recognise(b"\x04" + question[1:]) is not None


@pytest.mark.parametrize("place", range(4, 40))
def test_a_broken_answer_is_survived(place: int) -> None:
    answer = _answer("0f0007d00000")
    for value in (0, 1, 0xFF):
        broken = answer[:place] + bytes((value,)) + answer[place + 1 :]
        recognise(broken)
        play(SERVER.converse(ASKED), [broken], ended="end")  # type: ignore[misc]


def test_the_browser_tells_of_the_first_instance() -> None:
    told = (
        b"ServerName;DB1;InstanceName;MSSQLSERVER;IsClustered;No;Version;15.0.2000.5;tcp;1433;;"
        b"ServerName;DB1;InstanceName;OTHER;IsClustered;No;Version;13.0.1601.5;tcp;1533;;"
    )
    answer = b"\x05" + len(told).to_bytes(2, "little") + told
    udp = ASKED._replace(transport="udp", port=1434)
    found = play(BROWSER.converse(udp), [answer]).finding  # type: ignore[misc]
    assert found is not None
    assert (found.service, found.version, found.server_name) == ("ms-sql-m", "15.0.2000.5", "DB1")
    assert recognise_browser(answer[:40]) is None
    assert play(BROWSER.converse(udp), [b"\x05\0\0nonsense"]).finding is None  # type: ignore[misc]
