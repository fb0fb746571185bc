"""The network of a lab: bridges and cables in the wire's namespace, addresses, routes and firewalls in the hosts'.

What is to be is written as the input of ip(8) and nft(8), by functions that do nothing else; these programs then do
the work. `cut` and `restore` pull and plug the cables of a host while the lab is up.
"""

from __future__ import annotations

import os
import subprocess

from portbook.endpoint import Endpoint
from portbook.errors import N_, Unavailable
from portbook.lab.namespaces import entry
from portbook.lab.servers.program import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from portbook.lab.scenario import Family, HostPlan, Rule, Scenario
    from portbook.lab.state import HostState, LabState

_VERDICTS = {
    "accept": "accept",
    "drop": "drop",
    "port-unreachable": "reject with icmpx type port-unreachable",
    "admin-prohibited": "reject with icmpx type admin-prohibited",
    "reset": "reject with tcp reset",
}


def needed_packages(scenario: Scenario) -> dict[str, str]:
    """Return the packages of `ip`, and of `nft` where it is needed, by these names."""
    routed = any(firewall(scenario, host) for host in scenario.hosts)
    return {"ip": "iproute2", "nft": "nftables"} if routed else {"ip": "iproute2"}


def needed_programs(scenario: Scenario) -> dict[str, str]:
    """Return the paths of `ip`, and of `nft` where it is needed. Raises Unavailable that names the package."""
    found = {}
    for name, package in needed_packages(scenario).items():
        path = installed(name)
        if path is None:
            raise Unavailable(
                N_("{scenario} needs the program {program}; install the package {package}"),
                scenario=scenario.name,
                program=name,
                package=package,
            )
        found[name] = path
    return found


def cable(host: int, interface: int) -> str:
    """Return the name of the bridge's end of a host's cable."""
    return f"host{host}eth{interface}"


def wire_lines(scenario: Scenario, pids: Mapping[str, int]) -> Iterator[str]:
    """Yield what makes the bridges and the cables; `pids` are those of the hosts' inits as the wire sees them."""
    numbers = {network.name: number for number, network in enumerate(scenario.networks)}
    yield "link set lo up"
    for number in numbers.values():
        yield f"link add br{number} type bridge forward_delay 0 mcast_snooping 0"
        # The bridge is a cable and no host: without an address of its own it says nothing.
        yield f"link set br{number} addrgenmode none up"
    for place, host in enumerate(scenario.hosts):
        for number, network in enumerate(host.networks()):
            end = cable(place, number)
            address = f"02:00:00:{(place + 1) >> 8:02x}:{(place + 1) & 0xFF:02x}:{number:02x}"
            yield (f"link add {end} type veth peer name eth{number} address {address} netns {pids[host.name]}")
            yield f"link set {end} master br{numbers[network]} addrgenmode none up"


def host_lines(scenario: Scenario, host: HostPlan, ipv6: bool = True) -> Iterator[str]:
    """Yield what gives a host its addresses and its default routes."""
    interfaces = {network: number for number, network in enumerate(host.networks())}
    yield "link set lo up"
    for network, address in host.addresses:
        if ":" not in address:
            yield f"address add {address} dev eth{interfaces[network]}"
        elif ipv6:
            yield f"address add {address} dev eth{interfaces[network]} nodad"
    for number in interfaces.values():
        yield f"link set eth{number} up"
    if host.gateway is None:
        return
    router = scenario.host(host.gateway)
    families: tuple[Family, ...] = ("ipv4", "ipv6") if ipv6 else ("ipv4",)
    for family in families:
        near = (router.on(network, family) for network in interfaces if host.on(network, family) is not None)
        via = next((address for address in near if address is not None), None)
        if via is not None:
            yield f"route add default via {via}"


def settings(scenario: Scenario, host: HostPlan) -> dict[str, str]:
    """Return the sysctls of a host's network: file below /proc/sys/net, and text."""
    # Addresses are used at once, since nobody else can have them.
    found = {"ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/router_solicitations": "0"}
    if host.forwards or any(published.host == host.name for published in scenario.published):
        found |= {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"}
    if host.source_ports is not None:
        found["ipv4/ip_local_port_range"] = "{} {}".format(*host.source_ports)
    return found


def firewall(scenario: Scenario, host: HostPlan) -> str:
    """Return the rules of a host as nft(8) reads them, empty where it has none."""
    chains = []
    for chain in ("input", "forward"):
        rules = [rule for rule in scenario.rules if rule.host == host.name and rule.chain == chain]
        if rules:
            hook = f"type filter hook {chain} priority filter;"
            # What a host says to itself passes every firewall that is made by hand.
            loopback = ['iifname "lo" accept'] if chain == "input" else []
            chains.append(_chain(chain, hook, [*loopback, *map(_rule, rules)]))
    translated = list(_translations(scenario, host))
    if translated:
        chains.append(_chain("prerouting", "type nat hook prerouting priority dstnat;", translated))
    if host.masquerade:
        out = len(host.networks()) - 1
        chains.append(
            _chain("postrouting", "type nat hook postrouting priority srcnat;", [f'oifname "eth{out}" masquerade'])
        )
    return "table inet lab {\n" + "".join(chains) + "}\n" if chains else ""


def _chain(name: str, hook: str, rules: list[str]) -> str:
    return f"  chain {name} {{\n    {hook}\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"


def _rule(rule: Rule) -> str:
    return f"{rule.transport} dport {rule.port} {_VERDICTS[rule.action]}"


def _translations(scenario: Scenario, host: HostPlan) -> Iterator[str]:
    for published in scenario.published:
        if published.host != host.name:
            continue
        words: dict[Family, str] = {"ipv4": "ip", "ipv6": "ip6"}
        for family, word in words.items():
            target = scenario.address(published.to_host, host.name, family)
            own = [address.partition("/")[0] for _, address in host.addresses if (":" in address) == (word == "ip6")]
            if target is not None and own:
                yield (
                    f"{word} daddr {{ {', '.join(own)} }} {published.transport} dport {published.port}"
                    f" dnat {word} to {Endpoint(target, published.to_port)}"
                )


def apply(command: list[str], text: str, entered: Callable[[], None] | None = None) -> None:
    """Give `ip -batch -` or `nft -f -` its input, in another namespace with `entered`. Raises Unavailable."""
    done = subprocess.run(  # noqa: S603
        command,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=entered,
    )
    if done.returncode:
        raise Unavailable(
            N_("{program} could not make the network: {reason}"),
            program=os.path.basename(command[0]),
            reason=" ".join(done.stderr.split()),
        )


def cut(state: LabState, host: str) -> None:
    """Pull the cables of a host: its interfaces have no carrier until `restore`. Raises BadQuestion."""
    _set_cables(state, state.host(host), "down")


def restore(state: LabState, host: str) -> None:
    """Plug the cables of a host in again. Raises BadQuestion."""
    _set_cables(state, state.host(host), "up")


def _set_cables(state: LabState, host: HostState, to: str) -> None:
    place = state.hosts.index(host)
    lines = [f"link set {cable(place, number)} {to}\n" for number in range(host.interfaces)]
    program = installed("ip") or "ip"
    try:
        with entry(state.wire, state.wire_inode, whole=False) as entered:
            apply([program, "-batch", "-"], "".join(lines), entered)
    except ProcessLookupError as error:
        raise Unavailable(N_("the lab {lab} has just ended"), lab=state.name) from error
