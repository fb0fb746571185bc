"""Cassandra and ScyllaDB answer OPTIONS before a log-in, and what they cannot read with an error."""

from __future__ import annotations

import pytest

from portbook.protocols.cassandra import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

OPTIONS = b"\x03\0\0\0\x05"


def _string(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def _supported(options: dict[str, list[str]], version: int = 0x83) -> bytes:
    body = len(options).to_bytes(2, "big")
    for key, values in options.items():
        body += _string(key) + len(values).to_bytes(2, "big") + b"".join(map(_string, values))
    return bytes((version, 0, 0, 0, 6)) + len(body).to_bytes(4, "big") + body


def _error(version: int, message: str, code: int = 10) -> bytes:
    body = code.to_bytes(4, "big") + _string(message)
    return bytes((version, 0, 0, 0, 0)) + len(body).to_bytes(4, "big") + body


# As the specification of the protocol (v4, section 4.2.4) and the drivers' logs have them.
CASSANDRA = {
    "PROTOCOL_VERSIONS": ["3/v3", "4/v4", "5/v5", "6/v6-beta"],
    "COMPRESSION": ["snappy", "lz4"],
    "CQL_VERSION": ["3.4.6"],
}
SCYLLA = {"SCYLLA_SHARD": ["3"], "SCYLLA_NR_SHARDS": ["8"], "COMPRESSION": ["lz4"], "CQL_VERSION": ["3.3.1"]}
OTHER = {"COMPRESSION": ["lz4"], "CQL_VERSION": ["3.4.2"]}
RECORDED = (
    Recorded("Cassandra 4.1", "Apache Cassandra", None, answers=((OPTIONS, _supported(CASSANDRA)),)),
    Recorded("ScyllaDB", "ScyllaDB", None, answers=((OPTIONS, _supported(SCYLLA)),)),
    Recorded("something else", None, None, answers=((OPTIONS, _supported(OTHER)),)),
    Recorded(
        "Cassandra 5", None, None, ends=True,
        answers=((OPTIONS, _error(0x84, "Invalid or unsupported protocol version (3); lowest supported: 4")),),
    ),
)  # fmt: skip


@pytest.mark.parametrize("recorded", RECORDED)
def test_it_tells_what_it_supports(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_the_versions_are_the_banner() -> None:
    assert known(PROTOCOL, RECORDED[0]).banner == "CQL 3.4.6; protocol v3, v4, v5, v6-beta"


def test_the_error_to_http_proves_it() -> None:
    found = recognise(
        _error(0x84, "Invalid or unsupported protocol version (71); supported versions are (3/v3, 4/v4)")
    )
    assert found is not None
    assert found.service == "cassandra-cql"


@pytest.mark.parametrize(
    "data", [b"\x84\0\0\0\0\0\0\0\x0a", _error(0x84, "Bad credentials", 0x100), _supported({"A": ["b"]})]
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
