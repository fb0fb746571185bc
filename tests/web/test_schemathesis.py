"""The API against its own OpenAPI document: whatever schemathesis asks, no 500 and no broken promise."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from portbook.web import accounts
from portbook.web.database import Database
from portbook.web.settings import Settings

from .conftest import Serving

EXAMPLES = "8"
"""Of each operation and way of generating, beside those that its document's boundaries give."""

UNFIT = (
    "positive_data_acceptance",  # a text of the right type may still be no port, and a name be unknown
    "ignored_auth",  # a session does as well as a token, and the document names both in words
)


async def _token(settings: Settings) -> str:
    database = Database(settings)
    await database.prepare()
    try:
        user = await accounts.add(database, "reader", "a long enough password")
        return await accounts.make_token(database, user, "schemathesis")
    finally:
        await database.close()


def test_the_api_keeps_its_word(made_settings: Callable[..., Settings], serving: Serving, tmp_path: Path) -> None:
    token = asyncio.run(_token(made_settings()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        own = listening.getsockname()[1]
        # Ports of this host that are none of the test's are left alone.
        never = [port for port in range(1, 65536) if port != own]
        url = serving(never_test=never, quotas={"seconds": 1.0, "ports": 64})
        paths = httpx.get(f"{url}/api/v1/openapi.json").json()["paths"]
        operations = sum(len(methods) for methods in paths.values())
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
        command += [f"{url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}"]
        command += ["--max-examples", EXAMPLES, "--seed", "1", "--generation-deterministic", "--no-color"]
        command += ["--phases", "examples,coverage,fuzzing", "--request-timeout", "20", "--workers", "1"]
        command += ["--exclude-checks", ",".join(UNFIT)]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tested = re.search(r"Tested: (\d+)", ran.stdout)
    assert tested is not None, ran.stdout
    assert int(tested[1]) == operations
