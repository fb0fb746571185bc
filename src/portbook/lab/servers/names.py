"""Name servers: BIND, Unbound, dnsmasq, NSD. Each knows the zone `lab.` with every host of its lab, and nothing else.

The zone's own name has the addresses of the server's host, so that one question fits every lab. None asks another
server, and all serve UDP and TCP, whichever of them the plan promises.
"""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, addresses, user_among, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

ZONE = "lab"

_MOST_CLIENTS = 1000


def records(service: ServicePlan) -> list[tuple[str, str, str]]:
    """Return the addresses of the zone as full name, type of record (A or AAAA; RFC 1035, RFC 3596) and address."""
    found = []
    for host in service.hosts:
        for name in (f"{host.name}.{ZONE}.", *((f"{ZONE}.",) if host.name == service.host else ())):
            for _, interface in host.addresses:
                address = interface.partition("/")[0]
                found.append((name, "AAAA" if ":" in address else "A", address))
    return found


def _zone(service: ServicePlan) -> str:
    """Return the zone as a file (RFC 1035, section 5)."""
    own = f"{service.host}.{ZONE}."
    lines = [
        "$TTL 3600",
        f"{ZONE}. IN SOA {own} hostmaster.{ZONE}. 1 3600 600 86400 300",
        f"{ZONE}. IN NS {own}",
        *(f"{name} IN {kind} {address}" for name, kind, address in records(service)),
    ]
    return "\n".join(lines) + "\n"


def _named(path: str, service: ServicePlan, folder: str) -> Program:
    listens = "".join(
        f"  listen-on{'-v6' if six else ''} port {service.port} {{ {_matched(service, six)}; }};\n"
        for six in (False, True)
    )
    text = (
        "options {\n"
        f'  directory "{folder}"; pid-file none; lock-file none; session-keyfile none;\n{listens}'
        "  recursion no; allow-query { any; }; dnssec-validation no; notify no; empty-zones-enable no;\n"
        # It keeps a connection no longer than two minutes but for those that ask for it (RFC 7828).
        f"  tcp-clients {_MOST_CLIENTS}; tcp-listen-queue 256; tcp-idle-timeout 1200; tcp-keepalive-timeout 65535;\n"
        "};\n"
        "controls { };\n"
        f'zone "{ZONE}" {{ type primary; file "{folder}/{ZONE}.zone"; check-names ignore; }};\n'
    )
    return Program(
        (path, "-g", "-n", "1", "-c", f"{folder}/named.conf"),
        version(path, "-v", pattern=r"BIND ([\d.]+\d)"),
        (("named.conf", text), (f"{ZONE}.zone", _zone(service))),
        user=user_among("bind"),
    )


def _matched(service: ServicePlan, six: bool) -> str:
    if service.address is None:
        return "any"
    return service.address if (":" in service.address) == six else "none"


def _unbound(path: str, service: ServicePlan, folder: str) -> Program:
    lines = [
        "server:",
        *(f"interface: {address}" for address in addresses(service)),
        f"port: {service.port}",
        f'directory: "{folder}"',
        'chroot: ""',
        'username: ""',
        'pidfile: ""',
        'logfile: ""',
        "do-daemonize: no",
        "use-syslog: no",
        "num-threads: 1",
        "access-control: 0.0.0.0/0 allow",
        "access-control: ::/0 allow",
        'module-config: "iterator"',
        f"incoming-num-tcp: {_MOST_CLIENTS}",
        "tcp-idle-timeout: 6553500",
        "edns-tcp-keepalive: yes",
        "edns-tcp-keepalive-timeout: 6553500",
        # What is not in the zone is nobody's: nothing is asked outside.
        'local-zone: "." refuse',
        f'local-zone: "{ZONE}." static',
        f'local-data: "{ZONE}. SOA {service.host}.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 300"',
        f'local-data: "{ZONE}. NS {service.host}.{ZONE}."',
        *(f'local-data: "{name} {kind} {address}"' for name, kind, address in records(service)),
        "remote-control:",
        "control-enable: no",
    ]
    return Program(
        (path, "-d", "-c", f"{folder}/unbound.conf"),
        version(path, "-V", pattern=r"Version ([\d.]+)"),
        (("unbound.conf", "\n".join(lines) + "\n"),),
        user=user_among("unbound"),
    )


def _dnsmasq(path: str, service: ServicePlan, folder: str) -> Program:
    listens = [] if service.address is None else [f"listen-address={service.address}", "bind-interfaces"]
    # From 2.90 on; those before keep 20 connections, and all of them end one after 150 seconds.
    many = version(path, "--help", pattern="max-tcp-connections")
    lines = [
        f"port={service.port}",
        *listens,
        *([f"{many}={_MOST_CLIENTS}"] if many else []),
        "no-resolv",
        "no-hosts",
        f"local=/{ZONE}/",
        *(f"host-record={name.rstrip('.')},{address}" for name, _, address in records(service)),
        "log-facility=-",
        "pid-file=",
        # It is the user already that it would become, or there is none.
        "user=",
        "group=",
    ]
    return Program(
        (path, "-k", "-C", f"{folder}/dnsmasq.conf"),
        version(path, "--version", pattern=r"version ([\d.]+\d)"),
        (("dnsmasq.conf", "\n".join(lines) + "\n"),),
        user=user_among("dnsmasq"),
    )


def _nsd(path: str, service: ServicePlan, folder: str) -> Program:
    lines = [
        "server:",
        *(f"ip-address: {address}" for address in addresses(service)),
        f"port: {service.port}",
        f'zonesdir: "{folder}"',
        f'xfrdir: "{folder}"',
        f'xfrdfile: "{folder}/xfrd.state"',
        f'zonelistfile: "{folder}/zone.list"',
        f'cookie-secret-file: "{folder}/cookie.secrets"',
        'chroot: ""',
        'username: ""',
        'pidfile: ""',
        'database: ""',
        "server-count: 1",
        f"tcp-count: {_MOST_CLIENTS}",
        "tcp-timeout: 86400",
        "rrl-ratelimit: 0",
        "remote-control:",
        "control-enable: no",
        "zone:",
        f"name: {ZONE}",
        f"zonefile: {ZONE}.zone",
    ]
    return Program(
        (path, "-d", "-c", f"{folder}/nsd.conf"),
        version(path, "-v", pattern=r"version ([\d.]+\d)"),
        (("nsd.conf", "\n".join(lines) + "\n"), (f"{ZONE}.zone", _zone(service))),
        user=user_among("nsd"),
    )


DNS = (
    Candidate("named", "BIND", "bind9", _named),
    Candidate("unbound", "Unbound", "unbound", _unbound),
    Candidate("dnsmasq", "dnsmasq", "dnsmasq-base", _dnsmasq),
    Candidate("nsd", "NSD", "nsd", _nsd),
)
