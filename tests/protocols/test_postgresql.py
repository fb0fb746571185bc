"""PostgreSQL and those that speak as it does are known by the error about a version that no server has."""

from __future__ import annotations

import pytest

from portbook.protocols.postgresql import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

SSL_REQUEST, STARTUP = b"\0\0\0\x08\x04\xd2", b"\0\0\0\x08\0\xff"
# PostgreSQL 15.18.
ERROR = (
    b"E\x00\x00\x00\x85SFATAL\x00VFATAL\x00C0A000\x00Munsupported frontend protocol 255.0: serv"
    b"er supports 3.0 to 3.0\x00Fpostmaster.c\x00L2222\x00RProcessStartupPacket\x00\x00"
)
# PgBouncer 1.18.0.
BOUNCED = b"E\0\0\0:SFATAL\0C08P01\0Mbad packet header: '0000000800ff0000'\0\0"
PARTIAL = b"E\0\0\0=SFATAL\0C08P01\0Mclient sent partial pkt in startup phase\0\0"
RECORDED = (
    Recorded("PostgreSQL 15.18", "PostgreSQL", None, answers=((SSL_REQUEST, b"N"), (STARTUP, ERROR))),
    Recorded("PostgreSQL 15.18", "PostgreSQL", None, answers=((SSL_REQUEST, b"S"), (STARTUP, ERROR)), tls=True),
    Recorded("PgBouncer 1.18.0", "PgBouncer", None, answers=((SSL_REQUEST, b"N"), (STARTUP, BOUNCED))),
    Recorded("PgBouncer 1.18.0", "PgBouncer", None, answers=((SSL_REQUEST, b"S"), (STARTUP, BOUNCED)), tls=True),
    Recorded("PostgreSQL 15.18", "PostgreSQL", None, answers=((SSL_REQUEST, ERROR),)),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_the_error_tells(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_what_it_says_and_where_is_the_banner() -> None:
    found = known(PROTOCOL, RECORDED[0])
    assert found.banner == (
        "FATAL: unsupported frontend protocol 255.0: server supports 3.0 to 3.0"
        " (postmaster.c 2222 ProcessStartupPacket)"
    )


def test_within_tls_it_is_asked_at_once() -> None:
    played = play(PROTOCOL.converse(ASKED._replace(tls=True)), [ERROR])  # type: ignore[misc]
    assert played.finding is not None
    assert len(played.said) == 1
    assert played.tls == 0


def _error(*fields: bytes) -> bytes:
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("data", "product"),
    [
        (
            _error(b"SERROR", b"C08P01", b"Munknown protocol version 16711680", b"Fserver.go", b"L1", b"Rx"),
            "CockroachDB",
        ),
        (_error(b"SFATAL", b"C0A000", b"Munsupported", b"Fbackend_startup.c", b"L700", b"RProcess"), "PostgreSQL"),
        (_error(b"SFATAL", b"C53300", b"Msorry, too many clients already", b"Fproc.c", b"L1", b"Rx"), "PostgreSQL"),
        (_error(b"SFATAL", b"C08P01", b"Modyssey: c1: unsupported"), "Odyssey"),
        (_error(b"SFATAL", b"C08P01", b"Msomebody else"), None),
        (PARTIAL, "PgBouncer"),
        (b"EFATAL:  unsupported frontend protocol 65363.19778: server supports 1.0 to 3.0\n\0", "PostgreSQL"),
    ],
)
def test_errors_to_other_questions_prove_it_as_well(data: bytes, product: str | None) -> None:
    found = recognise(data)
    assert found is not None
    assert (found.service, found.product) == ("postgresql", product)


@pytest.mark.parametrize("first", [b"S", b"N"])
def test_one_byte_alone_is_weak(first: bytes) -> None:
    assert recognise(first) is None
    found = play(PROTOCOL.converse(ASKED), [first], ended="end").finding  # type: ignore[misc]
    assert found is not None
    assert not found.certain
    assert play(PROTOCOL.converse(ASKED), [first, b"Nonsense"]).finding is None  # type: ignore[misc]


@pytest.mark.parametrize(
    "data", [b"E", b"E\0\0\0\x08ab\0\0", b"Error\0", b"E\xff\xff\xff\xffSx\0", b"E\0\0\0\x20" + bytes(28)]
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
