"""Targets and lists of ports: every form that people write, and what is none."""

from __future__ import annotations

import random
import socket
import tracemalloc
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portbook.errors import BadQuestion, PortbookError
from portbook.probe.targets import (
    MOST_ADDRESSES,
    Named,
    addresses,
    check_permission,
    in_file,
    is_near,
    named,
    ports_in,
    size,
)

SETS = {"main": [22, 80, 443], "all": range(1, 65536)}


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", None),
        ("  example.org ", "example.org", None),
        ("example.org:8080", "example.org", 8080),
        ("bücher.example:80", "bücher.example", 80),
        ("192.0.2.7:22", "192.0.2.7", 22),
        ("::1", "::1", None),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", None),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("[::ffff:192.0.2.7]:443", "192.0.2.7", 443),
        ("fe80::1%lo", "fe80::1%lo", None),
        ("[fe80::1%lo]:80", "fe80::1%lo", 80),
        ("http://[fe80::1%25lo]/", "fe80::1%lo", 80),
        ("https://example.org/a/b?c=d:e", "example.org", 443),
        ("HTTPS://Example.ORG:8443", "example.org", 8443),
        ("http://[2001:db8::2]:81/", "2001:db8::2", 81),
        ("postgresql://db.example/shop", "db.example", 5432),
        ("anything://example.org:7", "example.org", 7),
    ],
)
def test_a_target_is_taken_apart(text: str, host: str, port: int | None) -> None:
    found = named(text)
    assert (found.host, found.port, found.block) == (host, port, None)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ":80", "host:", "host:0", "host:65536", "host:-1", "host:eighty", "host:" + "8" * 5000, "host:²"),
        *("[::1", "[::1]80", "[::1]:", "[host]:80", "[]", "1:2:3", "::g", "fe80::1%", "10.0.0.0/33", "10.0.0/8/8"),
        *("example.org/path", "user@host", "a b", "a\tb", "a\0b", "\x1b[31m", "443", "x" * 256, "a\\b", "::/129"),
        *(
            "http://",
            "http:///path",
            "http://[::1",
            "http://host:0",
            "http://host:99999",
            "http://a b/",
            "http://443",
        ),
        *("gopher2://example.org", "http://[::g]/", "://host"),
    ],
)
def test_what_is_no_target_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadQuestion) as refused:
        named(text)
    assert str(refused.value)


@given(st.text() | st.from_regex(r"[\[\]:/@%.0-9a-f]{0,30}"))
@example("[::1%]:80")
@example("http://[::1%25]/")
@example("//")
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        found = named(text)
    except BadQuestion:
        return
    assert found.host
    assert found.port is None or 0 < found.port < 65536


def test_a_password_in_a_url_is_not_shown() -> None:
    found = named("https://anna:secret@example.org/")
    assert found == Named("https://example.org/", "example.org", 443)
    with pytest.raises(BadQuestion) as refused:
        named("unheard-of://anna:secret@example.org/")
    assert "secret" not in str(refused.value)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_can_be_written_with_a_port(ip: object, port: int) -> None:
    text = f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"
    (only,) = addresses(named(text))
    mapped = getattr(ip_address(str(ip)), "ipv4_mapped", None)
    assert (only.ip, only.port, only.text) == (str(mapped or ip), port, text)


@pytest.mark.parametrize(
    ("text", "count", "first", "last"),
    [
        ("192.0.2.0/30", 2, "192.0.2.1", "192.0.2.2"),
        ("192.0.2.77/24", 254, "192.0.2.1", "192.0.2.254"),
        ("192.0.2.4/31", 2, "192.0.2.4", "192.0.2.5"),
        ("192.0.2.4/32", 1, "192.0.2.4", "192.0.2.4"),
        ("2001:db8::/126", 3, "2001:db8::1", "2001:db8::3"),
        ("2001:db8::4/127", 2, "2001:db8::4", "2001:db8::5"),
        ("2001:db8::4/128", 1, "2001:db8::4", "2001:db8::4"),
    ],
)
def test_the_hosts_of_a_block(text: str, count: int, first: str, last: str) -> None:
    found = [target.ip for target in addresses(named(text))]
    assert (len(found), found[0], found[-1]) == (count, first, last)
    with pytest.raises(BadQuestion, match="no address of the family"):
        addresses(named(text), [4 if ":" in text else 6])


@pytest.mark.parametrize("text", ["fd00::/64", "2001:db8::/64", "::/0", "10.0.0.0/8", "0.0.0.0/0", "fd00::/115"])
def test_a_huge_block_is_counted_and_not_expanded(text: str) -> None:
    tracemalloc.start()
    try:
        wanted = named(text)
        assert size([wanted]) > MOST_ADDRESSES
        with pytest.raises(BadQuestion, match="--yes"):
            check_permission([wanted])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["8.8.0.0/23", "2600::/119", "100.0.0.0/10"])
def test_a_wide_public_network_needs_a_yes(text: str) -> None:
    with pytest.raises(BadQuestion, match="wide public network"):
        check_permission([named(text)])


@pytest.mark.parametrize(
    "text", ["8.8.8.0/24", "2600::/120", "10.0.0.0/20", "fd00::/116", "example.org", "127.0.0.1"]
)
def test_what_is_small_or_private_is_tested_without_asking(text: str) -> None:
    check_permission([named(text)])


def test_many_small_blocks_are_counted_together() -> None:
    blocks = [named(f"10.{number}.0.0/20") for number in range(2)]
    with pytest.raises(BadQuestion, match=str(2 * 4096)):
        check_permission(blocks)


def test_the_addresses_of_a_name_come_once_each_and_by_family(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["192.0.2.1", "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (ip, 0)) for ip in answers])
    name = named("example.org:80")
    assert [target.ip for target in addresses(name)] == ["192.0.2.1", "2001:db8::1"]
    assert [target.ip for target in addresses(name, [6])] == ["2001:db8::1"]
    assert {(target.text, target.host, target.port) for target in addresses(name)} == {
        ("example.org:80", "example.org", 80)
    }


@pytest.mark.parametrize("text", ["a" * 64 + ".example", "a..b", ".", "-.invalid"])
def test_a_name_that_cannot_be_looked_up(text: str) -> None:
    with pytest.raises(BadQuestion, match="cannot be looked up"):
        addresses(named(text))


def test_a_family_that_an_address_is_not_of() -> None:
    with pytest.raises(BadQuestion, match="no address of the family"):
        addresses(named("192.0.2.1"), [6])


def test_a_zone_is_an_interface_of_this_host() -> None:
    assert addresses(named("fe80::1%lo"))[0].ip == "fe80::1%lo"
    number = socket.if_nametoindex("lo")
    assert addresses(named(f"fe80::1%{number}"))[0].ip == f"fe80::1%{number}"
    for zone in ("nowhere0", "4294967295", "9" * 30):
        with pytest.raises(BadQuestion, match=f"no interface {zone}"):
            addresses(named(f"fe80::1%{zone}"))


def test_a_name_of_a_link_local_address_keeps_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    where = ("fe80::1", 0, 0, socket.if_nametoindex("lo"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", where)])
    assert [target.ip for target in addresses(named("printer.local"))] == ["fe80::1%lo"]


@pytest.mark.parametrize(
    ("ip", "near"),
    [
        *(("127.0.0.1", True), ("10.1.2.3", True), ("192.168.1.1", True), ("fe80::1%lo", True), ("fd00::1", True)),
        *(("::1", True), ("8.8.8.8", False), ("2600::1", False)),
    ],
)
def test_what_is_near(ip: str, near: bool) -> None:
    assert is_near(ip) is near


def test_a_file_of_targets() -> None:
    lines = ["# mine\n", "\n", "example.org  192.0.2.1:22\n", "[::1]:80 # the last\n", "10.0.0.0/30"]
    assert list(in_file(lines)) == ["example.org", "192.0.2.1:22", "[::1]:80", "10.0.0.0/30"]


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("22", [22]),
        ("80,22,80", [80, 22]),
        ("8000-8003,22", [8000, 8001, 8002, 8003, 22]),
        ("main, 8080", [22, 80, 443, 8080]),
        ("-3", [1, 2, 3]),
        ("65534-", [65534, 65535]),
        ("5-5", [5]),
        ("all", list(range(1, 65536))),
        ("443,main", [443, 22, 80]),
    ],
)
def test_lists_of_ports(text: str, ports: list[int]) -> None:
    assert ports_in(text, SETS) == ports


@pytest.mark.parametrize(
    "text", ["", ",", "22,", "-", "0", "65536", "22-0", "80-22", "1-2-3", "http", "２２", "²", "9" * 5000, "22 - 25"]
)
def test_what_is_no_list_of_ports(text: str) -> None:
    with pytest.raises(BadQuestion):
        ports_in(text, SETS)


@given(st.lists(st.integers(1, 65535), min_size=1), st.randoms(use_true_random=False))
def test_a_list_keeps_its_order_and_repeats_nothing(ports: list[int], chance: random.Random) -> None:
    text = ",".join(f"{port}-{port}" if chance.random() < 0.5 else str(port) for port in ports)
    assert ports_in(text, SETS) == list(dict.fromkeys(ports))


@given(st.text())
def test_any_text_is_a_list_of_ports_or_refused(text: str) -> None:
    try:
        found = ports_in(text, SETS)
    except PortbookError:
        return
    assert found
    assert all(0 < port < 65536 for port in found)
