from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import Any

import pytest

from portbook.web import api_host

from .conftest import Clients
from .seen_host import API, MANY, called, many_sockets, signed_in, talking


@pytest.mark.parametrize("format_name", ["json", "ndjson", "csv"])
def test_the_api_gives_the_declared_columns_in_every_format(client: Clients, format_name: str) -> None:
    media_type = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}[format_name]
    models = (api_host.SocketRow, api_host.ConversationRow, api_host.ListenerRow)

    async def body() -> None:
        with talking() as (port, _):
            async with signed_in(client) as web:
                for path, model in zip(API, models, strict=True):
                    by_accept = await web.get(f"{path}?port={port}", headers={"accept": media_type})
                    by_query = await web.get(f"{path}?port={port}&format={format_name}")
                    for answer in (by_accept, by_query):
                        assert answer.status_code == 200
                        assert answer.headers["content-type"].startswith(media_type)
                        assert answer.headers["portbook-complete"] in ("true", "false")
                        rows = read_rows(answer.text, format_name)
                        assert rows
                        assert all(list(row) == list(model.model_fields) for row in rows), path
                        if format_name != "csv":
                            for row in rows:
                                model.model_validate(row)
                    one = await web.get(f"{path}?format={format_name}&limit=1")
                    assert len(read_rows(one.text, format_name)) == 1

    asyncio.run(body())


def read_rows(text: str, format_name: str) -> list[dict[str, Any]]:
    if format_name == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    rows: list[dict[str, Any]] = (
        json.loads(text) if format_name == "json" else [json.loads(line) for line in text.splitlines()]
    )
    return rows


@pytest.mark.parametrize("format_name", ["json", "ndjson", "csv"])
def test_many_rows_come_in_pieces(client: Clients, monkeypatch: pytest.MonkeyPatch, format_name: str) -> None:
    table = many_sockets(MANY)
    monkeypatch.setattr(api_host, "every_socket", lambda _: table)

    async def body() -> None:
        async with signed_in(client) as web:
            headers = {"authorization": web.headers["authorization"]}
            sent = await called(web.app, f"{API[0]}?format={format_name}", headers, lambda _: False)
            assert sent[0]["status"] == 200
            pieces = [message["body"] for message in sent[1:]]
            assert len([piece for piece in pieces if piece]) > 10
            assert max(map(len, pieces)) < sum(map(len, pieces)) / 8
            rows = read_rows(b"".join(pieces).decode(), format_name)
            assert len(rows) == MANY
            assert int(rows[-1]["local_port"]) == (MANY - 1) % 65535 + 1

    asyncio.run(body())
