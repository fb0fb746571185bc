"""How fast ports are reached, and whether any is missed: between two network namespaces joined by a virtual cable.

A host that answers is tested beside nmap; one that drops everything but 14 open ports, one that also loses one SYN in
twenty, and one that takes 1,000 SYNs a second are tested again and again, and each open port must be found each time.
It needs root, and nft. Where many ports are silent the runs take minutes; --runs and --ports make them fewer.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from printed import Bar, bars, first_line, heading, machine, table
from side_by_side import ANSWERED, NotMeasured, measure, median_wall, portbook, ratio, rounds_argument, show

from portbook.errors import PortbookError
from portbook.linux.namespaces import entered, find_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 5
RUNS = 20
LIMITED_PORTS = 4000
"""Of the host that takes 1,000 SYNs a second: all its ports would take ten minutes."""

HOST = "10.66.0.2"
OPEN = (22, 80, 443, 1111, 2222, 3333, 3999, 5555, 8080, 12345, 23456, 33333, 44444, 65535)
SYN = "tcp flags & (syn | ack) == syn"
KEPT = f"tcp dport {{ {', '.join(map(str, OPEN))} }} accept; {SYN} drop;"
RULES = {
    "silent": KEPT,
    "silent, one SYN in twenty lost": f"{SYN} numgen random mod 20 == 0 drop; {KEPT}",
    "silent, 1,000 SYNs a second": f"{SYN} limit rate over 1000/second burst 50 packets drop; {KEPT}",
}
SILENT, _, LIMITED = RULES


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Make two namespaces that are joined, the far one with a thousand addresses; give their names."""
    near, far = f"portbook-bench-{os.getpid()}-near", f"portbook-bench-{os.getpid()}-far"
    with ExitStack() as stack:
        for name in (near, far):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far)
        for name, address in ((near, "10.66.0.1/24"), (far, f"{HOST}/24")):
            ip("-n", name, "address", "add", address, "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        # 10.67.0.0/22 is all the far host's.
        ip("-n", far, "route", "add", "local", "10.67.0.0/22", "dev", "lo")
        ip("-n", near, "route", "add", "10.67.0.0/22", "via", HOST)
        yield near, far


@contextmanager
def serving(far: str) -> Iterator[None]:
    """Have the far host accept on its open ports, and close what came at once."""
    with entered(find_namespace(far)):
        servers = [socket.create_server(("", port), backlog=1024) for port in OPEN]
    child = os.fork()
    if not child:
        try:
            by_descriptor = {server.fileno(): server for server in servers}
            watched = select.epoll()
            for descriptor in by_descriptor:
                watched.register(descriptor, select.EPOLLIN)
            while True:
                for descriptor, _ in watched.poll():
                    by_descriptor[descriptor].accept()[0].close()
        finally:
            os._exit(1)
    for server in servers:
        server.close()
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def judge(far: str, rules: str) -> None:
    """Have the far host's firewall go by these rules alone."""
    text = f"flush ruleset\ntable inet t {{ chain i {{ type filter hook input priority 0; {rules} }}; }}"
    subprocess.run(["ip", "netns", "exec", far, "nft", "-f", "-"], input=text, text=True, check=True)


def inside(name: str, command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


def found(near: str, ports: int) -> tuple[float, set[int]]:
    """Return how many seconds a test of the first ports took, and which of them it found open."""
    options = ("--no-identify", "--columns", "port,state")
    begun = perf_counter()
    done = subprocess.run(
        inside(near, portbook("test", HOST, "-p", f"1-{ports}", *options)),
        capture_output=True,
        text=True,
        check=False,
    )
    took = perf_counter() - begun
    if done.returncode not in (*ANSWERED, 1) or not done.stdout:
        raise NotMeasured(f"portbook test ended with {done.returncode}: {done.stderr}")
    return took, {int(line.split()[0]) for line in done.stdout.splitlines() if line.split()[1:] == ["open"]}


def repeated(near: str, far: str, runs: int, ports: int) -> list[Bar]:
    """Test each silent host again and again; print the times, and return the bars."""
    asked, rows = [], []
    for name, rules in RULES.items():
        judge(far, rules)
        some = min(ports, LIMITED_PORTS) if name == LIMITED else ports
        there = {port for port in OPEN if port <= some}
        times, missed = [], 0
        for _ in range(runs):
            took, told = found(near, some)
            times.append(took)
            missed += len(there - told)
        times.sort()
        rows.append((name, str(some), f"{statistics.median(times):.1f}", f"{times[0]:.1f} to {times[-1]:.1f}"))
        if name == SILENT:
            asked.append(Bar(f"{name}, seconds", times[-1], 15, "s"))
        asked.append(Bar(f"{name}: ports missed in {runs} runs", missed, 0))
    table(("host", "ports", "s", "range"), rows)
    return asked


def main() -> None:
    """Measure, print the figures and the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rounds_argument(parser)
    parser.set_defaults(rounds=ROUNDS)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"tests of each silent host ({RUNS})")
    parser.add_argument("--ports", type=int, default=65535, help="ports of a host, from 1 (65535)")
    parser.add_argument("--patient", action="store_true", help="nmap tests the silent host too: a minute and a half")
    asked = parser.parse_args()
    if os.geteuid() or not shutil.which("nft") or not shutil.which("ip"):
        sys.exit("this makes network namespaces and firewalls: it needs root, ip and nft")
    heading("Reach", asked.rounds)
    print(f"{machine()}; {first_line('nmap', '--version')}")
    ports = f"1-{asked.ports}"
    nmap = ["nmap", "-n", "-Pn", "-sT", "-T4", "-p", ports]
    try:
        with two_hosts() as (near, far), serving(far):
            everything, one = f"portbook test -p {ports} --no-identify", "portbook test HOST:80 --no-identify"
            thousand = "portbook test 10.67.0.0/22 -p 80 --no-identify"
            commands = {
                everything: inside(near, portbook("test", HOST, "-p", ports, "--no-identify")),
                one: inside(near, portbook("test", f"{HOST}:80", "--no-identify")),
                thousand: inside(near, portbook("test", "10.67.0.0/22", "-p", "80", "--no-identify")),
            }
            if shutil.which("nmap"):
                commands["nmap -n -Pn -sT -T4"] = inside(near, [*nmap, HOST])
            runs = measure(commands, asked.rounds)
            show(runs, "nmap -n -Pn -sT -T4" if shutil.which("nmap") else None)
            told = [
                Bar(
                    f"{ports} of a host that answers, against nmap", ratio(runs, everything, "nmap -n -Pn -sT -T4"), 1
                ),
                Bar("one port, whole process", median_wall(runs, one) * 1000, 150, "ms", strict=True),
                Bar("1,022 hosts with one port", median_wall(runs, thousand), 3, "s", strict=True),
            ]
            told += repeated(near, far, asked.runs, asked.ports)
            if asked.patient and shutil.which("nmap"):
                judge(far, RULES[SILENT])
                begun = perf_counter()
                subprocess.run(inside(near, [*nmap, HOST]), check=True, stdout=subprocess.DEVNULL)
                print(f"\nnmap with the silent host: {perf_counter() - begun:.1f} s")
    except (NotMeasured, PortbookError) as error:
        sys.exit(str(error))
    bars(told)


if __name__ == "__main__":
    main()
