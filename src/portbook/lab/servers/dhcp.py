"""DHCP (RFC 2131): servers of ISC, dnsmasq and BusyBox lease IPv4 addresses; clients of ISC and dhcpcd get one.

A server leases addresses of its host's network that no host of the plan has. Server and client find each other by
broadcasts, so each has one interface; the client's port is the one after the server's.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from shlex import quote

from portbook.errors import N_, Unavailable
from portbook.lab.servers.program import Candidate, Program, insist_on_port, user_among, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Network

    from portbook.lab.scenario import ServicePlan

LEASES = "kept/leases"
"""The file in a service's folder that has the leases."""

_POOL = 21
_SECONDS = 3600
_PORT = 67

_BIND = """\
case "$reason" in
PREINIT)
    ip link set "$interface" up
    ;;
BOUND | RENEW | REBIND | REBOOT)
    ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface"
    if [ -n "$old_ip_address" ] && [ "$old_ip_address" != "$new_ip_address" ]; then
        ip address delete "$old_ip_address/$old_subnet_mask" dev "$interface"
    fi
    if [ -n "$new_routers" ]; then
        ip route replace default via "${new_routers%% *}" dev "$interface"
    fi
    touch "$ready"
    ;;
EXPIRE | FAIL | RELEASE | STOP)
    if [ -n "$old_ip_address" ]; then
        ip address delete "$old_ip_address/$old_subnet_mask" dev "$interface"
    fi
    ;;
esac
"""
"""What the script of dhclient does with a lease (dhclient-script(8)): the address and the route, and nothing else."""

_TELL = """\
case "$reason" in
BOUND | RENEW | REBIND | REBOOT)
    touch "$ready"
    ;;
esac
"""
"""What the script of dhcpcd does, which sets the address itself (dhcpcd-run-hooks(8))."""


@dataclass(frozen=True)
class Pool:
    """What a server leases on an interface: the addresses from `first` to `last` of a network, and its router."""

    interface: str
    network: IPv4Network
    first: IPv4Address
    last: IPv4Address
    router: IPv4Address | None

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return int(self.last) - int(self.first) + 1


def pool(service: ServicePlan) -> Pool:
    """Return what a service leases: on the network of its address, else on the first that has IPv4.

    Raises Unavailable where its host has no such address, or hosts have all that there are.
    """
    hosts = {host.name: host for host in service.hosts}
    taken = {address.partition("/")[0] for host in hosts.values() for _, address in host.addresses}
    own = hosts[service.host]
    for network, text in own.addresses:
        if ":" not in text and service.address in (None, text.partition("/")[0]):
            block = IPv4Interface(text).network
            free = _free(block, taken)
            if free:
                router = own.on(network) if own.forwards else None
                if router is None and own.gateway is not None:
                    router = hosts[own.gateway].on(network)
                interface = f"eth{own.networks().index(network)}"
                return Pool(interface, block, free[-1], free[0], IPv4Address(router) if router else None)
    raise Unavailable(
        N_("{service} has no IPv4 address to lease: give {host} one in a network that is not full"),
        service=service.name,
        host=service.host,
    )


def _free(block: IPv4Network, taken: Collection[str]) -> list[IPv4Address]:
    """Return successive addresses that nobody has, downward: .220 to .200 of the last 256, or the last of fewer."""
    found: list[IPv4Address] = []
    number = int(block.broadcast_address) - (35 if block.num_addresses >= 256 else 1)
    while number > int(block.network_address) and len(found) < _POOL:
        address = IPv4Address(number)
        if str(address) not in taken:
            found.append(address)
        elif found:
            break
        number -= 1
    return found


def _kept(folder: str, user: str | None) -> tuple[tuple[str, ...], ...]:
    """Return the commands that give what is kept to whom a server becomes."""
    return (("chown", "-R", user, f"{folder}/kept"),) if user else ()


def _dhcpd(path: str, service: ServicePlan, folder: str) -> Program:
    given = pool(service)
    router = f" option routers {given.router};" if given.router else ""
    text = (
        f"authoritative; ddns-update-style none; ping-check false;\n"
        f"default-lease-time {_SECONDS}; max-lease-time {_SECONDS};\n"
        f"subnet {given.network.network_address} netmask {given.network.netmask}"
        f" {{ range {given.first} {given.last};{router} }}\n"
    )
    private = ("-cf", f"{folder}/dhcpd.conf", "-lf", f"{folder}/{LEASES}", "--no-pid")
    user = user_among("dhcpd")
    become = ("-user", user, "-group", "nogroup") if user else ()
    return Program(
        (path, "-4", "-f", "-d", *private, *become, "-p", str(service.port), given.interface),
        version(path, "--version", pattern=r"dhcpd-([\w.-]+)"),
        (("dhcpd.conf", text), (LEASES, "")),
        _kept(folder, user),
    )


def _dnsmasq(path: str, service: ServicePlan, folder: str) -> Program:
    given = pool(service)
    user = user_among("dnsmasq")
    lines = [
        "port=0",
        f"interface={given.interface}",
        "except-interface=lo",
        f"dhcp-alternate-port={service.port},{service.port + 1}",
        f"dhcp-range={given.first},{given.last},{given.network.netmask},{_SECONDS}",
        # Without a router of its own it would name itself.
        f"dhcp-option=option:router{f',{given.router}' if given.router else ''}",
        f"dhcp-leasefile={folder}/{LEASES}",
        "dhcp-authoritative",
        "no-ping",
        "log-facility=-",
        "pid-file=",
        f"user={user or ''}",
        "group=",
    ]
    return Program(
        (path, "-k", "-C", f"{folder}/dnsmasq.conf"),
        version(path, "--version", pattern=r"version ([\d.]+\d)"),
        (("dnsmasq.conf", "\n".join(lines) + "\n"), (LEASES, "")),
        _kept(folder, user),
    )


def _udhcpd(path: str, service: ServicePlan, folder: str) -> Program:
    insist_on_port(service, "udhcpd", _PORT)
    given = pool(service)
    user = user_among()
    lines = [
        f"start {given.first}",
        f"end {given.last}",
        f"max_leases {given.size}",
        f"interface {given.interface}",
        f"lease_file {folder}/{LEASES}",
        "auto_time 1",
        f"pidfile {folder}/kept/pid",
        f"option subnet {given.network.netmask}",
        f"option lease {_SECONDS}",
        *([f"option router {given.router}"] if given.router else []),
    ]
    rights = "+net_bind_service,+net_raw"
    become = ("--reuid", user, "--regid", "nogroup", "--clear-groups") if user else ()
    return Program(
        (
            *("setpriv", *become, "--inh-caps", rights, "--ambient-caps", rights),
            # It asks by ARP whether an address is free, and waits for the answer so many milliseconds.
            *(path, "-f", "-a", "100", f"{folder}/udhcpd.conf"),
        ),
        version(path, "--help", pattern=r"BusyBox v([\d.]+)"),
        (("udhcpd.conf", "\n".join(lines) + "\n"), (LEASES, "")),
        _kept(folder, user),
    )


def _dhclient(path: str, service: ServicePlan, folder: str) -> Program:
    text = (
        "timeout 60; retry 1; initial-interval 1; backoff-cutoff 2; select-timeout 0; reboot 1;\n"
        "send host-name = gethostname(); request subnet-mask, routers;\n"
    )
    script, installing, place = _script(service, folder, _BIND)
    private = ("-cf", f"{folder}/dhclient.conf", "-lf", f"{folder}/{LEASES}", "-pf", f"{folder}/kept/pid")
    return Program(
        (path, "-4", "-d", *private, "-sf", place, "-p", str(service.port), _wanting(service)),
        version(path, "--version", pattern=r"dhclient-([\w.-]+)"),
        (("dhclient.conf", text), (LEASES, ""), script),
        (installing,),
        ready="ready",
    )


def _dhcpcd(path: str, service: ServicePlan, folder: str) -> Program:
    insist_on_port(service, "dhcpcd", _PORT + 1)
    # It does not ask by ARP whether the address is free, for that takes five seconds.
    text = "ipv4only\nnoarp\nhostname\noption subnet_mask, routers\n"
    script, installing, place = _script(service, folder, _TELL)
    return Program(
        (path, "-B", "-f", f"{folder}/dhcpcd.conf", "-c", place, _wanting(service)),
        version(path, "--version", pattern=r"dhcpcd ([\d.]+)"),
        (("dhcpcd.conf", text), script),
        (installing,),
        empty=("/var/lib/dhcpcd",),
        ready="ready",
    )


def _script(service: ServicePlan, folder: str, text: str) -> tuple[tuple[str, str], tuple[str, ...], str]:
    """Return a client's script as a file, the command that puts it into its place, and that place."""
    # The folder may lie where nothing may be executed; the host's own /run does not.
    place = f"/run/{service.name}/script"
    file = ("script", f"#!/bin/sh\nready={quote(f'{folder}/ready')}\n{text}")
    return file, ("install", "-D", "-m", "755", f"{folder}/script", place), place


def _wanting(service: ServicePlan) -> str:
    """Return the first interface of its host that has no IPv4 address by the plan, else the first."""
    host = next(host for host in service.hosts if host.name == service.host)
    lacking = [number for number, network in enumerate(host.networks()) if host.on(network) is None]
    return f"eth{(lacking or [0])[0]}"


SERVERS = (
    Candidate("dhcpd", "ISC DHCP", "isc-dhcp-server", _dhcpd),
    Candidate("dnsmasq", "dnsmasq", "dnsmasq-base", _dnsmasq),
    Candidate("udhcpd", "BusyBox", "udhcpd", _udhcpd),
)
CLIENTS = (
    Candidate("dhclient", "ISC DHCP", "isc-dhcp-client", _dhclient),
    Candidate("dhcpcd", "dhcpcd", "dhcpcd-base", _dhcpcd),
)
