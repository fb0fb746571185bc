"""Which addresses may be tested, which names are answered to, and whose page may ask."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from portbook.errors import BadQuestion
from portbook.web.guard import answers_to, is_browser, is_from_elsewhere, is_global, may_begin_by_itself, refusal
from portbook.web.settings import read_settings
from portbook.web.visitor import Visitor, normalised

OWN = ("8.8.4.4", "192.168.7.1", "fd00:7::1")


def why_not(ip: str, *, mode: str = "public", unknown: bool = False, **settings: Any) -> str | None:
    """Return why an address is not tested by a server that has the addresses OWN."""
    who = Visitor(str(normalised(ip)), 1, None, unknown=unknown)
    return refusal(who, read_settings(None, {"mode": mode, **settings}), OWN.__contains__)


SPECIAL = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192"),
    *("192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.7"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::2", "::7f00:1", "::ffff:0:127.0.0.1", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1"),
    *("2001:10::1", "2001:20::1", "2001:db8::1", "2002::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fd20:ce::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1", "e000::1"),
]


@pytest.mark.parametrize("ip", SPECIAL)
def test_what_is_not_one_host_of_the_internet_is_refused(ip: str) -> None:
    assert why_not(ip) is not None


@pytest.mark.parametrize("ip", [ip for ip in SPECIAL if "." in ip and ":" not in ip])
@pytest.mark.parametrize(
    "form", ["::ffff:{ip}", "64:ff9b::{ip}", "2002:{hex}::1", "2001:0:4136:e378:8000:63bf:{not_hex}"]
)
def test_no_wrapping_lets_a_special_address_through(ip: str, form: str) -> None:
    number = int(ip_address(ip))
    words = [f"{bits >> 16:x}:{bits & 0xFFFF:x}" for bits in (number, number ^ 0xFFFFFFFF)]
    assert why_not(form.format(ip=ip, hex=words[0], not_hex=words[1])) is not None


@pytest.mark.parametrize("ip", ["8.8.8.8", "1.1.1.1", "223.255.255.1", "2606:4700::1111", "2a00:1450::1"])
def test_a_host_of_the_internet_may_be_tested(ip: str) -> None:
    assert why_not(ip) is None
    assert is_global(ip_address(ip))


@pytest.mark.parametrize("ip", ["8.8.4.4", "::ffff:8.8.4.4", "64:ff9b::8.8.4.4"])
def test_this_servers_own_address_is_refused(ip: str) -> None:
    assert "own address" in str(why_not(ip))


def test_so_is_its_address_outside_of_a_gateway_however_it_is_written() -> None:
    assert "own" in str(why_not("9.9.9.9", addresses=("9.9.9.9",)))
    assert "own" in str(why_not("2606:4700::abcd", addresses=("2606:4700:0:0:0:0:0:ABCD",)))
    assert why_not("9.9.9.9", addresses=("9.9.9.10",)) is None
    with pytest.raises(BadQuestion):
        why_not("9.9.9.9", addresses=("ports.example",))


def test_the_operators_list_is_kept() -> None:
    assert why_not("9.9.9.9", never_networks=("9.9.0.0/16",)) is not None
    assert why_not("9.8.9.9", never_networks=("9.9.0.0/16",)) is None


def test_an_unknown_visitor_and_a_proxy_are_not_tested() -> None:
    assert why_not("8.8.8.8", unknown=True) is not None
    assert why_not("8.8.8.8", trusted_proxies=("8.8.8.0/24",)) is not None
    assert why_not("127.0.0.1", mode="local", trusted_proxies=("127.0.0.1/32",)) is not None


@pytest.mark.parametrize("ip", ["192.168.1.1", "10.9.8.7", "172.20.0.1", "fd12::1", "::ffff:192.168.1.1"])
def test_lan_mode_tests_private_networks(ip: str) -> None:
    assert why_not(ip, mode="lan") is None


@pytest.mark.parametrize(
    "ip",
    [
        *(
            "8.8.8.8",
            "2606:4700::1",
            "127.0.0.1",
            "::1",
            "169.254.1.1",
            "fe80::1",
            "100.64.0.1",
            "224.0.0.1",
            "0.0.0.0",
        ),
        *OWN,
        "fd00:ec2::254",
        "203.0.113.7",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
    ],
)
def test_lan_mode_tests_nothing_else(ip: str) -> None:
    assert why_not(ip, mode="lan") is not None


def test_lan_mode_cannot_be_widened_beyond_private_networks() -> None:
    assert why_not("10.2.0.1", mode="lan", lan=("10.1.0.0/16",)) is not None
    for network in ("0.0.0.0/0", "8.8.8.0/24", "::/0", "2000::/3", "10.0.0.0/7", "127.0.0.0/8", "100.64.0.0/10"):
        with pytest.raises(BadQuestion):
            read_settings(None, {"mode": "lan", "lan": (network,)})


@pytest.mark.parametrize("ip", [*SPECIAL, "8.8.8.8"])
def test_local_mode_tests_loopback_alone(ip: str) -> None:
    assert (why_not(ip, mode="local") is None) is (normalised(ip).is_loopback)


def answers(host: str, mode: str = "public", **settings: Any) -> bool:
    """Whether a server with the addresses OWN answers under a name."""
    return answers_to([host], read_settings(None, {"mode": mode, **settings}), OWN.__contains__)


@pytest.mark.parametrize(
    "host", ["ports.example", "PORTS.example", "ports.example.", "ports.example:8443", "8.8.4.4"]
)
def test_it_answers_to_its_names_and_addresses(host: str) -> None:
    assert answers(host, hosts=("ports.example",))


def test_it_answers_to_addresses_in_any_spelling() -> None:
    assert answers("[fd00:7:0::1]:8080", "lan")
    assert answers("[2606:4700::ABCD]", addresses=("2606:4700::abcd",))


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "ports.example.evil.example", "evil.example:80", "localhost", "127.0.0.1.evil.example", ""),
        *("xports.example", "ports.example@evil.example", "evil.example@ports.example", "ports.example/evil", " "),
        *("ports.example:80:80", "ports.example:", "ports.example:x", "[::1]evil.example", "[8.8.4.4", "8.8.4.4]"),
        *("9.9.9.9", "134743044", "0x8080404", "8.8.1028", "ports.example,evil.example", "ports.example evil"),
        *("ports.example\x00", "ports.example\r\nx", "ｐorts.example", "[fd00:7::1%eth0]", "ports.example:999999"),
    ],
)
def test_it_answers_to_no_other_name(host: str) -> None:
    assert not answers(host, hosts=("ports.example",))


def test_one_name_is_asked_under() -> None:
    settings = read_settings(None, {"mode": "public", "hosts": ("a.example",)})
    assert not answers_to([], settings, OWN.__contains__)
    assert not answers_to(["a.example", "a.example"], settings, OWN.__contains__)


def test_a_local_server_answers_to_localhost_alone() -> None:
    for host in ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.0.0.2"):
        assert answers(host, "local")
    for host in ("192.168.7.1", "8.8.4.4", "evil.example", "localhost.evil.example", "0.0.0.0"):
        assert not answers(host, "local")


OF_A_BROWSER = {"accept-language": "en", "user-agent": "Mozilla/5.0 (X11) Gecko"}


def elsewhere(scheme: str = "https", **headers: str) -> bool:
    """Whether such a request to ports.example may come from another site's page."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return is_from_elsewhere(Headers({"host": "ports.example", **named}), scheme)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "same-origin, cross-site", "x"])
def test_another_sites_page_is_known_by_what_the_browser_says(site: str) -> None:
    assert elsewhere(sec_fetch_site=site, origin="https://ports.example")


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "null",
            "https://evil.example",
            "http://ports.example",
            "https://ports.example:8443",
            "https://ports.example.",
        ),
        *("https://ports.example.evil.example", "https://ports.example/", "", "ports.example", "file://"),
    ],
)
def test_another_origin_is_refused(origin: str) -> None:
    assert elsewhere(origin=origin)
    assert elsewhere(origin=origin, sec_fetch_site="same-origin")


def test_an_own_page_may_ask() -> None:
    assert not elsewhere(origin="https://ports.example")
    assert not elsewhere(origin="https://PORTS.example", sec_fetch_site="same-origin", accept_language="en")
    assert not elsewhere(sec_fetch_site="same-origin")


@pytest.mark.parametrize(
    "mark",
    [
        *(
            {"accept-language": "en"},
            {"cookie": "a=b"},
            {"referer": "https://evil.example/"},
            {"sec-fetch-mode": "cors"},
        ),
        *({"user-agent": "Mozilla/5.0 (X11)"}, {"upgrade-insecure-requests": "1"}, {"sec-ch-ua": '"Chromium"'}),
    ],
)
def test_a_browser_that_names_no_origin_is_refused(mark: dict[str, str]) -> None:
    assert is_browser(Headers(mark))
    assert is_from_elsewhere(Headers({"host": "ports.example", **mark}), "https")


@pytest.mark.parametrize("agent", ["curl/8.5.0", "Wget/1.21", "HTTPie/3.2", "python-requests/2.32", ""])
def test_a_program_is_nobodys_page(agent: str) -> None:
    assert not elsewhere(user_agent=agent, accept="*/*")
    assert not elsewhere(user_agent="Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.1")


def test_a_test_begins_by_itself_only_where_the_person_opened_the_page() -> None:
    own = {"host": "ports.example", "referer": "http://ports.example/learn"}
    assert may_begin_by_itself(Headers({"sec-fetch-site": "none"}), "https")
    assert may_begin_by_itself(Headers({"sec-fetch-site": "same-origin"}), "https")
    assert may_begin_by_itself(Headers(own), "http")
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", **own},
        {"host": "ports.example"},
        {"host": "ports.example", "referer": "http://evil.example/http://ports.example/"},
        {"host": "ports.example", "referer": "http://ports.example.evil.example/"},
        OF_A_BROWSER,
    ):
        assert not may_begin_by_itself(Headers(headers), "http")


@given(st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1))
def test_no_address_is_tested_that_the_standard_library_knows_as_special(number: int) -> None:
    ip = str(ip_address(number))
    if why_not(ip) is None:
        inside = normalised(ip)
        assert inside.is_global
        assert not (inside.is_private)
        assert not (inside.is_multicast)
        assert not (inside.is_reserved)
        assert not (inside.is_loopback)
