"""What the package promises to those who import it."""

from __future__ import annotations

import inspect
import os
import re
import socket
from pathlib import Path

import pytest

import portbook
from portbook import conversation, porttest, service
from portbook import socket as domain
from portbook.cli import repeated
from portbook.errors import PortbookError

ROOT = Path(__file__).parent.parent


def test_one_public_function_for_each_verb() -> None:
    assert portbook.__all__ == ["sockets", "talks", "test", "what", "who"]
    signatures = {name: str(inspect.signature(getattr(portbook, name))) for name in portbook.__all__}
    assert signatures == {
        "what": "(*queries: 'str', language: 'str' = 'en', limit: 'int' = 40) -> 'Table'",
        "who": "(*ports: 'int', netns: 'str | None' = None) -> 'Table'",
        "sockets": "(selection: 'Selection | None' = None) -> 'Table'",
        "talks": "(ports: 'Iterable[int] | None' = None, netns: 'str' = 'seen') -> 'Table'",
        "test": (
            "(*targets: 'str', ports: 'str' = 'main', identify: 'bool' = True, permitted: 'bool' = False) -> 'Table'"
        ),
    }


def test_they_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert [row.pids for row in portbook.who() if row.local_port == port] == [(os.getpid(),)]
            assert {row.holds for row in portbook.who(port)} == {"listening", "conversation"}
            assert sum(row.local_port == port for row in portbook.sockets()) == 2
            # Other namespaces of this machine may have conversations over the same number.
            mine = [row.server_port for row in portbook.talks([port]) if row.pids and os.getpid() in row.pids]
            assert mine == [port]
            assert [row.state for row in portbook.test(f"127.0.0.1:{port}", identify=False)] == ["open"]
    assert {row.service for row in portbook.what("53/udp")} == {"domain"}


def test_every_error_is_a_portbook_error() -> None:
    with pytest.raises(PortbookError):
        portbook.what("70000")
    with pytest.raises(PortbookError):
        portbook.who(netns="no-such-namespace")


@pytest.mark.parametrize(
    ("page", "columns"),
    [("what", service.COLUMNS), ("sockets", domain.COLUMNS), ("testing-ports", porttest.COLUMNS)],
)
def test_the_pages_name_every_column(page: str, columns: tuple[object, ...]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    missing = [column.name for column in columns if not re.search(rf"\b{column.name}\b", text)]  # type: ignore[attr-defined]
    assert not missing


def test_a_name_means_the_same_in_every_table() -> None:
    declared: dict[str, tuple[object, ...]] = {}
    tables = (
        domain.COLUMNS,
        domain.SUMMARY_COLUMNS,
        domain.LISTENER_COLUMNS,
        domain.HOLDER_COLUMNS,
        conversation.COLUMNS,
        conversation.GROUP_COLUMNS,
        service.COLUMNS,
        porttest.COLUMNS,
        repeated.COLUMNS,
    )
    for column in (column for columns in tables for column in columns):
        meaning = (column.type, column.unit, column.foreign)
        assert declared.setdefault(column.name, meaning) == meaning, column.name


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
