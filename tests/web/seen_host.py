"""A host for the tests of its page and its API: what is seen of it, in memory or real, and who asks for it."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from html.parser import HTMLParser
from typing import Any

from portbook import conversation
from portbook import socket as domain
from portbook.columns import MAPPED_PREFIX, Addresses, Coded, Numbers, Table
from portbook.host.sockets import HIDDEN
from portbook.web import accounts
from portbook.web.database import Database
from portbook.web.this_host import Now

from .conftest import Clients, Web

API = ("/api/v1/sockets", "/api/v1/conversations", "/api/v1/listeners")


HTML = {"accept": "text/html"}


MANY = 100_000


EVIL = "<b>\x1b[31m&'\""
"""A process' name of at most 15 bytes."""


Message = dict[str, Any]


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the texts of the rows of tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        """Return the row whose first cell is this text."""
        found = [row for row in self.rows if row and row[0] == first]
        assert len(found) == 1, (first, found)
        return found[0]

    def has(self, first: str) -> bool:
        """Whether there is such a row."""
        return any(row and row[0] == first for row in self.rows)


async def token_in(database: Database) -> dict[str, str]:
    """Return the header of a new account's token."""
    user = await accounts.add(database, f"ann-{secrets.token_hex(4)}", "correct horse battery")
    return {"authorization": f"Bearer {await accounts.make_token(database, user, 'tests')}"}


@asynccontextmanager
async def signed_in(client: Clients, **given: Any) -> AsyncIterator[Web]:
    async with client(**given) as web:
        web.headers.update(await token_in(web.site.database))
        yield web


@contextmanager
def talking() -> Iterator[tuple[int, int]]:
    """Have a conversation on loopback; give the ports of its server and its client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as accepted:
            accepted.sendall(b"x" * 1234)
            assert client.recv(1234, socket.MSG_WAITALL | socket.MSG_PEEK)
            yield port, client.getsockname()[1]


def row_count(html: str) -> int:
    return len(re.findall(r"<tr data-key=", html))


async def called(
    app: Any, path: str, headers: dict[str, str], enough: Callable[[list[Message]], bool]
) -> list[Message]:
    """Ask an app as a server would, leave when what it has sent is enough, and return what it has sent."""
    target, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "ports.example", **headers}.items()],
        "client": ("203.0.113.7", 40000),
        "server": ("192.0.2.1", 80),
    }
    sent: list[Message] = []
    left = asyncio.Event()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))
        if enough(sent):
            left.set()

    await asyncio.wait_for(app(scope, receive, send), 30)
    return sent


def many_sockets(count: int) -> Table:
    """Return a table of sockets such as a reading gives, each with a port of its own as far as there are any."""
    ip = Addresses(bytearray((MAPPED_PREFIX + bytes((10, 0, 0, 1))) * count))
    ports = array("H", (row % 65535 + 1 for row in range(count)))
    zeros = array("B", bytes(count))
    vectors: dict[str, Any] = {
        "transport": Coded(zeros, ["tcp"]),
        "state": Coded(zeros, ["ESTABLISHED"]),
        "local_ip": ip,
        "remote_ip": ip,
        "local_port": Numbers(ports, 0),
        "remote_port": Numbers(ports, 0),
        "process": Coded(zeros, [EVIL]),
    }
    columns = tuple(column for column in domain.COLUMNS if column.name != "remote_host")
    absent = Coded(zeros, [None])
    return Table(columns, tuple(vectors.get(column.name, absent) for column in columns))


def many_talks(count: int) -> Now:
    """Return a reading with so many conversations of two processes, and so many listeners."""
    client, server = (Addresses(bytearray((MAPPED_PREFIX + bytes((10, 0, 0, end))) * count)) for end in (1, 2))
    halves = array("B", (row % 2 for row in range(count)))
    zeros = array("B", bytes(count))
    vectors: dict[str, Any] = {
        "transport": Coded(halves, ["tcp", "udp"]),
        "state": Coded(halves, ["ESTABLISHED", "CONNECTED"]),
        "client_ip": client,
        "server_ip": server,
        "client_port": Numbers(array("H", (row % 60000 + 1024 for row in range(count))), 0),
        "server_port": Numbers(array("H", [443]) * count, 0),
        "process": Coded(halves, ["first", EVIL]),
        "pids": Coded(halves, [(7,), (8, 9)]),
        "client_payload": Numbers(array("Q", range(count))),
    }
    columns = conversation.COLUMNS
    talks = Table(columns, tuple(vectors.get(column.name, Coded(zeros, [None])) for column in columns))
    named = [column.name for column in domain.LISTENER_COLUMNS]
    given = {"transport": "tcp", "scope": "any", "addresses": ("0.0.0.0",), "process": EVIL, "command": EVIL * 99}
    rows = [
        [{**given, "local_port": row % 65535, "conversations": 0}.get(name) for name in named] for row in range(count)
    ]
    waiting = Table.from_rows(domain.LISTENER_COLUMNS, rows)
    waiting.notes.append((HIDDEN, {"hidden": 14, "held": 61}))
    return Now.of(waiting, talks, ["10.0.0.2"] * count)


def process_name() -> str:
    with open("/proc/self/comm", encoding="utf-8") as file:
        return file.read().rstrip("\n")
