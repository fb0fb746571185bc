"""How `portbook serve` bears 500 visitors at once, each of whom has the main ports of an address of its own tested.

Two network namespaces are joined by a virtual cable: in one the server with two workers, which share a Redis, in
the other all visitors, with nginx on some ports, a firewall that drops what comes to others, and nobody at the rest.
Every answer is held against what is there. Further crowds follow, by which the memory must not grow.
It needs root, nft, nginx, openssl and redis-server.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from printed import Bar, bars, machine, table
from side_by_side import portbook

from portbook.linux.namespaces import entered, find_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVER, SERVER6, PORT = "10.77.0.1", "fd77::1", 8080
VISITORS, VISITORS6 = "10.88.0.0/20", "fd88::/32"
SPEAK = {"80/tcp": "http", "443/tcp": "https", "8080/tcp": "http"}
DROPPED = {"23/tcp", "3389/tcp", "5432/tcp", "161/udp"}
NEVER_ASKED = {"68/udp", "514/udp"}
"""Services that answer nobody: nothing is sent there."""
NEVER_ASKED6 = {"67/udp"}
"""DHCP, which IPv6 has at another port."""
WORKERS = 2
FIRST_RESULT = 1.0
GROWTH = 1.05
"""What the last crowd may add to the memory of the second, as a ratio: the first fills what is kept."""

TICKS = os.sysconf("SC_CLK_TCK")


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True)


def inside(name: str, command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


@contextmanager
def joined() -> Iterator[tuple[str, str]]:
    """Make two namespaces that are joined, all the visitors' addresses in the second; give their names."""
    names = [f"portbook-bench-{os.getpid()}-{what}" for what in ("server", "visitors")]
    with ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
            ip("-n", name, "link", "set", "lo", "up")
        near, far = names
        ip("-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far)
        for name, number in ((near, 1), (far, 2)):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "cable")
            ip("-n", name, "address", "add", f"fd77::{number}/64", "dev", "cable", "nodad")
            ip("-n", name, "link", "set", "cable", "up")
        ip("-n", far, "route", "add", "local", VISITORS, "dev", "lo")
        for network, way in ((VISITORS, "10.77.0.2"), (VISITORS6, "fd77::2")):
            ip("-n", near, "route", "add", network, "via", way)
        with entered(find_namespace(far)):
            # As if each visitor were a host, which says itself that a port is closed.
            for setting, value in {
                "ipv4/icmp_ratemask": "0",
                "ipv6/icmp/ratelimit": "0",
                "ipv4/icmp_msgs_per_sec": "100000",
                "ipv4/icmp_msgs_burst": "100000",
            }.items():
                path = Path("/proc/sys/net") / setting
                if path.exists():
                    path.write_text(value)
        yield near, far


@contextmanager
def started(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside, its output in a file, until the end."""
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def nginx(far: str, folder: Path) -> Iterator[None]:
    """Have nginx answer for every visitor."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=visitor.example"),
        ],
        check=True,
        capture_output=True,
    )
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{ worker_connections 8192; }}
        http {{
            access_log off; {" ".join(f"{place}_temp_path {folder}/{place};" for place in places)}
            ssl_certificate {certificate}; ssl_certificate_key {key};
            server {{ listen 80; listen [::]:80; listen 8080; listen [::]:8080; return 200 "here\\n"; }}
            server {{ listen 443 ssl; listen [::]:443 ssl; return 200 "here\\n"; }}
        }}"""
    )
    with started(inside(far, ["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"]), folder / "nginx"):
        yield


def drop(far: str) -> None:
    """Have the visitors' firewall drop what comes to some ports."""
    rules = "".join(
        f"{transport} dport {{ {', '.join(each.partition('/')[0] for each in DROPPED if each.endswith(transport))} }}"
        " drop; "
        for transport in ("tcp", "udp")
    )
    text = f"table inet t {{ chain i {{ type filter hook input priority 0; {rules} }}; }}"
    subprocess.run(inside(far, ["nft", "-f", "-"]), input=text, text=True, check=True)


@contextmanager
def serving(near: str, folder: Path, database: str | None) -> Iterator[int]:
    """Run the server; give the PID of its first process."""
    socket = folder / "redis.sock"
    often = "1000000/minute"
    names = ("address", "network", "all", "requests", "network_requests")
    (folder / "portbook.toml").write_text(
        f"""
        listen = "[::]:{PORT}"
        mode = "lan"
        lan = ["{VISITORS}", "{VISITORS6}"]
        workers = {WORKERS}
        shared = "unix://{socket}"
        data = "{folder}/data"
        {f'database = "{database}"' if database else ""}
        [quotas]
        {"".join(f'{name} = "{often}"{chr(10)}' for name in names)}
        """
    )
    redis = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    with (
        started(redis, folder / "redis"),
        started(inside(near, portbook("serve", "--config", f"{folder}/portbook.toml")), folder / "serve") as running,
    ):
        until = time.monotonic() + 20
        with entered(find_namespace(near)):
            while True:
                try:
                    urlopen(f"http://{SERVER}:{PORT}/", timeout=5).close()
                    break
                except OSError:
                    if running.poll() is not None or time.monotonic() > until:
                        sys.exit((folder / "serve").read_text())
                    time.sleep(0.1)
        yield running.pid


def processes(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def memory(pid: int, what: str) -> int:
    """Return the bytes that the server's processes have (VmRSS), or had at most (VmHWM), taken together."""
    total = 0
    for one in processes(pid):
        lines = Path(f"/proc/{one}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024
    return total


def busy(pid: int) -> float:
    """Return the seconds of the processors that the server's processes have had."""
    fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in processes(pid)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def crowd(far: str, addresses: list[str], within: float) -> list[dict[str, Any]]:
    """Have all visit at once, and return what each saw."""
    command = [sys.executable, str(Path(__file__).with_name("visitors.py")), "--within", str(within)]
    urls = [f"http://{SERVER}:{PORT}", f"http://[{SERVER6}]:{PORT}"]
    done = subprocess.run(
        inside(far, [*command, *urls]), input=" ".join(addresses), text=True, stdout=subprocess.PIPE, check=True
    )
    seen: list[dict[str, Any]] = json.loads(done.stdout)
    return seen


def truth(address: str, name: str) -> str:
    """Return what the answer for a port of an address is to be."""
    if name in SPEAK:
        return "open"
    if name.endswith("udp"):
        return (
            "open|filtered"
            if name in DROPPED | NEVER_ASKED | (NEVER_ASKED6 if ":" in address else set())
            else "closed"
        )
    return "filtered" if name in DROPPED else "closed"


def wrong(seen: Sequence[dict[str, Any]], ports: int) -> list[str]:
    """Return what is wrong about the answers of all who had any."""
    found = []
    for one in seen:
        if one["error"] is not None:
            continue
        if len(one["answers"]) != ports:
            found.append(f"{one['ip']}: {len(one['answers'])} answers, not {ports}")
        found += [
            f"{one['ip']}: {name} is {state}"
            for name, state in one["answers"].items()
            if state != truth(one["ip"], name)
        ]
        found += [
            f"{one['ip']}: {name} speaks {one['services'].get(name)}"
            for name, service in SPEAK.items()
            if one["services"].get(name) != service
        ]
    return found


def of_hundred(values: Sequence[float], percent: int) -> float:
    """Return the value that so many percent of all do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def main() -> None:
    """Measure, print the figures and the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=500, help="at once (500); a fifth has IPv6")
    parser.add_argument("--within", type=float, default=0.9, help="seconds in which all come (0.9)")
    parser.add_argument("--rounds", type=int, default=3, help="crowds, one after the other (3)")
    parser.add_argument("--database", help="a URL in place of SQLite")
    asked = parser.parse_args()
    missing = [name for name in ("ip", "nft", "nginx", "openssl", "redis-server") if not shutil.which(name)]
    if os.geteuid() or missing:
        sys.exit(f"this makes network namespaces: it needs root, ip, nft, nginx, openssl and redis-server {missing}")
    print(
        f"Visitors: {asked.visitors} at once within {asked.within} s, {WORKERS} workers, Redis; {asked.rounds} crowds"
    )
    print(machine())
    number6 = asked.visitors // 5
    rows, lost, mistakes, firsts, peaks = [], 0, 0, [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portbook-bench-")))
        near, far = stack.enter_context(joined())
        drop(far)
        stack.enter_context(nginx(far, folder))
        pid = stack.enter_context(serving(near, folder, asked.database))
        before = crowd(far, ["10.88.0.250"], 0)  # one to warm up, who tells how many ports there are
        ports = len(before[0]["answers"])
        print(f"{ports} ports of each; wrong for one visitor alone: {'; '.join(wrong(before, ports)) or 'none'}")
        for wave in range(asked.rounds):
            # Each crowd has addresses of its own: nothing is answered from memory.
            start = 256 + wave * (asked.visitors - number6)
            some = range(start, start + asked.visitors - number6)
            addresses = [f"10.88.{n // 256}.{n % 256}" for n in some]
            addresses += [f"fd88:0:{wave + 1:x}{n:03x}::1" for n in range(1, number6 + 1)]
            lines = "".join(f"address add {address} dev lo nodad\n" for address in addresses if ":" in address)
            subprocess.run(["ip", "-n", far, "-batch", "-"], input=lines, text=True, check=True)
            addresses.sort(key=lambda address: address[::-1])  # the families mixed
            used = busy(pid)
            seen = crowd(far, addresses, asked.within)
            used = busy(pid) - used
            whole = [one for one in seen if one["error"] is None]
            faults = wrong(seen, ports)
            for text in [one["error"] for one in seen if one["error"]][:3] + faults[:5]:
                print(text)
            lost += len(seen) - len(whole)
            mistakes += len(faults)
            first = [one["first"] for one in whole]
            firsts.append(of_hundred(first, 95))
            peaks.append(memory(pid, "VmHWM"))
            all_of_it = [one["whole"] for one in whole]
            rows.append(
                (
                    str(wave + 1),
                    f"{len(seen) - len(whole)}",
                    f"{len(faults)}",
                    f"{statistics.median(one['page'] for one in whole):.2f}",
                    f"{statistics.median(first):.2f}",
                    f"{of_hundred(first, 95):.2f}",
                    f"{max(first):.2f}",
                    f"{statistics.median(all_of_it):.1f}",
                    f"{max(all_of_it):.1f}",
                    f"{max(one['silence'] for one in whole):.1f}",
                    f"{used:.1f}",
                    f"{peaks[-1] / 1e6:.0f}",
                )
            )
        after = memory(pid, "VmRSS")
    headings = ("crowd", "lost", "wrong", "page s", "first s", "p95", "max", "whole s", "max", "silence s", "CPU s")
    table((*headings, "peak MB"), rows)
    print(f"\nafterwards the server's processes have {after / 1e6:.0f} MB")
    bars(
        [
            Bar(f"visitors lost of {asked.rounds * asked.visitors}", lost, 0),
            Bar("answers that are wrong", mistakes, 0),
            Bar("first result, 95 of 100, the worst crowd", max(firsts), FIRST_RESULT, "s", strict=True),
            Bar("peak of memory, last crowd to second", peaks[-1] / peaks[min(1, len(peaks) - 1)], GROWTH),
        ]
    )


if __name__ == "__main__":
    main()
