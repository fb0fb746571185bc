"""Scenario files: what ships, what a whole one means, and what is said of every mistake."""

from __future__ import annotations

import tomllib
from ipaddress import ip_interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import BadQuestion
from portbook.lab import plan_file, scenario
from portbook.lab.plan_file import parse
from portbook.lab.plan_section import Section
from portbook.lab.scenario import ClientPlan, HostPlan, Network, Published, Rule, ServicePlan, Step

WHOLE = """
title = "Everything"
story = "All of it."

[networks.lan]
ipv4 = "192.168.1.0/24"
ipv6 = "fd00:1::/64"

[networks.far]
ipv4 = "10.1.0.0/16"

[hosts.client]
addresses = ["192.168.1.5", "fd00:1::5"]
gateway = "router"
source_ports = [50000, 50009]

[hosts.router]
addresses = ["192.168.1.1", "fd00:1::1", "10.1.0.1"]
forwards = true
masquerade = true

[hosts.server]
addresses = ["10.1.2.3"]
gateway = "router"

[services.web]
host = "server"
kind = "http"
port = 80
keep_alive = false

[services.time]
host = "server"
kind = "echo"
transport = "udp"
port = 7
address = "10.1.2.3"
autostart = false

[[clients]]
host = "client"
server = "server"
kind = "http"
port = 80
source_port = 1099
count = 2

[[rules]]
host = "router"
chain = "forward"
port = 22
action = "reset"

[[published]]
host = "router"
port = 8080
to_host = "server"
to_port = 80

[[steps]]
text = "It starts."
start = "time"
expect = "refused"

[[steps]]
text = "It stops."
stop = "web"

[[steps]]
text = "Asked."
ask = { host = "client", server = "router", kind = "echo", transport = "udp", port = 7, family = "ipv6" }
expect = "silent"
"""


def message(text: str) -> str:
    with pytest.raises(BadQuestion) as caught:
        parse(text.encode(), "mine.toml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert WHOLE.count(old) >= 1
    return WHOLE.replace(old, new, 1)


def test_a_whole_file_becomes_the_plan() -> None:
    made = parse(WHOLE.encode(), "folder/mine.toml")
    assert (made.name, made.title, made.story) == ("mine", "Everything", "All of it.")
    assert made.networks == (Network("lan", "192.168.1.0/24", "fd00:1::/64"), Network("far", "10.1.0.0/16"))
    assert [(one.cidr, one.cidr6) for one in made.networks][1] == ("10.1.0.0/16", None)
    assert made.host("client") == HostPlan(
        "client", (("lan", "192.168.1.5/24"), ("lan", "fd00:1::5/64")), "router", source_ports=(50000, 50009)
    )
    assert made.host("router").networks() == ("lan", "far")
    assert made.host("router").masquerade
    assert made.services == (
        ServicePlan("web", "server", "http", 80, options=(("keep_alive", False),)),
        ServicePlan("time", "server", "echo", 7, ("udp",), "10.1.2.3", autostart=False),
    )
    assert made.service("web") is made.services[0]
    assert made.clients == (ClientPlan("client", "http", "server", 80, source_port=1099, count=2),)
    assert made.rules == (Rule("router", "forward", "tcp", 22, "reset"),)
    assert made.published == (Published("router", 8080, "tcp", "server", 80),)
    asked = ClientPlan("client", "echo", "router", 7, "udp", "ipv6")
    assert made.steps == (
        Step("It starts.", "start", "time", expect="refused"),
        Step("It stops.", "stop", "web"),
        Step("Asked.", "ask", client=asked, expect="silent"),
    )


def test_a_host_is_reached_on_the_network_that_both_are_on() -> None:
    made = parse(WHOLE.encode(), "mine.toml")
    assert made.address("router", "server") == "10.1.0.1"
    assert made.address("router", "client") == "192.168.1.1"
    assert made.address("router", "client", "ipv6") == "fd00:1::1"
    assert made.address("server", "client") == "10.1.2.3"
    assert made.address("server", "client", "ipv6") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Everything"', "", "mine.toml: title is missing"),
        ('title = "Everything"', "title = 3", 'title must be a text in quotes, such as title = "..."'),
        (
            'title = "Everything"',
            'title = "a"\ntitel = "b"',
            "titel is not known; there are: title, story, networks,",
        ),
        ("[networks.lan]", "[networks.LAN]", "networks.LAN is no name"),
        ("192.168.1.0/24", "192.168.1.5/24", "networks.lan.ipv4 must be a block of addresses such as 192.168.1.0/24"),
        ("192.168.1.0/24", "fd00:2::/64", "networks.lan.ipv4 must be a block"),
        ("192.168.1.0/24", "127.0.0.0/8", "networks.lan.ipv4 must be a block"),
        ("10.1.0.0/16", "192.168.0.0/16", "networks.far.ipv4 overlaps the network lan; take another"),
        (
            '"192.168.1.5", ',
            '"192.168.1.500", ',
            "hosts.client.addresses has 192.168.1.500, which is no IPv4 or IPv6",
        ),
        ('"192.168.1.5", ', '"172.16.0.1", ', "172.16.0.1, which is in none of the networks: 192.168.1.0/24"),
        ('"192.168.1.5", ', '"192.168.1.255", ', "192.168.1.255, which is in none of the networks"),
        ('"192.168.1.5", ', "7, ", "addresses has 7, which is no IPv4 or IPv6 address"),
        ('"192.168.1.1", ', '"192.168.1.5", ', "hosts.router.addresses has 192.168.1.5, which is client's already"),
        ('"192.168.1.5", ', '"192.168.1.5", "192.168.1.6", ', "two addresses of one family on one network"),
        ('["192.168.1.5", "fd00:1::5"]', "[]", "hosts.client.addresses must be a list such as"),
        ('gateway = "router"', 'gateway = "nobody"', "hosts.client.gateway must name a host with forwards = true"),
        ('gateway = "router"', 'gateway = "server"', "not server"),
        ("forwards = true", "forwards = false", "hosts.router.masquerade needs forwards = true"),
        ("forwards = true", 'forwards = "yes"', "hosts.router.forwards must be true or false; not yes"),
        ("[50000, 50009]", "[50009, 50000]", "source_ports must be the first and the last port, such as"),
        ("[50000, 50009]", "50000", "source_ports must be"),
        (
            'host = "server"\nkind',
            'host = "serwer"\nkind',
            "services.web.host must be one of: client, router, server",
        ),
        (
            'kind = "http"',
            'kind = "gopher"',
            "services.web.kind must be one of: http, https, ftp, ssh, telnet, smtp, ",
        ),
        ("port = 80", "port = 65536", "services.web.port must be a whole number from 1 to 65535; not 65536"),
        ("port = 80", "port = true", "must be a whole number"),
        ("port = 80", 'port = 80\ntransport = "udp"', "services.web.transport must be one of: tcp; not udp"),
        ('transport = "udp"', 'transport = ["udp", "sctp"]', "time.transport must be one of: tcp, udp; not sctp"),
        ('transport = "udp"', "transport = []", "services.time.transport is empty; leave it out for all of them"),
        ('transport = "udp"', "transport = 17", "services.time.transport must be one of: tcp, udp; not 17"),
        ('transport = "udp"', 'transport = ["udp", "udp"]', "services.time.transport has udp twice"),
        ("port = 80", 'port = 80\nprogram = "sshd"', "services.web.program must be one of: nginx, "),
        ("port = 80", "port = 80\nprogram = true", "services.web.program must be one of: nginx, "),
        ("port = 7\n", 'port = 7\nprogram = "nginx"\n', "services.time.program must be one of: python; not nginx"),
        ('address = "10.1.2.3"', 'address = "10.1.2.4"', "time.address must be one of: 10.1.2.3, 127.0.0.1, ::1"),
        ("keep_alive = false", "keep_alive = 0", "services.web.keep_alive must be true or false; not 0"),
        ("source_port = 1099", "source_port = 65535", "clients[1].source_port with a count of 2 goes beyond"),
        ("count = 2", "count = 0", "clients[1].count must be a whole number from 1 to 60000; not 0"),
        ("count = 2", 'family = "ipv6"', "clients[1].family is ipv6, but client or server has no such address"),
        ('chain = "forward"', 'chain = "output"', "rules[1].chain must be one of: input, forward; not output"),
        ('action = "reset"', 'action = "reset"\ntransport = "udp"', "rules[1].action: a reset is TCP's"),
        ('host = "router"\nport', 'host = "client"\nport', "published[1].host: a host that passes a port on needs"),
        ('start = "time"', "", "steps[1].start: a step has one of: start, stop, ask"),
        ('stop = "web"', 'stop = "web"\nstart = "time"', "steps[2].start: a step has one of"),
        ('stop = "web"', 'stop = "web"\nexpect = "silent"', "steps[2].expect is not known; there are: text, stop"),
        ('stop = "web"', 'stop = "time"', "steps[2].stop: time is not up by then"),
        ("port = 7\n", "port = 7\noptional = true\n", "steps[1].start: time is optional, so no step can count on it"),
        ("port = 80\n", "port = 80\noptional = true\n", "steps[2].stop: web is optional, so no step can count"),
        ("port = 7\n", "port = 7\noptional = 1\n", "services.time.optional must be true or false; not 1"),
        ('start = "time"', 'start = "web"', "steps[1].start: web is up by then"),
        ('expect = "refused"', 'expect = "silent"', "steps[1].expect must be one of: answered, refused; not silent"),
        ('family = "ipv6"', "familie = 6", "steps[3].ask.familie is not known"),
        ('port = 7, family = "ipv6"', 'family = "ipv6"', "mine.toml: steps[3].ask.port is missing"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_would_be_right(old: str, new: str, said: str) -> None:
    told = message(changed(old, new))
    assert told.startswith("mine.toml: ")
    assert said in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.toml: title is missing"),
        ("title = ", "mine.toml is not TOML: "),
        ('title = "a"', "mine.toml: hosts is missing: a lab needs a host"),
        ('title = "a"\nhosts = 3', "mine.toml: hosts must be tables with names: [hosts.NAME]"),
        ('title = "a"\nnetworks = [1]', "mine.toml: networks must be tables"),
        (f"title = {'9' * 5000}", "is not TOML"),
        (WHOLE.replace("[[rules]]", "[rules.one]"), "mine.toml: rules must be a list of tables: [[rules]]"),
        ("title = " + "[" * 100_000, "is not TOML"),
    ],
)
def test_what_is_no_scenario_at_all_is_told(text: str, said: str) -> None:
    assert said in message(text)


@pytest.mark.parametrize(
    ("said", "transports"),
    [
        ('transport = "udp"', ("udp",)),
        ('transport = ["udp"]', ("udp",)),
        ('transport = ["udp", "tcp"]', ("udp", "tcp")),
        ("", ("tcp", "udp")),
    ],
)
def test_a_service_has_all_of_its_transports_or_those_it_names(said: str, transports: tuple[str, ...]) -> None:
    made = parse(changed('transport = "udp"', said).encode(), "mine.toml")
    assert made.service("time").transports == transports


def test_a_service_may_name_its_program() -> None:
    for program in ("nginx", "python"):
        named = changed("port = 80", f'port = 80\nprogram = "{program}"')
        assert parse(named.encode(), "mine.toml").service("web").program == program
    assert parse(WHOLE.encode(), "mine.toml").service("web").program is None


def test_a_service_may_come_and_go_more_than_once() -> None:
    steps = "".join(f'[[steps]]\ntext = "a"\n{one} = "web"\n' for one in ("start", "stop", "start"))
    assert len(parse((WHOLE + steps).encode(), "mine.toml").steps) == 6
    again = WHOLE + steps + '[[steps]]\ntext = "a"\nstart = "web"\n'
    assert "steps[7].start: web is up by then" in message(again)
    # One that was refused did not come up.
    assert "steps[4].stop: time is not up by then" in message(WHOLE + '[[steps]]\ntext = "a"\nstop = "time"\n')


def test_services_of_two_transports_may_have_one_port() -> None:
    more = '\n[services.other]\nhost = "server"\nkind = "echo"\nport = 80\ntransport = "{}"\n'
    udp = WHOLE.replace("[[clients]]", more.format("udp") + "[[clients]]")
    assert len(parse(udp.encode(), "a").services) == 3
    tcp = WHOLE.replace("[[clients]]", more.format("tcp") + "[[clients]]")
    assert "services.other.port is held by web already" in message(tcp)


def test_two_services_that_start_by_themselves_cannot_have_one_port() -> None:
    more = '\n[services.other]\nhost = "server"\nkind = "http"\nport = 80\n'
    assert "services.other.port is held by web already" in message(WHOLE.replace("[[clients]]", more + "[[clients]]"))
    later = more + "autostart = false\n"
    assert len(parse(WHOLE.replace("[[clients]]", later + "[[clients]]").encode(), "a").services) == 3


def test_bytes_that_are_no_text_are_told() -> None:
    with pytest.raises(BadQuestion, match=r"mine\.toml is not UTF-8 text \(byte 2\)"):
        parse(b"ab\xff", "mine.toml")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadQuestion, match="cannot be read: No such file"):
        scenario.load(str(tmp_path / "none.toml"))
    with pytest.raises(BadQuestion, match="cannot be read: Is a directory"):
        scenario.load(f"{tmp_path}/")


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        BadQuestion, match=r"no scenario web; there are: web-ftp, .*; a file is given as \./web\.toml"
    ):
        scenario.load("web")


def test_a_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(WHOLE)
    assert scenario.load(str(tmp_path / "mine.toml")) == parse(WHOLE.encode(), "mine.toml")


def test_what_ships_is_whole_and_in_the_order_of_the_course() -> None:
    files = {path.stem for path in Path(plan_file.FOLDER).glob("*.toml")}
    assert files == set(plan_file.ORDER)
    assert [made.name for made in plan_file.all_shipped()] == list(plan_file.ORDER)
    for name in plan_file.ORDER:
        made = scenario.load(name)
        assert made.story
        assert made.services
        for host in made.hosts:
            versions = {ip_interface(address).version for _, address in host.addresses}
            if (host.name, "dhcp-client") in {(service.host, service.kind) for service in made.services}:
                versions.add(4)  # it is given one
            assert versions == {4, 6}


def test_the_addresses_and_ports_of_the_course() -> None:
    web_ftp = scenario.load("web-ftp")
    assert web_ftp.address("server", "client") == "192.168.1.7"
    assert web_ftp.address("client", "server") == "192.168.1.5"
    assert [(one.kind, one.port, one.source_port) for one in web_ftp.clients] == [
        ("http", 80, 1099),
        ("ftp", 21, 1305),
    ]
    client_server = scenario.load("client-server")
    assert client_server.address("server", "client") == "192.168.2.1"
    assert client_server.address("client", "server") == "192.168.2.30"
    assert scenario.load("many-clients").clients[0].count == 1000
    assert len(scenario.load("gateway").hosts) == 5


_CONTENT: dict[str, object] = tomllib.loads(WHOLE)


def _paths(value: object, before: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [before] if before else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in pairs:
        found += _paths(one, (*before, key))
    return found


_VALUES = st.one_of(
    st.none(),  # left out
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.lists(st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    st.sampled_from(["client", "server", "127.0.0.1", "0.0.0.0/0", "::/0", "fe80::1%eth0", "tcp", {}, []]),
)


@given(st.sampled_from(_paths(_CONTENT)), _VALUES)
def test_any_value_anywhere_is_read_or_told_of(where: tuple[object, ...], value: object) -> None:
    from copy import deepcopy
    from typing import Any

    content: Any = deepcopy(_CONTENT)
    within = content
    for key in where[:-1]:
        within = within[key]
    if value is None:
        del within[where[-1]]
    else:
        within[where[-1]] = value
    told = "mine.toml: "
    try:
        plan_file._Reader("mine.toml").scenario(Section("mine.toml", "", content))
    except BadQuestion as error:
        told = str(error)
    assert told.startswith("mine.toml: ")


@given(st.binary(max_size=200))
def test_any_bytes_are_told_of(data: bytes) -> None:
    with pytest.raises(BadQuestion, match=r"^mine\.toml"):
        parse(data, "mine.toml")


def test_the_example_in_the_documents_is_right() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    made = parse(text.partition("```toml\n")[2].partition("```")[0].encode(), "mine.toml")
    assert [step.expect for step in made.steps] == ["silent"]
