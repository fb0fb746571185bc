"""Ports, ranges, names and aliases, from the embedded data and from the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.errors import BadQuestion
from portbook.registry import lookup
from portbook.registry.lines import TRANSPORTS, compose, every_line
from portbook.registry.lookup import EMBEDDED, Registry, open_registry, user_data_folder
from portbook.service import Service

REGISTRY = open_registry(Path("/nonexistent"))
FOLDER = Path(lookup.__file__).parent


def told(services: list[Service]) -> list[tuple[int, str | None, str | None, str]]:
    return [(service.port, service.transport, service.service, service.assigned) for service in services]


def test_a_port_has_one_service_for_each_transport_in_order() -> None:
    assert told(REGISTRY.port(53)) == [(53, "tcp", "domain", "iana"), (53, "udp", "domain", "iana")]
    assert [service.transport for service in REGISTRY.port(9)] == ["tcp", "udp", "sctp", "dccp"]
    assert told(REGISTRY.port(53, "udp")) == [(53, "udp", "domain", "iana")]


def test_what_differs_between_transports_is_kept_apart() -> None:
    assert told(REGISTRY.port(514)) == [(514, "tcp", "shell", "iana"), (514, "udp", "syslog", "iana")]


def test_the_names_that_iana_lists_first_come_first() -> None:
    assert [service.service for service in REGISTRY.port(80, "tcp")] == ["http", "www", "www-http"]
    assert [service.service for service in REGISTRY.port(3478, "udp")] == ["stun", "turn", "stun-behavior"]


def test_unofficial_uses_follow_the_assignments() -> None:
    assert told(REGISTRY.port(3000, "tcp")) == [
        (3000, "tcp", "remoteware-cl", "iana"),
        (3000, "tcp", "web-dev", "unofficial"),
    ]
    assert told(REGISTRY.port(5173)) == [(5173, "tcp", "vite", "unofficial")]


@pytest.mark.parametrize(
    ("port", "assigned", "description"),
    [
        (0, "reserved", "Reserved"),
        (4, "unassigned", "Unassigned"),
        (230, "reserved", "Reserved"),
        (1023, "reserved", "Reserved"),
        (49151, "reserved", "IANA Reserved"),
        (49152, "unassigned", lookup.DYNAMIC),
        (65535, "unassigned", lookup.DYNAMIC),
    ],
)
def test_a_port_without_assignment_is_one_service(port: int, assigned: str, description: str) -> None:
    assert REGISTRY.port(port) == [Service(port, None, None, description, assigned)]


def test_the_transport_asked_for_is_kept_where_nothing_is_assigned() -> None:
    assert told(REGISTRY.port(2375, "udp")) == [(2375, "udp", None, "reserved")]
    assert told(REGISTRY.port(22, "dccp")) == [(22, "dccp", None, "unassigned")]


def test_private_uses_are_assigned_without_a_name() -> None:
    assert told(REGISTRY.port(24, "tcp")) == [(24, "tcp", None, "iana")]


def test_udplite_has_the_ports_of_udp() -> None:
    assert REGISTRY.name_of(53, "udplite") == "domain"
    assert REGISTRY.names("udplite") == REGISTRY.names("udp")
    assert told(REGISTRY.port(53, "udplite")) == [(53, "udp", "domain", "iana")]


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_beyond_65535_there_is_no_port(port: int) -> None:
    with pytest.raises(BadQuestion, match=str(port)):
        REGISTRY.port(port)


def test_a_range_is_its_ports_one_after_the_other() -> None:
    numbers = range(6000, 6100)
    assert REGISTRY.ports(numbers) == [service for port in numbers for service in REGISTRY.port(port)]
    assert REGISTRY.ports(range(0)) == []
    assert {service.port for service in REGISTRY.ports(range(65536))} == set(range(65536))


def test_a_range_of_ports_may_be_one_assignment() -> None:
    assert [REGISTRY.name_of(port, "tcp") for port in (5999, 6000, 6031, 6063, 6064)] == [
        "cvsup",
        "x11",
        "x11",
        "x11",
        "ndl-ahp-svc",
    ]


@settings(deadline=None)
@given(st.integers(0, 65535), st.sampled_from(TRANSPORTS))
def test_the_quick_ways_agree_with_reading_every_line(port: int, transport: str) -> None:
    expected = [
        fields[2]
        for ports, fields in every_line(REGISTRY.assignments)
        if port in ports and transport in fields[1].split(",") and fields[2]
    ]
    found = [s.service for s in REGISTRY.port(port, transport) if s.assigned == "iana" and s.service]
    assert found == expected
    if expected:
        assert REGISTRY.name_of(port, transport) == expected[0]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_names_at_once_are_those_of_each_port(transport: str) -> None:
    names = REGISTRY.names(transport)
    for port in [*range(1200), *range(4000, 9500, 7), *range(49000, 52000, 3), 51820]:
        assert names.get(port) == REGISTRY.name_of(port, transport)
        assert REGISTRY.is_known(port, transport) == (port in names)


def test_the_registry_reaches_all_of_iana() -> None:
    pairs = {
        (port, transport)
        for ports, fields in every_line(REGISTRY.assignments)
        for port in ports
        for transport in fields[1].split(",")
    }
    named = sum(
        len(ports) * len(fields[1].split(",")) for ports, fields in every_line(REGISTRY.assignments) if fields[2]
    )
    assert len(pairs) > 12_300
    assert named > 11_500
    assert len(REGISTRY.names("tcp")) > 5_900
    assert len(REGISTRY.names("udp")) > 5_500


def test_an_unofficial_use_names_a_port_only_where_iana_does_not() -> None:
    assert REGISTRY.name_of(9092, "tcp") == "XmlIpcRegSvc"
    assert REGISTRY.name_of(51820, "udp") == "wireguard"


def test_malware_names_no_port_but_is_told_of() -> None:
    assert told(REGISTRY.port(27374)) == [(27374, "tcp", "subseven", "unofficial")]
    assert REGISTRY.name_of(27374, "tcp") is None
    assert not REGISTRY.is_known(27374, "tcp")
    assert 27374 not in REGISTRY.names("tcp")


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("https", 443),
        ("HTTPS", 443),
        (" ssh ", 22),
        ("www", 80),
        ("postgres", 5432),
        ("rdp", 3389),
        ("vnc", 5900),
        ("dns", 53),
        ("smtps", 465),
        ("k8s", 6443),
        ("http-alt", 8080),
        ("xmlipcregsvc", 9092),
        ("wireguard", 51820),
        ("whoispp", 63),
        ("whois++", 63),
        ("sftp", 22),
    ],
)
def test_a_name_or_alias_leads_to_its_port(name: str, port: int) -> None:
    assert REGISTRY.named(name)[0].port == port


def test_an_alias_may_stand_for_several_and_hides_no_name() -> None:
    assert [service.service for service in REGISTRY.named("dhcp") if service.transport == "udp"] == [
        "bootps",
        "bootpc",
    ]
    assert {service.service for service in REGISTRY.named("www")} == {"http", "www"}
    assert len(REGISTRY.named("www")) == len(set(REGISTRY.named("www")))


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "tcp", "tcp,udp", "80", "Domain Name Server", "a\tb", "\n", "\0", "\ud800"]
)
def test_what_is_no_name_finds_nothing(name: str) -> None:
    assert REGISTRY.named(name) == []


@settings(deadline=None)
@given(st.text())
def test_any_text_may_be_asked_as_a_name(name: str) -> None:
    for service in REGISTRY.named(name):
        assert service.service


def test_main_ports_have_their_names_references_and_descriptions() -> None:
    for ports, fields in every_line(REGISTRY.main):
        for transport in fields[1].split(","):
            first = REGISTRY.port(ports[0], transport)[0]
            assert first.service == fields[2]
            assert first.description
            assert first.reference == (fields[4] if len(fields) > 4 else None)
    assert REGISTRY.port(80, "tcp")[0].reference == "RFC 9110, RFC 9112"


def test_the_embedded_registry_says_what_it_is() -> None:
    assert REGISTRY.source == EMBEDDED
    assert REGISTRY.date >= "2026-09-17"


def users_file(date: str = "2031-05-06") -> bytes:
    return compose({(443, "tcp"): [("mine", "Mine", "RFC 1")]}, "somewhere", date)


def test_the_users_data_is_used_where_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "iana.tsv").write_bytes(users_file())
    registry = open_registry(tmp_path)
    assert registry.source == str(tmp_path / "iana.tsv")
    assert registry.date == "2031-05-06"
    assert registry.port(443) == [Service(443, "tcp", "mine", "Mine", "iana", "RFC 1")]
    assert registry.named("wireguard"), "the other files are always those of portbook"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        users_file()[:-20],
        users_file()[:-1],
        users_file().replace(b"Mine", b"Yours"),
        users_file().replace(b"registry 1", b"registry 2"),
        b"\xff" * 100,
    ],
)
def test_what_is_not_whole_is_left_alone(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "iana.tsv").write_bytes(data)
    assert open_registry(tmp_path) == REGISTRY


def test_a_folder_in_the_place_of_the_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "iana.tsv").mkdir()
    assert open_registry(tmp_path) == REGISTRY


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked itself")
@pytest.mark.parametrize("data_home", [None, "", "relative", "/somewhere/data"])
def test_the_users_folder_is_the_one_of_platformdirs(monkeypatch: pytest.MonkeyPatch, data_home: str | None) -> None:
    from platformdirs import user_data_dir

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if data_home is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data_home)
    assert user_data_folder() == user_data_dir("portbook", appauthor=False)


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is elsewhere")
def test_by_default_the_users_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "portbook").mkdir()
    (tmp_path / "portbook" / "iana.tsv").write_bytes(users_file())
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert open_registry().date == "2031-05-06"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked itself")
def test_without_a_home_the_embedded_data_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", "nowhere")
    assert user_data_folder() == ""
    assert open_registry().source == EMBEDDED


def test_a_look_up_imports_nothing_slow() -> None:
    slow = (
        "sqlite3",
        "csv",
        "json",
        "platformdirs",
        "importlib.resources",
        "dataclasses",
        "pathlib",
        "urllib.request",
    )
    program = (
        "import sys; before = set(sys.modules)\n"
        "from portbook.registry.lookup import open_registry\n"
        "open_registry().port(443)\n"
        f"print(sorted(set({slow!r}) & (set(sys.modules) - before)))"
    )
    environment = {**os.environ, "PYTHONNOUSERSITE": "1"}
    asked = [sys.executable, "-c", program]
    answer = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_registry_cannot_be_changed() -> None:
    registry: Registry = REGISTRY
    with pytest.raises(AttributeError):
        registry.date = "1970-01-01"  # type: ignore[misc]
