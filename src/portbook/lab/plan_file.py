"""A scenario's file (TOML): reading it, and saying what is wrong with it and what would be right.

Every mistake is a BadQuestion that names the file and the key. What the values mean is in scenario.py.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from os import path

from portbook.errors import N_, BadQuestion
from portbook.lab.scenario import (
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
    from typing import Any

    from portbook.lab.scenario import Family, Transport

FOLDER = path.join(path.dirname(__file__), "scenarios")
ORDER = ("web-ftp", "client-server", "port-conflict", "gateway", "many-clients", "closed-doors")
"""The scenarios that ship, in the order of the course."""

MOST_CLIENTS = 60000
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_TRANSPORTS = ("tcp", "udp")
_CHAINS = ("input", "forward")
_ACTIONS = ("accept", "drop", "port-unreachable", "admin-prohibited", "reset")
_FAMILIES = ("ipv4", "ipv6")
_OUTCOMES = ("answered", "refused", "rejected", "silent", "no-source-port")
_REQUIRED = object()


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
    return _Reader(file).scenario(_Section(file, "", content))


class _Section:
    """One table of the file: its keys are taken one by one, and none may be left."""

    def __init__(self, file: str, where: str, content: Mapping[str, Any]) -> None:
        self.file = file
        self.where = where
        self.left = dict(content)
        self.taken: list[str] = []

    def key(self, name: str) -> str:
        """Return how a key of this table is named to the reader."""
        return f"{self.where}.{name}" if self.where else name

    def wrong(self, name: str, message: str, **values: object) -> BadQuestion:
        """Return the error for a key; `message` has the fields {file} and {key}, and those of the values."""
        return BadQuestion(message, file=self.file, key=self.key(name), **values)

    def take(self, name: str, default: object = _REQUIRED) -> Any:
        """Return the value of a key and count it as known."""
        self.taken.append(name)
        if name in self.left:
            return self.left.pop(name)
        if default is _REQUIRED:
            raise self.wrong(name, N_("{file}: {key} is missing"))
        return default

    def text(self, name: str, default: object = _REQUIRED) -> Any:
        """Return a text, or the default."""
        value = self.take(name, default)
        if value is not default and not (isinstance(value, str) and value.strip()):
            raise self.wrong(name, N_('{file}: {key} must be a text in quotes, such as {key} = "..."'))
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: object = _REQUIRED) -> Any:
        """Return one of some words."""
        value = self.take(name, default)
        if value not in choices:
            known = ", ".join(choices) or N_("none")
            raise self.wrong(
                name, N_("{file}: {key} must be one of: {choices}; not {value}"), choices=known, value=value
            )
        return value

    def number(self, name: str, lowest: int, highest: int, default: object = _REQUIRED) -> Any:
        """Return a whole number within bounds."""
        value = self.take(name, default)
        if value is default and default is not _REQUIRED:
            return value
        if type(value) is not int or not lowest <= value <= highest:
            message = N_("{file}: {key} must be a whole number from {lowest} to {highest}; not {value}")
            raise self.wrong(name, message, lowest=lowest, highest=highest, value=value)
        return value

    def port(self, name: str, default: object = _REQUIRED) -> Any:
        """Return a port."""
        return self.number(name, 1, 65535, default)

    def truth(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, N_("{file}: {key} must be true or false; not {value}"), value=value)
        return value

    def tables(self, name: str) -> list[tuple[str, _Section]]:
        """Return the named tables of a key: [hosts.client], [hosts.server]..."""
        value = self.take(name, {})
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            raise self.wrong(name, N_("{file}: {key} must be tables with names: [{key}.NAME]"))
        for one in value:
            if not _NAME.fullmatch(one):
                message = N_(
                    "{file}: {key} is no name; one is of a-z, 0-9 and -, begins with a letter, and has up to 31"
                )
                raise self.wrong(f"{name}.{one}", message)
        return [(one, _Section(self.file, self.key(f"{name}.{one}"), value[one])) for one in value]

    def list(self, name: str) -> list[_Section]:
        """Return the tables of a list: [[steps]], [[steps]]..."""
        value = self.take(name, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(name, N_("{file}: {key} must be a list of tables: [[{key}]]"))
        return [_Section(self.file, f"{self.key(name)}[{number}]", one) for number, one in enumerate(value, 1)]

    def end(self) -> None:
        """Refuse what nobody took."""
        for name in self.left:
            message = N_("{file}: {key} is not known; there are: {known}")
            raise self.wrong(name, message, known=", ".join(self.taken))


class _Reader:
    """Reads the parts in order, each checked against those before it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.blocks: dict[str, list[IPv4Network | IPv6Network]] = {}
        self.hosts: dict[str, HostPlan] = {}
        self.services: dict[str, ServicePlan] = {}

    def scenario(self, whole: _Section) -> Scenario:
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
        made = Scenario(
            name,
            title,
            story.strip(),
            networks,
            tuple(self.hosts.values()),
            tuple(self.services.values()),
        )
        rest = {
            "clients": tuple(self.client(section, made) for section in whole.list("clients")),
            "rules": tuple(self.rule(section) for section in whole.list("rules")),
            "published": tuple(self.publication(section) for section in whole.list("published")),
            "steps": tuple(self.step(section, made) for section in whole.list("steps")),
        }
        whole.end()
        from dataclasses import replace

        return replace(made, **rest)  # type: ignore[arg-type]

    def network(self, name: str, section: _Section) -> Network:
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
            for other, blocks in self.blocks.items():
                if any(block.version == one.version and block.overlaps(one) for one in blocks):
                    message = N_("{file}: {key} overlaps the network {other}; take another block")
                    raise section.wrong(key, message, other=other)
            self.blocks.setdefault(f"{name} {key}", []).append(block)
            found[key] = str(block)
        section.end()
        assert found["ipv4"] is not None
        return Network(name, found["ipv4"], found["ipv6"])

    def host(self, name: str, section: _Section) -> HostPlan:
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

    def address(self, text: object, section: _Section) -> tuple[str, str]:
        """Return the network of an address, and the address with the length of that network's prefix."""
        try:
            address = ip_address(text) if isinstance(text, str) else None
        except ValueError:
            address = None
        if address is None:
            message = N_("{file}: {key} has {value}, which is no IPv4 or IPv6 address")
            raise section.wrong("addresses", message, value=text)
        for name, (block, *_) in self.blocks.items():
            if address in block and address not in (block.network_address, getattr(block, "broadcast_address", None)):
                taken = f"{address}/{block.prefixlen}"
                for other in self.hosts.values():
                    if taken in (one for _, one in other.addresses):
                        message = N_("{file}: {key} has {value}, which is {other}'s already")
                        raise section.wrong("addresses", message, value=text, other=other.name)
                return name.split(" ")[0], taken
        blocks = ", ".join(str(block) for blocks in self.blocks.values() for block in blocks)
        message = N_("{file}: {key} has {value}, which is in none of the networks: {networks}")
        raise section.wrong("addresses", message, value=text, networks=blocks or "-")

    def check_gateways(self, sections: Mapping[str, _Section]) -> None:
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

    def known_host(self, section: _Section, key: str = "host") -> str:
        """Return the name of a host under a key."""
        name: str = section.choice(key, tuple(self.hosts))
        return name

    def service(self, name: str, section: _Section) -> ServicePlan:
        """Return a service: [services.NAME]."""
        host, kind = self.known_host(section), section.choice("kind", tuple(KINDS))
        transport: Transport = section.choice("transport", KINDS[kind], "tcp")
        port, address = section.port("port"), section.text("address", None)
        if address is not None:
            own = [one.partition("/")[0] for _, one in self.hosts[host].addresses]
            if address not in (*own, "127.0.0.1", "::1"):
                message = N_("{file}: {key} must be one of: {choices}; not {value}")
                raise section.wrong("address", message, choices=", ".join((*own, "127.0.0.1", "::1")), value=address)
        options = tuple(
            (one, section.truth(one, SERVICE_OPTIONS[one])) for one in SERVICE_OPTIONS if one in section.left
        )
        autostart = section.truth("autostart", True)
        section.taken += SERVICE_OPTIONS
        section.end()
        made = ServicePlan(name, host, kind, port, transport, address, options, autostart)
        for other in self.services.values():
            same = (other.host, other.port, other.transport) == (host, port, transport)
            shared = ("reuse_port", True) in options and ("reuse_port", True) in other.options
            meet = address is None or other.address in (None, address)
            if same and meet and not shared and autostart and other.autostart:
                message = N_("{file}: {key} is held by {other} already; take another, or add autostart = false")
                raise section.wrong("port", message, other=other.name)
        return made

    def client(self, section: _Section, made: Scenario) -> ClientPlan:
        """Return what a client says: [[clients]], or the `ask` of a step."""
        host, server = self.known_host(section), self.known_host(section, "server")
        kind = section.choice("kind", tuple(KINDS))
        transport: Transport = section.choice("transport", KINDS[kind], "tcp")
        family: Family = section.choice("family", _FAMILIES, "ipv4")
        port, source_port = section.port("port"), section.port("source_port", None)
        count, hold = section.number("count", 1, MOST_CLIENTS, 1), section.truth("hold", True)
        if made.address(server, host, family) is None or not any(
            made.host(host).on(n, family) for n in self.networks_of(host)
        ):
            message = N_("{file}: {key} is {value}, but {host} or {server} has no such address")
            raise section.wrong("family", message, value=family, host=host, server=server)
        if source_port is not None and source_port + count > 65536:
            message = N_("{file}: {key} with a count of {count} goes beyond port 65535")
            raise section.wrong("source_port", message, count=count)
        section.end()
        return ClientPlan(host, kind, server, port, transport, family, source_port, count, hold)

    def networks_of(self, host: str) -> tuple[str, ...]:
        """Return the names of the networks of a host."""
        return self.hosts[host].networks()

    def rule(self, section: _Section) -> Rule:
        """Return a rule of a firewall: [[rules]]."""
        host, chain = self.known_host(section), section.choice("chain", _CHAINS, "input")
        transport: Transport = section.choice("transport", _TRANSPORTS, "tcp")
        port, action = section.port("port"), section.choice("action", _ACTIONS)
        if action == "reset" and transport != "tcp":
            raise section.wrong("action", N_("{file}: {key}: a reset is TCP's; for UDP take port-unreachable"))
        section.end()
        return Rule(host, chain, transport, port, action)

    def publication(self, section: _Section) -> Published:
        """Return a published port: [[published]]."""
        host, to_host = self.known_host(section), self.known_host(section, "to_host")
        transport: Transport = section.choice("transport", _TRANSPORTS, "tcp")
        port, to_port = section.port("port"), section.port("to_port")
        if not self.hosts[host].forwards:
            raise section.wrong("host", N_("{file}: {key}: a host that passes a port on needs forwards = true"))
        section.end()
        return Published(host, port, transport, to_host, to_port)

    def step(self, section: _Section, made: Scenario) -> Step:
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
            client = self.client(_Section(self.file, section.key("ask"), ask), made)
            step = Step(text, "ask", client=client, expect=section.choice("expect", _OUTCOMES, "answered"))
        elif given == ["start"]:
            service = section.choice("start", tuple(self.services))
            step = Step(text, "start", service, expect=section.choice("expect", _OUTCOMES[:2], "answered"))
        else:
            step = Step(text, "stop", section.choice("stop", tuple(self.services)))
        section.end()
        return step
