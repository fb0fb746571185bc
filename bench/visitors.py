"""Visitors of a `portbook serve`, many at once, each with an address of its own, as a process beside the server.

Each opens the page, begins the test of its main ports, and follows the events until the test is over. Then, all of
them being done, the answers of each test are fetched. What came of it is printed as JSON.

    echo 10.88.0.10 10.88.0.11 | python bench/visitors.py http://10.77.0.1:8080
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 100.0
_AT_A_TIME = 8
"""Answers that are fetched at the same time when the tests are over."""


@dataclass
class Visit:
    """One visitor: seconds until the page was there, from the test asked for to the first door and to its end."""

    ip: str
    page: float = 0.0
    first: float = 0.0
    whole: float = 0.0
    doors: int = 0
    silence: float = 0.0
    answers: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Server:
    """Where the server is, as its visitors write it."""

    ip: str
    port: int

    @property
    def name(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    def request(self, line: str, *headers: str, body: str = "") -> bytes:
        """Return a request as a browser of the page's own origin sends it."""
        said = [f"{line} HTTP/1.1", f"Host: {self.name}", "Sec-Fetch-Site: same-origin", "Accept-Language: en"]
        length = [f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*said, *headers, *length, "", body]).encode()

    @asynccontextmanager
    async def connected(self, ip: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Give a connection from an address."""
        reader, writer = await asyncio.open_connection(self.ip, self.port, local_addr=(ip, 0))
        try:
            yield reader, writer
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the status and the body of an answer."""
    status, headers = await head(reader)
    if headers.get("transfer-encoding") != "chunked":
        return status, await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return status, body


async def head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of an answer."""
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def visit(server: Server, seen: Visit, elsewhere: bool) -> str:
    """Open the page and follow the test to its end, `elsewhere` over another connection; return the run's name."""
    async with server.connected(seen.ip) as (reader, writer):
        begun = perf_counter()
        writer.write(server.request("GET /", "Accept: text/html"))
        status, page = await answer(reader)
        if status != 200 or b"<html" not in page:
            raise ValueError(f"the page: {status}")
        asked = perf_counter()
        seen.page = asked - begun
        form = ("Accept: application/json", "Content-Type: application/x-www-form-urlencoded")
        writer.write(server.request("POST /tests", *form, body="ports=main&consent=yes"))
        status, said = await answer(reader)
        if status != 202:
            raise ValueError(f"the test: {status} {said.decode()}")
        run = str(json.loads(said)["run"])
        if not elsewhere:
            await follow(server, reader, writer, run, asked, seen)
    if elsewhere:
        async with server.connected(seen.ip) as (reader, writer):
            await follow(server, reader, writer, run, asked, seen)
    return run


async def follow(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: str, asked: float, seen: Visit
) -> None:
    """Read events until the test is over."""
    writer.write(server.request(f"GET /tests/{run}/events?shown=1", "Accept: text/event-stream"))
    status, _ = await head(reader)
    if status != 200:
        raise ValueError(f"the events: {status}")
    last = perf_counter()
    async for line in reader:
        if not line.startswith((b"event:", b":")):
            continue
        now = perf_counter()
        seen.silence = max(seen.silence, now - last)
        last = now
        if line.startswith(b"event: door"):
            seen.doors += 1
            seen.first = seen.first or now - asked
        elif line.startswith(b"event: over"):
            seen.whole = now - asked
            return
    raise ValueError("the events ended before the test")


async def fetched(server: Server, run: str, seen: Visit) -> None:
    """Get what the test came to."""
    async with server.connected(seen.ip) as (reader, writer):
        writer.write(server.request(f"GET /api/v1/tests/{run}", "Accept: application/json"))
        _, said = await answer(reader)
    for row in json.loads(said)["tests"]:
        name = f"{row['port']}/{row['transport']}"
        seen.answers[name] = row["state"]
        seen.services[name] = row["service"] if row["service_by"] not in (None, "port") else ""


async def one(server: Server, seen: Visit, delay: float, elsewhere: bool) -> str:
    """Visit after a while; return the run's name, nothing where something failed, which is noted."""
    await asyncio.sleep(delay)
    try:
        async with asyncio.timeout(PATIENCE):
            return await visit(server, seen, elsewhere)
    except (OSError, ValueError, TimeoutError, EOFError, asyncio.IncompleteReadError) as error:
        seen.error = f"{type(error).__name__} {error} after {seen.doors} doors"
        return ""


async def visits(servers: dict[int, Server], addresses: list[str], within: float) -> list[Visit]:
    """Have all come within so many seconds, and return what each saw."""
    seen = [Visit(ip) for ip in addresses]
    of = [servers[ip_address(ip).version] for ip in addresses]
    runs = await asyncio.gather(
        *(
            one(server, one_seen, place * within / len(seen), place % 2 == 1)
            for place, (server, one_seen) in enumerate(zip(of, seen, strict=True))
        )
    )
    room = asyncio.Semaphore(_AT_A_TIME)

    async def fetch(server: Server, run: str, one_seen: Visit) -> None:
        async with room:
            await fetched(server, run, one_seen)

    ended = [(server, run, one_seen) for server, run, one_seen in zip(of, runs, seen, strict=True) if run]
    await asyncio.gather(*(fetch(*one_ended) for one_ended in ended))
    return seen


def main() -> None:
    """Visit, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="URL", help="of each family")
    parser.add_argument("--within", type=float, default=0.9, help="seconds in which all come (0.9)")
    asked = parser.parse_args()
    servers: dict[int, Server] = {}
    for url in asked.servers:
        parts = urlsplit(url)
        servers[ip_address(str(parts.hostname)).version] = Server(str(parts.hostname), int(parts.port or 80))
    addresses = sys.stdin.read().split()
    json.dump([asdict(seen) for seen in asyncio.run(visits(servers, addresses, asked.within))], sys.stdout)


if __name__ == "__main__":
    main()
