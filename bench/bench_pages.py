"""How many tests a second `portbook serve` answers over its API, and beside it another page that tests ports.

The job is the same for both: which ports of an address can be reached, for many who ask at once; one process each.
Every asker has an address of loopback (127.0.0.0/8). portchecker.io is started by whoever measures, in its folder
backend/api: ALLOW_PRIVATE=1 uvicorn main:app

    python bench/bench_pages.py --portchecker http://127.0.0.1:8000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

from printed import heading, machine, table
from side_by_side import portbook
from visitors import Server, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Ask = Callable[[str], bytes]

LISTEN = 8089
CLOSED = (1, 7, 9, 11, 13, 15, 17)
AT_ONCE, TESTS, ROUNDS = 20, 400, 5


@contextmanager
def serving() -> Iterator[Server]:
    """Serve for as long, with quotas that are in nobody's way."""
    names = ("ADDRESS", "NETWORK", "ALL", "REQUESTS", "NETWORK_REQUESTS")
    often = {f"PORTBOOK_QUOTAS__{name}": "10000000/minute" for name in names}
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **often, "PORTBOOK_DATA": folder, "PORTBOOK_QUOTAS__CACHED": "0"}
        command = portbook("serve", "--listen", f"127.0.0.1:{LISTEN}")
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as running:
            try:
                until = time.monotonic() + 20
                while time.monotonic() < until:
                    try:
                        urlopen(f"http://127.0.0.1:{LISTEN}/healthz", timeout=2).close()
                        break
                    except OSError:
                        time.sleep(0.1)
                yield Server("127.0.0.1", LISTEN)
            finally:
                running.terminate()


@asynccontextmanager
async def an_open_port() -> AsyncIterator[int]:
    """Listen at every address of loopback, and say nothing."""
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", 0)
    async with listener:
        yield int(listener.sockets[0].getsockname()[1])


def of_portbook(server: Server, ports: list[int]) -> Ask:
    """Return what asks portbook for the ports of the asker's own address."""
    body = json.dumps({"ports": ",".join(map(str, ports)), "identify": False})
    said = server.request("POST /api/v1/tests", "Content-Type: application/json", "Accept: */*", body=body)
    return lambda _: said


def of_portchecker(server: Server, ports: list[int]) -> Ask:
    """Return what asks portchecker.io for the ports of an address."""

    def ask(ip: str) -> bytes:
        body = json.dumps({"host": ip, "ports": ports})
        return server.request("POST /api/query", "Content-Type: application/json", "Accept: */*", body=body)

    return ask


async def a_second(server: Server, ask: Ask, number: int) -> float:
    """Return how many tests a second are answered, when so many addresses ask at once, each again and again."""
    left = iter(range(TESTS))

    async def asker(ip: str) -> None:
        async with server.connected(ip) as (reader, writer):
            for _ in left:
                writer.write(ask(ip))
                status, said = await answer(reader)
                if status != 200:
                    raise ValueError(f"{status} {said.decode(errors='replace')}")

    begun = time.perf_counter()
    await asyncio.gather(*(asker(f"127.{number}.0.{place + 1}") for place in range(AT_ONCE)))
    return TESTS / (time.perf_counter() - begun)


async def measured(sides: dict[str, Server], rounds: int) -> None:
    """Measure all sides in turn, and print the medians."""
    async with an_open_port() as port:
        rows = []
        for name, ports in (("one open port", [port]), ("an open and seven closed", [port, *CLOSED])):
            asks = {
                side: (of_portbook if side == "portbook" else of_portchecker)(server, ports)
                for side, server in sides.items()
            }
            figures: dict[str, list[float]] = {side: [] for side in sides}
            for number in range(rounds + 1):  # the first to warm up
                for side, server in sides.items():
                    figures[side].append(await a_second(server, asks[side], number + 1))
            medians = {side: statistics.median(some[1:]) for side, some in figures.items()}
            rows += [
                (name, side, f"{median:.0f}", f"{medians['portbook'] / median:.2f}")
                for side, median in medians.items()
            ]
    table(("test of", "page", "a second", "portbook to it"), rows)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds after one to warm up ({ROUNDS})")
    parser.add_argument("--portchecker", metavar="URL", help="where portchecker.io has been started")
    asked = parser.parse_args()
    heading("Pages", asked.rounds)
    print(f"{machine()}; {AT_ONCE} addresses ask at once")
    with serving() as own:
        sides = {"portbook": own}
        if asked.portchecker:
            parts = urlsplit(asked.portchecker)
            sides["portchecker.io"] = Server(str(parts.hostname), int(parts.port or 80))
        asyncio.run(measured(sides, asked.rounds))


if __name__ == "__main__":
    main()
