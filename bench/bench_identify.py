"""Services known by what they say: the lab's main ports, where they belong and moved to random others, beside nmap.

The lab knows what each server really is. An answer is right where the service is, and the product where one is told:
a wrong name is wrong, none is none. Each side is asked once for the same list of TCP ports, from the same host.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from printed import Bar, bars, first_line, machine, table
from side_by_side import portbook, rounds_argument

from portbook.errors import PortbookError
from portbook.lab import hosts, keeper
from portbook.lab.scenario import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.lab.scenario import Scenario
    from portbook.lab.state import LabState, ServiceState

ROUNDS = 1
LIMIT_OF_NMAP = 0.2
"""The part of nmap's time that is allowed."""

SERVICES = {
    "dns": ("domain",),
    "https": ("https", "ssl/http"),
    "smtps": ("submissions", "ssl/smtp"),
    "imaps": ("imaps", "ssl/imap"),
    "pop3s": ("pop3s", "ssl/pop3"),
    "rdp": ("ms-wbt-server",),
    "vnc": ("rfb", "vnc"),
}
"""What a kind of the lab's services is called: in the registry, and by nmap where that differs."""

CALLED = {"INN": "InterNetNews", "MariaDB": "MySQL", "TigerVNC": "VNC"}
"""How nmap may call a product, which counts for it too."""


class Answer(NamedTuple):
    """What was said of a port: the service, None where only the number suggests one, and the product."""

    service: str | None
    product: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the services, and of the products, were told rightly, and how many wrongly; the seconds it took."""

    services: int
    products: int
    wrong: int
    seconds: float


def moved(plan: Scenario, chance: random.Random) -> Scenario:
    """Return the scenario with each service at another port, its clients following; DHCP stays where it must be."""
    fixed = {one.port for one in plan.services if one.kind.startswith("dhcp")}
    numbers = iter(chance.sample(range(10000, 30000), len(plan.services)))
    ports = {one.port: one.port if one.port in fixed else next(numbers) for one in plan.services}
    return replace(
        plan,
        services=tuple(replace(one, port=ports[one.port]) for one in plan.services),
        clients=tuple(replace(one, port=ports[one.port]) for one in plan.clients),
    )


def by_portbook(lab: LabState, ports: Sequence[int]) -> dict[int, Answer]:
    """Return what portbook says of the server's ports."""
    asked = ("-p", ",".join(map(str, ports)), "--transport", "tcp", "--format", "json", "server", "-4")
    done = hosts.run(lab, "client", portbook("test", *asked))
    return {
        row["port"]: Answer(row["service"] if row["service_by"] == "payload" else None, row["product"])
        for row in json.loads(done.stdout)
    }


def by_nmap(lab: LabState, ports: Sequence[int]) -> dict[int, Answer]:
    """Return what nmap says of the server's ports."""
    command = ("nmap", "-n", "-Pn", "-sV", "-p", ",".join(map(str, ports)), "-oX", "-", "server")
    done = hosts.run(lab, "client", command)
    found = {}
    for port in ElementTree.fromstring(done.stdout).iter("port"):
        service = port.find("service")
        if service is None or service.get("method") != "probed":
            found[int(port.get("portid", 0))] = Answer(None, None)
            continue
        name = service.get("name")
        if service.get("tunnel") == "ssl":
            name = f"ssl/{name}"
        found[int(port.get("portid", 0))] = Answer(name, service.get("product"))
    return found


def score(truth: Sequence[ServiceState], answers: dict[int, Answer], seconds: float) -> Score:
    """Count what is right."""
    services = products = wrong = 0
    for one in truth:
        told = answers.get(one.port, Answer(None, None))
        right = told.service in SERVICES.get(one.kind, (one.kind,))
        services += right
        named = told.product is not None and right and _same(one.product, told.product)
        products += named
        wrong += (told.service is not None and not right) or (right and told.product is not None and not named)
    return Score(services, products, wrong, seconds)


def _same(product: str, told: str) -> bool:
    told = told.lower()
    return product.lower() in told or CALLED.get(product, product).lower() in told


def measured(plan: Scenario, details: bool) -> tuple[dict[str, Score], int]:
    """Raise the lab, ask both sides, and return their scores and how many services there were."""
    lab, _ = keeper.up(plan, lambda _: None, f"bench-{os.getpid()}-identify")
    try:
        truth = [one for one in lab.services if "tcp" in one.transports]
        ports = [one.port for one in truth]
        found = {}
        for name, ask in (("portbook test", by_portbook), ("nmap -sV", by_nmap)):
            begun = perf_counter()
            answers = ask(lab, ports)
            found[name] = score(truth, answers, perf_counter() - begun)
            for one in truth if details else ():
                print(f"  {name}: {one.port} {one.kind} {one.product}: {answers.get(one.port)}", file=sys.stderr)
    finally:
        keeper.down(lab)
    return found, len(truth)


def main() -> None:
    """Measure, print the figures and the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    rounds_argument(parser)
    parser.set_defaults(rounds=ROUNDS)
    parser.add_argument("--details", action="store_true", help="what each side said of each port, on standard error")
    asked = parser.parse_args()
    print(f"Services known by what they say: {asked.rounds} labs each, both sides asked in turn")
    print(machine())
    print(first_line("nmap", "--version"))
    chance = random.Random(26)
    rows, limits = [], []
    for place in ("at their own ports", "moved to random ports"):
        scores: dict[str, list[Score]] = {}
        for _ in range(asked.rounds):
            plan = load("main-ports")
            try:
                found, count = measured(plan if place.startswith("at") else moved(plan, chance), asked.details)
            except PortbookError as error:
                sys.exit(str(error))
            for name, one in found.items():
                scores.setdefault(name, []).append(one)
        for name, all_of_it in scores.items():
            seconds = statistics.median(one.seconds for one in all_of_it)
            worst = min(all_of_it, key=lambda one: (one.services, one.products))
            row = (f"{name}, {place}", f"{worst.services} of {count}", str(worst.products), str(worst.wrong))
            rows.append((*row, f"{seconds:.1f}"))
        ours, theirs = scores["portbook test"], scores["nmap -sV"]
        missed = max(count - one.services + one.wrong for one in ours)
        limits.append(Bar(f"services missed or wrongly named, {place}", missed, 0))
        part = statistics.median(a.seconds / b.seconds for a, b in zip(ours, theirs, strict=True))
        limits.append(Bar(f"part of nmap's time, {place}", part, LIMIT_OF_NMAP))
        fewer = max(b.products - a.products for a, b in zip(ours, theirs, strict=True))
        limits.append(Bar(f"products that nmap names beyond ours, {place}", fewer, 0))
    table(("who", "services", "products", "wrong", "s"), rows)
    bars(limits)


if __name__ == "__main__":
    main()
