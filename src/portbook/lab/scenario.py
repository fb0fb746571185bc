"""What a lab is to be: networks, hosts, services, clients, firewall rules and the steps of its story.

It holds the plan as values. How a plan is read from a file, and what is wrong with it, is plan_file.py's; how it is
raised is left to the keeper.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Chain = Literal["input", "forward"]
    Verdict = Literal["accept", "drop", "port-unreachable", "admin-prohibited", "reset"]
    Transport = Literal["tcp", "udp"]
    Family = Literal["ipv4", "ipv6"]
    Action = Literal["start", "stop", "ask"]
    Outcome = Literal["answered", "refused", "rejected", "silent", "no-source-port"]

KINDS: dict[str, tuple[Transport, ...]] = {
    "http": ("tcp",),
    "https": ("tcp",),
    "ftp": ("tcp",),
    "ssh": ("tcp",),
    "telnet": ("tcp",),
    "smtp": ("tcp",),
    "smtps": ("tcp",),
    "pop3": ("tcp",),
    "pop3s": ("tcp",),
    "imap": ("tcp",),
    "imaps": ("tcp",),
    "nntp": ("tcp",),
    "dns": ("udp", "tcp"),
    "dhcp": ("udp",),
    "dhcp-client": ("udp",),
    "ntp": ("udp",),
    "snmp": ("udp",),
    "syslog": ("udp",),
    "irc": ("tcp",),
    "sip": ("udp", "tcp"),
    "mysql": ("tcp",),
    "postgresql": ("tcp",),
    "redis": ("tcp",),
    "memcached": ("tcp",),
    "rdp": ("tcp",),
    "vnc": ("tcp",),
    "echo": ("tcp", "udp"),
    "sink": ("tcp", "udp"),
}
"""What services can speak, and over which transports: echo is RFC 862, sink is discard (RFC 863).

A service of several transports has them all unless its plan says which. smtps, pop3s and imaps have TLS from the
first byte (RFC 8314, section 3).
"""

CLIENT_KINDS: dict[str, tuple[Transport, ...]] = {
    **{kind: transports for kind, transports in KINDS.items() if not kind.startswith("dhcp")},
    "ftp-active": ("tcp",),
}
"""What clients can speak: what services do, and FTP that has the server open the data connection (RFC 959, PORT).

A client of DHCP is a service, for it waits on a port of its own.
"""

SERVICE_OPTIONS = {"reuse_address": True, "reuse_port": False, "keep_alive": True}
"""The options of a service, and what holds for one that says nothing."""


@dataclass(frozen=True)
class Network:
    """A bridge that hosts are joined to, and the blocks of addresses on it (RFC 4632, RFC 4291)."""

    name: str
    cidr: str
    cidr6: str | None = None


@dataclass(frozen=True)
class HostPlan:
    """A host: its network interfaces (eth0, eth1... in the order of `addresses`) and its part in routing.

    `addresses` are pairs of a network's name and an address with its prefix length; two pairs with the same
    network, one for each family, are one interface. `gateway` is the name of the host that the default routes
    lead to. A host that `forwards` is a router; with `masquerade` it translates what leaves by its last
    interface to its own address there. `source_ports` are the first and the last port that the kernel takes for
    clients (ip_local_port_range).
    """

    name: str
    addresses: tuple[tuple[str, str], ...]
    gateway: str | None = None
    forwards: bool = False
    masquerade: bool = False
    source_ports: tuple[int, int] | None = None

    def networks(self) -> tuple[str, ...]:
        """Return the names of the networks that it is joined to, one for each interface in order."""
        return tuple(dict.fromkeys(network for network, _ in self.addresses))

    def on(self, network: str, family: Family = "ipv4") -> str | None:
        """Return its address on a network, without the prefix length; None where it has none."""
        version = 4 if family == "ipv4" else 6
        for name, address in self.addresses:
            interface = ip_interface(address)
            if name == network and interface.version == version:
                return str(interface.ip)
        return None


@dataclass(frozen=True)
class ServicePlan:
    """A service on a host; `kind` says what is spoken, `address` where alone it listens (None: everywhere).

    Options are pairs of a name and a truth: `reuse_address`, `reuse_port` (socket(7)), and `keep_alive` for http.
    One without `autostart` waits for a step; an `optional` one is left out where nothing that serves it is
    installed. `program` chooses a server where several serve this kind. `hosts` are
    those of the lab, which a service is told when it is started: some name them, or lease addresses to them.
    """

    name: str
    host: str
    kind: str
    port: int
    transports: tuple[Transport, ...] = ("tcp",)
    address: str | None = None
    options: tuple[tuple[str, bool], ...] = ()
    autostart: bool = True
    program: str | None = None
    optional: bool = False
    hosts: tuple[HostPlan, ...] = ()


@dataclass(frozen=True)
class ClientPlan:
    """Conversations that a host begins: `count` at once with a server's port, from `source_port` upward.

    Without a source port the kernel takes one from its range for each. With `hold` they stay open until the lab
    ends.
    """

    host: str
    kind: str
    server: str
    port: int
    transport: Transport = "tcp"
    family: Family = "ipv4"
    source_port: int | None = None
    count: int = 1
    hold: bool = True


@dataclass(frozen=True)
class Rule:
    """What a host's firewall does with packets to a port, of both families."""

    host: str
    chain: Chain
    transport: Transport
    port: int
    action: Verdict


@dataclass(frozen=True)
class Published:
    """A port of `host` whose packets are passed on to another host (DNAT), in each family that both have."""

    host: str
    port: int
    transport: Transport
    to_host: str
    to_port: int


@dataclass(frozen=True)
class Step:
    """One step of the story, played in order once everything that starts by itself answers.

    `start` and `stop` are for `service`, `ask` is for `client`. What must come of a start is `answered` (it
    listens and answers) or `refused` (the kernel does not give it the port, and it says so); of an ask any
    Outcome, the same for every one of its conversations.
    """

    text: str
    action: Action
    service: str | None = None
    client: ClientPlan | None = None
    expect: Outcome = "answered"


@dataclass(frozen=True)
class Scenario:
    """A whole lab as planned."""

    name: str
    title: str
    story: str
    networks: tuple[Network, ...]
    hosts: tuple[HostPlan, ...]
    services: tuple[ServicePlan, ...] = ()
    clients: tuple[ClientPlan, ...] = ()
    rules: tuple[Rule, ...] = ()
    published: tuple[Published, ...] = ()
    steps: tuple[Step, ...] = ()

    def host(self, name: str) -> HostPlan:
        """Return the host of that name. Raises KeyError."""
        return {host.name: host for host in self.hosts}[name]

    def service(self, name: str) -> ServicePlan:
        """Return the service of that name. Raises KeyError."""
        return {service.name: service for service in self.services}[name]

    def address(self, server: str, client: str, family: Family = "ipv4") -> str | None:
        """Return the address that `client` reaches `server` at, None where it has none of that family.

        It is the one on a network that both are joined to, else the first of the server's.
        """
        there = self.host(server)
        shared = [network for network in there.networks() if network in self.host(client).networks()]
        for network in (*shared, *there.networks()):
            found = there.on(network, family)
            if found is not None:
                return found
        return None


def load(name: str) -> Scenario:
    """Return the scenario that ships under this name, or that stands in this file.

    What holds a `/` or ends in `.toml` is a file. Raises BadQuestion that says what is wrong and what would be right.
    """
    from portbook.lab.plan_file import read, shipped

    if "/" in name or name.endswith(".toml"):
        return read(name)
    return read(shipped(name))
