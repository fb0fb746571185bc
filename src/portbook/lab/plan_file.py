"""A scenario's file (TOML): reading it, and saying what is wrong with it and what would be right.

Every mistake is a BadQuestion that names the file and the key. What the values mean is in scenario.py.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from os import path

from portbook.errors import N_, BadQuestion
from portbook.lab.plan_section import Section
from portbook.lab.programs import CANDIDATES, OURS
from portbook.lab.scenario import (
    CLIENT_KINDS,
    KINDS,
    SERVICE_OPTIONS,
    ClientPlan,
    HostPlan,
    Network,
    Published,
    Rule,
    Scenario,
    ServicePlan,
    Step,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from portbook.lab.scenario import Family, Transport

FOLDER = path.join(path.dirname(__file__), "scenarios")
ORDER = ("web-ftp", "client-server", "port-conflict", "gateway", "many-clients", "closed-doors", "main-ports")
"""The scenarios that ship, in the order of the course."""

MOST_CLIENTS = 60000
_TRANSPORTS = ("tcp", "udp")
_CHAINS = ("input", "forward")
_ACTIONS = ("accept", "drop", "port-unreachable", "admin-prohibited", "reset")
_FAMILIES = ("ipv4", "ipv6")
_OUTCOMES = ("answered", "refused", "rejected", "silent", "no-source-port")


def shipped(name: str) -> str:
    """Return the file of the scenario that ships under this name. Raises BadQuestion when there is none."""
    if name not in ORDER:
        raise BadQuestion(
            N_("there is no scenario {name}; there are: {names}; a file is given as ./{name}.toml"),
            name=name,
            names=", ".join(ORDER),
        )
    return path.join(FOLDER, f"{name}.toml")


def all_shipped() -> Iterator[Scenario]:
    """Yield the scenarios that ship."""
    for name in ORDER:
        yield read(shipped(name))


def read(file: str) -> Scenario:
    """Return the scenario in a file. Raises BadQuestion."""
    try:
        with open(file, "rb") as opened:
            data = opened.read()
    except OSError as error:
        raise BadQuestion(N_("{file} cannot be read: {reason}"), file=file, reason=error.strerror) from error
    return parse(data, file)


def parse(data: bytes, file: str) -> Scenario:
    """Return the scenario in the bytes of a file; its name is the file's. Raises BadQuestion."""
    import tomllib

    try:
        content = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise BadQuestion(N_("{file} is not UTF-8 text (byte {place})"), file=file, place=error.start) from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, as that of a number too long is
        raise BadQuestion(N_("{file} is not TOML: {reason}"), file=file, reason=str(error)) from error
    return _Reader(file).scenario(Section(file, "", content))


class _Reader:
    """Reads the parts in order, each checked against those before it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.blocks: list[tuple[str, IPv4Network | IPv6Network]] = []
        self.hosts: dict[str, HostPlan] = {}
        self.services: dict[str, ServicePlan] = {}
        self.up: set[str] = set()

    def scenario(self, whole: Section) -> Scenario:
        """Return the whole."""
        name = path.basename(self.file).removesuffix(".toml")
        title, story = whole.text("title"), whole.text("story", "")
        networks = tuple(self.network(name, section) for name, section in whole.tables("networks"))
        hosts = whole.tables("hosts")
        if not hosts:
            raise whole.wrong("hosts", N_("{file}: {key} is missing: a lab needs a host, [hosts.NAME]"))
        for host, section in hosts:
            self.hosts[host] = self.host(host, section)
        self.check_gateways(dict(hosts))
        for service, section in whole.tables("services"):
            self.services[service] = self.service(service, section)
        self.up = {name for name, service in self.services.items() if service.autostart}
        made = Scenario(
            name,
            title,
            " ".join(story.split()),
            networks,
            tuple(self.hosts.values()),
            tuple(self.services.values()),
        )
        made = replace(
            made,
            clients=tuple(self.client(section, made) for section in whole.list("clients")),
            rules=tuple(self.rule(section) for section in whole.list("rules")),
            published=tuple(self.publication(section) for section in whole.list("published")),
            steps=tuple(self.step(section, made) for section in whole.list("steps")),
        )
        whole.end()
        return made

    def network(self, name: str, section: Section) -> Network:
        """Return a network: [networks.NAME]."""
        found: dict[str, str | None] = {"ipv4": None, "ipv6": None}
        for version, key, example in ((4, "ipv4", "192.168.1.0/24"), (6, "ipv6", "fd00:1::/64")):
            text = section.text(key) if version == 4 else section.text(key, None)
            if text is None:
                continue
            try:
                block = ip_network(text)
            except ValueError:
                block = None
            message = N_("{file}: {key} must be a block of addresses such as {example}; not {value}")
            if block is None or block.version != version or block.is_loopback or block.is_multicast:
                raise section.wrong(key, message, example=example, value=text)
            for other, one in self.blocks:
                if block.version == one.version and block.overlaps(one):
                    message = N_("{file}: {key} overlaps the network {other}; take another block")
                    raise section.wrong(key, message, other=other)
            self.blocks.append((name, block))
            found[key] = str(block)
        section.end()
        assert found["ipv4"] is not None
        return Network(name, found["ipv4"], found["ipv6"])

    def host(self, name: str, section: Section) -> HostPlan:
        """Return a host: [hosts.NAME]."""
        given = section.take("addresses")
        if not isinstance(given, list) or not given:
            raise section.wrong("addresses", N_('{file}: {key} must be a list such as ["192.168.1.5", "fd00:1::5"]'))
        addresses = tuple(self.address(text, section) for text in given)
        interfaces = [(network, ":" in address) for network, address in addresses]
        if len(set(interfaces)) < len(interfaces):
            raise section.wrong("addresses", N_("{file}: {key} has two addresses of one family on one network"))
        forwards, masquerade = section.truth("forwards", False), section.truth("masquerade", False)
        if masquerade and not forwards:
            raise section.wrong("masquerade", N_("{file}: {key} needs forwards = true on the same host"))
        source_ports = section.take("source_ports", None)
        if source_ports is not None:
            ports = source_ports if isinstance(source_ports, list) else []
            in_range = all(type(one) is int and 1 <= one <= 65535 for one in ports)
            if len(ports) != 2 or not in_range or ports[0] > ports[1]:
                message = N_("{file}: {key} must be the first and the last port, such as [49152, 65535]")
                raise section.wrong("source_ports", message)
            source_ports = tuple(ports)
        gateway = section.text("gateway", None)
        section.end()
        return HostPlan(name, addresses, gateway, forwards, masquerade, source_ports)

    def address(self, text: object, section: Section) -> tuple[str, str]:
        """Return the network of an address, and the address with the length of that network's prefix."""
        try:
            address = ip_address(text) if isinstance(text, str) else None
        except ValueError:
            address = None
        if address is None:
            message = N_("{file}: {key} has {value}, which is no IPv4 or IPv6 address")
            raise section.wrong("addresses", message, value=text)
        for name, block in self.blocks:
            if address in block and address not in (block.network_address, getattr(block, "broadcast_address", None)):
                taken = f"{address}/{block.prefixlen}"
                for other in self.hosts.values():
                    if taken in (one for _, one in other.addresses):
                        message = N_("{file}: {key} has {value}, which is {other}'s already")
                        raise section.wrong("addresses", message, value=text, other=other.name)
                return name, taken
        blocks = ", ".join(str(block) for _, block in self.blocks)
        message = N_("{file}: {key} has {value}, which is in none of the networks: {networks}")
        raise section.wrong("addresses", message, value=text, networks=blocks or "-")

    def check_gateways(self, sections: Mapping[str, Section]) -> None:
        """Refuse a gateway that is no host, does not forward, or shares no network."""
        for host in self.hosts.values():
            if host.gateway is None:
                continue
            gateway = self.hosts.get(host.gateway)
            near = gateway is not None and set(gateway.networks()) & set(host.networks())
            if gateway is None or gateway is host or not gateway.forwards or not near:
                message = N_(
                    "{file}: {key} must name a host with forwards = true on one of its networks; not {value}"
                )
                raise sections[host.name].wrong("gateway", message, value=host.gateway)

    def known_host(self, section: Section, key: str = "host") -> str:
        """Return the name of a host under a key."""
        name: str = section.choice(key, tuple(self.hosts))
        return name

    def service(self, name: str, section: Section) -> ServicePlan:
        """Return a service: [services.NAME]."""
        host, kind = self.known_host(section), section.choice("kind", tuple(KINDS))
        transports = section.transports(KINDS[kind])
        port, address = section.port("port"), section.text("address", None)
        if address is not None:
            own = [one.partition("/")[0] for _, one in self.hosts[host].addresses]
            if address not in (*own, "127.0.0.1", "::1"):
                message = N_("{file}: {key} must be one of: {choices}; not {value}")
                raise section.wrong("address", message, choices=", ".join((*own, "127.0.0.1", "::1")), value=address)
        options = tuple(
            (one, section.truth(one, SERVICE_OPTIONS[one])) for one in SERVICE_OPTIONS if one in section.left
        )
        autostart, optional = section.truth("autostart", True), section.truth("optional", False)
        programs = [one.name for one in CANDIDATES.get(kind, ())] + ["python"] * (kind in OURS)
        program = section.choice("program", tuple(programs), None)
        section.taken += SERVICE_OPTIONS
        section.end()
        made = ServicePlan(name, host, kind, port, transports, address, options, autostart, program, optional)
        for other in self.services.values():
            same = (other.host, other.port) == (host, port) and set(other.transports) & set(transports)
            shared = ("reuse_port", True) in options and ("reuse_port", True) in other.options
            meet = address is None or other.address in (None, address)
            if same and meet and not shared and autostart and other.autostart:
                message = N_("{file}: {key} is held by {other} already; take another, or add autostart = false")
                raise section.wrong("port", message, other=other.name)
        return made

    def client(self, section: Section, made: Scenario) -> ClientPlan:
        """Return what a client says: [[clients]], or the `ask` of a step."""
        host, server = self.known_host(section), self.known_host(section, "server")
        kind = section.choice("kind", tuple(CLIENT_KINDS))
        transport: Transport = section.choice("transport", CLIENT_KINDS[kind], CLIENT_KINDS[kind][0])
        family: Family = section.choice("family", _FAMILIES, "ipv4")
        port, source_port = section.port("port"), section.port("source_port", None)
        count, hold = section.number("count", 1, MOST_CLIENTS, 1), section.truth("hold", True)
        if None in (made.address(server, host, family), made.address(host, host, family)):
            message = N_("{file}: {key} is {value}, but {host} or {server} has no such address")
            raise section.wrong("family", message, value=family, host=host, server=server)
        if source_port is not None and source_port + count > 65536:
            message = N_("{file}: {key} with a count of {count} goes beyond port 65535")
            raise section.wrong("source_port", message, count=count)
        section.end()
        return ClientPlan(host, kind, server, port, transport, family, source_port, count, hold)

    def rule(self, section: Section) -> Rule:
        """Return a rule of a firewall: [[rules]]."""
        host, chain = self.known_host(section), section.choice("chain", _CHAINS, "input")
        transport: Transport = section.choice("transport", _TRANSPORTS, "tcp")
        port, action = section.port("port"), section.choice("action", _ACTIONS)
        if action == "reset" and transport != "tcp":
            raise section.wrong("action", N_("{file}: {key}: a reset is TCP's; for UDP take port-unreachable"))
        section.end()
        return Rule(host, chain, transport, port, action)

    def publication(self, section: Section) -> Published:
        """Return a published port: [[published]]."""
        host, to_host = self.known_host(section), self.known_host(section, "to_host")
        transport: Transport = section.choice("transport", _TRANSPORTS, "tcp")
        port, to_port = section.port("port"), section.port("to_port")
        if not self.hosts[host].forwards:
            raise section.wrong("host", N_("{file}: {key}: a host that passes a port on needs forwards = true"))
        section.end()
        return Published(host, port, transport, to_host, to_port)

    def step(self, section: Section, made: Scenario) -> Step:
        """Return a step of the story: [[steps]]."""
        text = section.text("text")
        given = [one for one in ("start", "stop", "ask") if one in section.left]
        if len(given) != 1:
            section.left.clear()
            raise section.wrong("start", N_("{file}: {key}: a step has one of: start, stop, ask"))
        if given == ["ask"]:
            ask = section.take("ask")
            if not isinstance(ask, dict):
                message = N_('{file}: {key} must be a table such as {{ host = "client", kind = "http", ... }}')
                raise section.wrong("ask", message)
            client = self.client(Section(self.file, section.key("ask"), ask), made)
            step = Step(text, "ask", client=client, expect=section.choice("expect", _OUTCOMES, "answered"))
        elif given == ["start"]:
            service = section.choice("start", tuple(self.services))
            if service in self.up:
                raise section.wrong("start", N_("{file}: {key}: {service} is up by then"), service=service)
            step = Step(text, "start", service, expect=section.choice("expect", _OUTCOMES[:2], "answered"))
            if step.expect == "answered":
                self.up.add(service)
        else:
            service = section.choice("stop", tuple(self.services))
            if service not in self.up:
                raise section.wrong("stop", N_("{file}: {key}: {service} is not up by then"), service=service)
            self.up.remove(service)
            step = Step(text, "stop", service)
        section.end()
        self.check_certain(step, section)
        return step

    def check_certain(self, step: Step, section: Section) -> None:
        """Refuse a step on a service that may be left out."""
        asked = (step.client.server, step.client.port) if step.client is not None else None
        for service in self.services.values():
            if service.optional and (service.name == step.service or (service.host, service.port) == asked):
                message = N_("{file}: {key}: {service} is optional, so no step can count on it")
                raise section.wrong(step.action, message, service=service.name)
