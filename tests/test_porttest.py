"""A test as a row: every column in its place, what is absent as null, and the evidence explained."""

from __future__ import annotations

import pytest

from portbook.porttest import COLUMNS, Finding, PortTest, Tls, in_order

NAMES = [column.name for column in COLUMNS]
SILENT = PortTest("host", "192.0.2.1", 80, "tcp", "filtered", "silence", attempts=4)


def cells(test: PortTest) -> dict[str, object]:
    row = test.row()
    assert len(row) == len(COLUMNS)
    return dict(zip(NAMES, row, strict=True))


def test_a_silent_port_says_nothing_but_that() -> None:
    told = {name: value for name, value in cells(SILENT).items() if value is not None}
    assert told == {
        "target": "host",
        "ip": "192.0.2.1",
        "port": 80,
        "transport": "tcp",
        "state": "filtered",
        "reason": "silence",
        "attempts": 4,
    }


def test_every_part_of_a_finding_has_its_column() -> None:
    tls = Tls("TLSv1.3", "TLS_AES_128_GCM_SHA256", "h2", "CN=a", "CN=b", ("a", "*.a"), 1.0, 2.0, False)
    finding = Finding("https", "nginx", "1.22.1", "HTTP/1.1 200 OK", "a", "a note", tls)
    test = SILENT._replace(state="open", reason="accepted", rtt_ms=0.5, finding=finding, service="https")
    told = cells(test._replace(service_by="payload", note="another"))
    assert (told["product"], told["version"], told["banner"]) == ("nginx", "1.22.1", "HTTP/1.1 200 OK")
    assert (told["server_name"], told["note"], told["service_by"]) == ("a", "a note", "payload")
    assert [told[name] for name in NAMES if name.startswith("tls_")] == list(tls)


def test_no_names_are_null_and_not_an_empty_list() -> None:
    assert cells(SILENT._replace(finding=Finding("ssl", tls=Tls("TLSv1.2"))))["tls_names"] is None


@pytest.mark.parametrize(
    ("said", "line"),
    [(b"hello\r\nworld", "hello"), (b"\n\n", None), (b"\xff\x1b[2J", "�\x1b[2J"), (b"  first \n", "first")],
)
def test_of_what_nobody_understood_the_first_line_is_the_banner(said: bytes, line: str | None) -> None:
    assert cells(SILENT._replace(banner=said))["banner"] == line


@pytest.mark.parametrize(
    ("ip", "kind", "code", "meaning"),
    [
        ("192.0.2.1", 3, 3, "port unreachable"),
        ("192.0.2.1", 3, 13, "forbidden"),
        ("192.0.2.1", 3, 1, "no host answers"),
        ("192.0.2.1", 11, 0, "goes round in circles"),
        ("2001:db8::1", 1, 4, "port unreachable"),
        ("2001:db8::1", 1, 1, "forbidden"),
        ("2001:db8::1", 3, 0, "goes round in circles"),
    ],
)
def test_an_icmp_error_is_explained_by_its_type_and_code(ip: str, kind: int, code: int, meaning: str) -> None:
    test = SILENT._replace(ip=ip, state="rejected", reason="icmp", icmp_type=kind, icmp_code=code)
    assert meaning in str(cells(test)["note"])


def test_what_is_not_known_is_not_explained() -> None:
    assert cells(SILENT._replace(state="rejected", reason="icmp", icmp_type=3, icmp_code=99))["note"] is None
    assert cells(SILENT._replace(state="error", reason="EWHATEVER"))["note"] is None
    # A closed UDP port is told by its state; port-unreachable adds nothing.
    assert cells(SILENT._replace(state="closed", reason="icmp", icmp_type=3, icmp_code=3))["note"] is None


@pytest.mark.parametrize("reason", ["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "self-connect"])
def test_an_errno_is_explained_unless_there_is_a_note(reason: str) -> None:
    test = SILENT._replace(state="unreachable", reason=reason)
    explained = str(cells(test)["note"])
    assert " " in explained
    assert cells(test._replace(note="its own note"))["note"] == "its own note"


def test_tests_stand_by_address_as_these_were_asked_for_then_by_port() -> None:
    tests = [
        SILENT._replace(ip="192.0.2.9", port=443),
        SILENT._replace(ip="192.0.2.1", port=22),
        SILENT._replace(ip="192.0.2.9", port=53, transport="udp"),
        SILENT._replace(ip="192.0.2.9", port=53),
    ]
    ordered = in_order(iter(tests), ["192.0.2.9", "192.0.2.1", "192.0.2.9"])
    assert [(test.ip[-1], test.port, test.transport) for test in ordered] == [
        ("9", 53, "tcp"),
        ("9", 53, "udp"),
        ("9", 443, "tcp"),
        ("1", 22, "tcp"),
    ]
