"""The page's own lab: a host that serves it, a visitor with real services, a guarded host behind a gateway.

Chromium is steered from outside and runs in the network of whoever visits, so that the page sees the host's own
address. What is tested is test_page.py's; scripts/screenshots.py takes its pictures here.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from portbook.lab import hosts
from portbook.lab.scenario import ClientPlan, HostPlan, Network, Rule, Scenario, ServicePlan
from portbook.linux.namespaces import find_namespace, socket_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from portbook.lab.state import LabState

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-breakpad"),
)
IPV4, IPV6 = "192.168.8.1", "fd00:8::1"
PORT = 8080
BASES = {"ipv4": f"http://{IPV4}:{PORT}", "ipv6": f"http://[{IPV6}]:{PORT}"}
VISITOR = {"ipv4": "192.168.8.30", "ipv6": "fd00:8::30"}
GUARDED = {"ipv4": "10.0.8.2", "ipv6": "fd00:8:1::2"}
ROUTER = {"ipv4": "192.168.8.254", "ipv6": "fd00:8::254"}
ODD_PORT, STOPPABLE = 2222, 8079
WAITING_CURL = ("curl", "-sf", "--retry", "30", "--retry-delay", "1", "--retry-connrefused", "--max-time", "40")

SERVICES = {21: "ftp", 22: "ssh", 53: "dns", 80: "http", 3306: "mysql"}
"""What the visitor has at main ports; beside them SSH at ODD_PORT."""
DROPPED, PORT_UNREACHABLE, PROHIBITED = 21, 80, 443
"""Ports of `guarded`: its own firewall drops the first and rejects the second, the gateway rejects the third."""


def plan() -> Scenario:
    """Return the lab: `page` and `visitor` on one network, `guarded` on another, and `router` between them."""
    inner = ("ftp", "ssh", "http", "https")
    ports = {"ftp": DROPPED, "ssh": 22, "http": PORT_UNREACHABLE, "https": PROHIBITED}
    return Scenario(
        "page",
        "The page, who visits it, and whom a firewall guards",
        "Each sees the ports of its own address.",
        (Network("lan", "192.168.8.0/24", "fd00:8::/64"), Network("inner", "10.0.8.0/24", "fd00:8:1::/64")),
        (
            HostPlan("page", _on("lan", IPV4, IPV6), gateway="router"),
            HostPlan("visitor", _on("lan", *VISITOR.values())),
            HostPlan(
                "router",
                (*_on("lan", *ROUTER.values()), *_on("inner", "10.0.8.1", "fd00:8:1::1")),
                forwards=True,
            ),
            HostPlan("guarded", _on("inner", *GUARDED.values()), gateway="router"),
        ),
        (
            *(ServicePlan(kind, "visitor", kind, port, _transports(kind)) for port, kind in SERVICES.items()),
            ServicePlan("odd", "visitor", "ssh", ODD_PORT),
            *(ServicePlan(f"guarded-{kind}", "guarded", kind, ports[kind]) for kind in inner),
            ServicePlan("echo", "page", "echo", 7),
        ),
        clients=(
            ClientPlan("visitor", "echo", "page", 7, count=2),
            ClientPlan("page", "ssh", "visitor", 22),
            ClientPlan("page", "mysql", "visitor", 3306),
        ),
        rules=(
            Rule("guarded", "input", "tcp", DROPPED, "drop"),
            Rule("guarded", "input", "tcp", PORT_UNREACHABLE, "port-unreachable"),
            Rule("router", "forward", "tcp", PROHIBITED, "admin-prohibited"),
        ),
    )


def _on(network: str, ipv4: str, ipv6: str) -> tuple[tuple[str, str], ...]:
    return (network, f"{ipv4}/24"), (network, f"{ipv6}/64")


def _transports(kind: str) -> Any:
    return ("udp", "tcp") if kind == "dns" else ("tcp",)


@contextmanager
def served(state: LabState, folder: Path, environ: Mapping[str, str], **settings: object) -> Iterator[str]:
    """Run `portbook serve` on the host `page` in the mode for private networks; yield its one-time link.

    `folder` takes its data and, in `log`, what it says; `environ` and these settings are what it starts with.
    """
    given = {
        "data": folder / "serve",
        "targets": "visitor,guarded,192.168.8.0/24,fd00:8::/64,10.0.8.0/24,fd00:8:1::/64",
        "webhooks": "192.168.8.0/24",
        "quotas__address": "10000/hour",
        "quotas__network": "10000/hour",
        "quotas__signin": "1000/minute",
        "quotas__requests": "100000/minute",
        "quotas__cached": 0,
        **settings,
    }
    kept = {name: value for name, value in environ.items() if not name.startswith("PORTBOOK_")}
    argv = (sys.executable, "-m", "portbook", "serve", "--mode", "lan", "--listen", f"[::]:{PORT}")
    with (folder / "log").open("w+") as log:
        running = hosts.spawn(
            state,
            "page",
            argv,
            stdout=log,
            stderr=log,
            env={**kept, "LC_ALL": "C.UTF-8", **{f"PORTBOOK_{name.upper()}": str(given[name]) for name in given}},
        )
        try:
            yield _link(running.poll, folder / "log", state)
        finally:
            running.terminate()
            running.wait(20)


def _link(ended: Callable[[], int | None], log: Path, state: LabState) -> str:
    """Wait until the server answers, and return the link that it has printed."""
    done = hosts.run(state, "page", (*WAITING_CURL, f"{BASES['ipv4']}/healthz"))
    said = log.read_text()
    found = re.search(r"(/setup/\S+)", said)
    if done.returncode or found is None or ended() is not None:
        raise AssertionError(f"the server did not start: {said}")
    return BASES["ipv4"] + found[1]


def in_network_of(state: LabState, host: str, folder: Path) -> str:
    """Write a program that starts Chromium in the network of a host; return its path."""
    path = folder / f"chromium-of-{host}"
    net = f"/proc/{state.host(host).pid}/ns/net"
    path.write_text(f'#!/bin/sh\nexec nsenter --net={net} -- {CHROMIUM} "$@"\n')
    path.chmod(0o700)
    return str(path)


class Receiver(NamedTuple):
    """Where webhooks are received: the address, and every request as it came."""

    url: str
    told: list[bytes]


@contextmanager
def receiver(state: LabState, host: str, ip: str) -> Iterator[Receiver]:
    """Receive webhooks on a host of the lab, at a free port of one of its addresses."""
    network = find_namespace(str(state.host(host).pid))
    with socket_in(network, socket.AF_INET, socket.SOCK_STREAM) as made:
        made.bind((ip, 0))
        made.listen()
        found = Receiver(f"http://{ip}:{made.getsockname()[1]}/told", [])
        thread = Thread(target=_receive, args=(made, found.told))
        thread.start()
        try:
            yield found
        finally:
            made.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def _receive(made: socket.socket, told: list[bytes]) -> None:
    with suppress(OSError):  # it has been shut down
        while True:
            connection, _ = made.accept()
            with connection, suppress(OSError):
                connection.settimeout(10)
                head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                while length and len(body) < int(length[1]) and (more := connection.recv(65536)):
                    body += more
                told.append(head + b"\r\n\r\n" + body)
                connection.sendall(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")


@contextmanager
def web_server(state: LabState, host: str, ip: str) -> Iterator[int]:
    """Run a web server of the lab's own on a host, until the end; yield its port."""
    argv = (sys.executable, "-m", "portbook.lab.serve", "http", "--name", "web", "--transport", "tcp")
    running = hosts.spawn(state, host, (*argv, "--port", str(STOPPABLE)), stdout=subprocess.DEVNULL)
    try:
        hosts.run(state, host, (*WAITING_CURL, f"http://{ip}:{STOPPABLE}/"), check=True)
        yield STOPPABLE
    finally:
        running.terminate()
        running.wait(20)
