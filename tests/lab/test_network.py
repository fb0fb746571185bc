"""The networks of labs: what is written for ip and nft, and what then passes."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from io import BytesIO

import pytest

from portbook.errors import BadQuestion, Unavailable
from portbook.lab import capture, network
from portbook.lab.scenario import HostPlan, Network, Published, Rule, Scenario
from tests.lab.conftest import Lab, Raise
from tests.lab.plans import echo, two_hosts

ROUTED = Scenario(
    "routed",
    "Routed",
    "A host inside, a gateway, a host outside.",
    (Network("inside", "10.9.0.0/24", "fd09::/64"), Network("outside", "198.51.100.0/24")),
    (
        HostPlan("inner", (("inside", "10.9.0.2/24"), ("inside", "fd09::2/64")), gateway="gateway"),
        HostPlan(
            "gateway",
            (("inside", "10.9.0.1/24"), ("inside", "fd09::1/64"), ("outside", "198.51.100.1/24")),
            forwards=True,
            masquerade=True,
        ),
        HostPlan("outer", (("outside", "198.51.100.2/24"),), source_ports=(50000, 50009)),
    ),
    published=(Published("gateway", 8007, "tcp", "inner", 7),),
)


def test_cables_join_each_host_to_its_bridges() -> None:
    lines = list(network.wire_lines(ROUTED, {"inner": 11, "gateway": 12, "outer": 13}))
    joined = [line for line in lines if "type veth" in line or " master " in line]
    assert joined == [
        "link add host0eth0 type veth peer name eth0 address 02:00:00:00:01:00 netns 11",
        "link set host0eth0 master br0 addrgenmode none up",
        "link add host1eth0 type veth peer name eth0 address 02:00:00:00:02:00 netns 12",
        "link set host1eth0 master br0 addrgenmode none up",
        "link add host1eth1 type veth peer name eth1 address 02:00:00:00:02:01 netns 12",
        "link set host1eth1 master br1 addrgenmode none up",
        "link add host2eth0 type veth peer name eth0 address 02:00:00:00:03:00 netns 13",
        "link set host2eth0 master br1 addrgenmode none up",
    ]


def test_hosts_get_addresses_and_default_routes() -> None:
    assert list(network.host_lines(ROUTED, ROUTED.host("inner"))) == [
        "link set lo up",
        "address add 10.9.0.2/24 dev eth0",
        "address add fd09::2/64 dev eth0 nodad",
        "link set eth0 up",
        "route add default via 10.9.0.1",
        "route add default via fd09::1",
    ]
    # No route of a family in which the host has no address of its own.
    inner = ROUTED.host("inner")
    narrow = replace(ROUTED, hosts=(replace(inner, addresses=inner.addresses[:1]), *ROUTED.hosts[1:]))
    routes = [line for line in network.host_lines(narrow, narrow.hosts[0]) if line.startswith("route")]
    assert routes == ["route add default via 10.9.0.1"]
    without = list(network.host_lines(ROUTED, ROUTED.host("inner"), ipv6=False))
    assert [line for line in without if "fd09" in line] == []
    assert len(without) == 4


def test_settings_make_routers_and_bound_source_ports() -> None:
    gateway = network.settings(ROUTED, ROUTED.host("gateway"))
    assert gateway["ipv4/ip_forward"] == gateway["ipv6/conf/all/forwarding"] == "1"
    outer = network.settings(ROUTED, ROUTED.host("outer"))
    assert outer["ipv4/ip_local_port_range"] == "50000 50009"
    assert "ipv4/ip_forward" not in outer


def test_firewalls_are_written_for_those_that_have_one() -> None:
    assert network.firewall(ROUTED, ROUTED.host("inner")) == ""
    assert network.firewall(ROUTED, ROUTED.host("gateway")) == (
        "table inet lab {\n"
        "  chain prerouting {\n"
        "    type nat hook prerouting priority dstnat;\n"
        "    ip daddr { 10.9.0.1, 198.51.100.1 } tcp dport 8007 dnat ip to 10.9.0.2:7\n"
        "    ip6 daddr { fd09::1 } tcp dport 8007 dnat ip6 to [fd09::2]:7\n"
        "  }\n"
        "  chain postrouting {\n"
        "    type nat hook postrouting priority srcnat;\n"
        '    oifname "eth1" masquerade\n'
        "  }\n"
        "}\n"
    )
    rules = (
        Rule("outer", "input", "tcp", 1, "drop"),
        Rule("outer", "input", "udp", 2, "admin-prohibited"),
        Rule("outer", "forward", "tcp", 3, "reset"),
        Rule("inner", "input", "tcp", 4, "accept"),
    )
    text = network.firewall(replace(ROUTED, rules=rules), ROUTED.host("outer"))
    assert [line.strip() for line in text.splitlines() if "dport" in line] == [
        "tcp dport 1 drop",
        "udp dport 2 reject with icmpx type admin-prohibited",
        "tcp dport 3 reject with tcp reset",
    ]


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "installed", lambda name: None if name == "nft" else f"/usr/sbin/{name}")
    assert network.needed_programs(two_hosts()) == {"ip": "/usr/sbin/ip"}
    with pytest.raises(Unavailable, match="routed needs the program nft; install the package nftables"):
        network.needed_programs(ROUTED)


def asks(lab: Lab, host: str, address: str, port: int = 7, seconds: float = 5) -> str:
    """Return the peer's address as the client's socket has it, or the error's name."""
    ask = (
        "import socket, sys\n"
        "try:\n"
        "    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))\n"
        "    s.sendall(b'a'); s.recv(1); print(s.getsockname()[1])\n"
        "except OSError as error: print(type(error).__name__)"
    )
    return lab[host].run("python3", "-c", ask, address, str(port), str(seconds)).stdout.strip()


def test_what_is_planned_is_so(lab: Raise) -> None:
    service = replace(echo("word"), host="inner")
    up = lab(replace(ROUTED, services=(service,)))
    # Only the published port leads inside, and only the range has source ports.
    assert 50000 <= int(asks(up, "outer", "198.51.100.1", 8007)) <= 50009
    assert asks(up, "outer", "198.51.100.1") == "ConnectionRefusedError"
    assert asks(up, "outer", "10.9.0.2") == "OSError"  # no route
    assert asks(up, "gateway", "fd09::2").isdecimal()
    # From inside all comes with the gateway's address.
    listen = "import socket; s = socket.create_server(('', 9)); print('ready', flush=True); print(s.accept()[1][0])"
    with up["outer"].spawn("python3", "-c", listen, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        asks(up, "inner", "198.51.100.2", 9)
        assert server.stdout.read() == "198.51.100.1\n"


def test_a_host_is_cut_off_and_joined_again(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    assert asks(up, "client", "192.0.2.2").isdecimal()
    up["server"].cut()
    assert "NO-CARRIER" in up["server"].run("ip", "link", "show", "eth0").stdout
    assert asks(up, "client", "192.0.2.2", seconds=0.3) == "TimeoutError"
    up["server"].restore()
    assert asks(up, "client", "192.0.2.2", seconds=20).isdecimal()
    assert asks(up, "client", "2001:db8:2::2", seconds=20).isdecimal()
    with pytest.raises(BadQuestion, match="has no host nobody"):
        network.cut(up.state, "nobody")


def test_what_passes_is_captured(lab: Raise) -> None:
    up = lab(two_hosts(echo("word")))
    file = BytesIO()
    with capture.packet_socket(up.state, "server") as packets:
        source = int(asks(up, "client", "192.0.2.2"))
        asks(up, "server", "127.0.0.1")
        total = capture.capture(packets, file, lambda: True)
    data = file.getvalue()
    magic, major, minor, _, _, longest, link = struct.unpack_from("=IHHiIII", data)
    assert (magic, major, minor, longest, link) == (0xA1B23C4D, 2, 4, capture.LONGEST, 1)
    place, found = 24, []
    while place < len(data):
        _, nanoseconds, kept, length = struct.unpack_from("=IIII", data, place)
        assert kept == length
        assert nanoseconds < 10**9
        found.append(data[place + 16 : place + 16 + kept])
        place += 16 + kept
    assert place == len(data)
    assert len(found) == total
    synchronised = [frame for frame in found if frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[47] == 2]
    pairs = [(frame[26:30], frame[30:34], *struct.unpack("!HH", frame[34:38])) for frame in synchronised]
    assert (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)), source, 7) in pairs
    # On loopback each is there once.
    assert [pair[1] for pair in pairs].count(bytes((127, 0, 0, 1))) == 1
