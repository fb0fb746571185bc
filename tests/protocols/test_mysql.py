"""MySQL's makes tell themselves in the greeting, or why there is none; nobody logs in."""

from __future__ import annotations

import pytest

from portbook.protocols.mysql import PROTOCOLS, recognise, recognise_x

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

PROTOCOL = PROTOCOLS[0]
# MariaDB 10.11.19 on Debian 12, as it comes and with TLS (the capability is a bit).
GREETING = (
    b"d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x0c\x00\x00\x00W<ekfAPL\x00\xfe\xf7-"
    b"\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00ojEWg#tC1jCP\x00mysql_native_"
    b"password\x00"
)
OFFERING = GREETING.replace(b"\x00\xfe\xf7", b"\x00\xfe\xff")
PLAIN = Recorded("MariaDB 10.11.19", "MariaDB", "10.11.19", GREETING)
SECURE = Recorded("MariaDB 10.11.19", "MariaDB", "10.11.19", OFFERING, tls=True)


def _greeting(version: bytes) -> bytes:
    body = b"\n" + version + b"\0\x07\0\0\0" + b"s" * 8 + b"\0\xff\xf7\xff\x02\0\xff\xdf\x15" + bytes(10) + b"s" * 12
    body += b"\0caching_sha2_password\0"
    return len(body).to_bytes(3, "little") + b"\0" + body


@pytest.mark.parametrize("recorded", [PLAIN, SECURE], ids=["plain", "tls"])
def test_the_greeting_tells(recorded: Recorded) -> None:
    assert known(PROTOCOL, recorded).banner == "5.5.5-10.11.19-MariaDB-0+deb12u1"
    cut_short(PROTOCOL, recorded)


def test_tls_is_asked_for_without_a_user() -> None:
    played = play(PROTOCOL.converse(ASKED), greeting=OFFERING)  # type: ignore[misc]
    # The capability SSL, and nothing behind the 32 bytes that every client sends first.
    assert played.farewell[:4] == b"\x20\0\0\x01"
    assert played.farewell[5] & 0x08
    assert len(played.farewell) == 36
    assert not any(played.farewell[13:])


@pytest.mark.parametrize(
    ("version", "product", "number"),
    [
        (b"8.0.36-0ubuntu0.22.04.1", "MySQL", "8.0.36"),
        (b"8.4.0", "MySQL", "8.4.0"),
        (b"9.1.0-commercial", "MySQL", "9.1.0"),
        (b"5.7.44-log", "MySQL", "5.7.44"),
        (b"5.0.51a-3ubuntu5", "MySQL", "5.0.51a"),
        (b"8.0.45-2", "MySQL", "8.0.45"),
        (b"8.0.31-google", "MySQL", "8.0.31"),
        (b"8.0.35-27", "Percona Server", "8.0.35-27"),
        (b"5.7.44-48-log", "Percona Server", "5.7.44-48"),
        (b"5.6.20-68.0", "Percona Server", "5.6.20-68.0"),
        (b"11.4.2-MariaDB-ubu2404", "MariaDB", "11.4.2"),
        (b"5.5.68-MariaDB", "MariaDB", "5.5.68"),
        (b"5.5.5-10.6.16-11-MariaDB-enterprise-log", "MariaDB", "10.6.16"),
        (b"5.5.5-10.4.32 2.5.21-maxscale", "MariaDB MaxScale", "2.5.21"),
        (b"8.0.11-TiDB-v7.5.1", "TiDB", "7.5.1"),
        (b"8.0.mysql_aurora.3.05.2", "Amazon Aurora", "3.05.2"),
        (b"8.0.11 (ProxySQL)", "ProxySQL", None),
        (b"6.2.12 dc5144d35@230822 (columnar 2.2.4)", "Manticore Search", "6.2.12"),
        (b"8.0.30-Vitess", "Vitess", None),
        (b"1.2-somebody's", None, None),
    ],
)
def test_the_makes_have_each_their_own_way(version: bytes, product: str | None, number: str | None) -> None:
    found = recognise(_greeting(version))
    assert found is not None
    assert (found.service, found.product, found.version, found.banner) == ("mysql", product, number, version.decode())


@pytest.mark.parametrize(
    ("code", "message", "product", "note"),
    [
        (1130, b"Host '192.168.6.30' is not allowed to connect to this MariaDB server", "MariaDB", "not allowed"),
        (1130, b"Host '192.168.6.30' is not allowed to connect to this MySQL server", "MySQL", "not allowed"),
        (1129, b"Host 'a' is blocked because of many connection errors; unblock with 'mariadb-admin flush-hosts'",
         "MariaDB", "is blocked"),
        (1040, b"#08004Too many connections", None, "too many"),
        (1040, b"Too many connections", None, "too many"),
    ],
)  # fmt: skip
def test_an_error_in_place_of_the_greeting_proves_it(
    code: int, message: bytes, product: str | None, note: str
) -> None:
    body = b"\xff" + code.to_bytes(2, "little") + message
    error = len(body).to_bytes(3, "little") + b"\0" + body
    for cut in (1, 65536):
        found = play(PROTOCOL.converse(ASKED), greeting=error, cut=cut, ended="end").finding  # type: ignore[misc]
        assert found is not None
        assert (found.service, found.product) == ("mysql", product)
        assert note in (found.note or "")
        assert (found.banner or "").startswith(f"{code} ")


@pytest.mark.parametrize(
    "data",
    [b"\x05\0\0\0\x0a8.0\0", b"\xff\xff\xff\0\x0a8.0.1\0" + bytes(99), b"\x09\0\0\0\xff\x01\0nope!!", b"d\0\0\0\n"],
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), greeting=data, ended="end").finding is None  # type: ignore[misc]


def test_the_x_protocol_says_hello_in_nine_bytes() -> None:
    hello = bytes.fromhex("050000000b08051a00")
    found = recognise_x(hello)
    assert found is not None
    assert found.service == "mysqlx"
    assert recognise_x(hello[:8]) is None
