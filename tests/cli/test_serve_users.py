"""The command line that makes accounts and one-time links, on the server's own database."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from portbook.cli.serve_users import first_link
from portbook.web import accounts
from portbook.web.database import Database
from portbook.web.settings import read_settings

from ..web.conftest import made_settings
from ..web.databases import OTHER, PASSWORD, Made, done

__all__ = ["made_settings"]


def portbook(
    folder: Path, *arguments: str, typed: str = "", code: int = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "portbook", "serve", "user", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTBOOK_")}
    answer = subprocess.run(
        command,
        input=typed,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        env={**kept, "LC_ALL": "C.UTF-8", "PORTBOOK_DATA": str(folder), **environ},
    )
    assert answer.returncode == code, answer
    assert answer.stderr.count("\n") <= 1, answer
    assert "Traceback" not in answer.stderr
    return answer


def test_the_command_line_works_on_the_servers_own_database(tmp_path: Path, made_settings: Made) -> None:
    folder = tmp_path / "serve"
    assert "anna is made" in portbook(folder, "add", "Anna", typed=f"{PASSWORD}\nmore\n").stderr
    assert "already an account anna" in portbook(folder, "add", "ANNA", typed=f"{OTHER}\n", code=2).stderr
    token = portbook(folder, "token", "anna", "nightly").stdout.strip()
    assert token.startswith("portbook_")
    assert portbook(folder, "list", "--format", "csv", "--columns", "name,tokens").stdout.splitlines() == [
        "name,tokens",
        "anna,1",
    ]
    assert "sessions are ended" in portbook(folder, "password", "anna", typed=OTHER).stderr

    async def work(database: Database) -> None:
        assert await accounts.sign_in(database, "anna", PASSWORD) is None
        session = await accounts.sign_in(database, "anna", OTHER)
        assert session is not None
        assert [one.name for one in await accounts.tokens_of(database, session.user)] == ["nightly"]

    done(made_settings(), work)
    link = portbook(folder, "link").stdout.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/setup/[\w-]{43}", link)
    assert "anna is removed" in portbook(folder, "remove", "Anna").stderr
    portbook(folder, "list", code=1)
    assert (folder / "portbook.sqlite").exists()
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (["add", "anna"], "", "there is none"),
        (["add", "anna"], "\n", "there is none"),
        (["add", "anna"], "short\n", "10 to 1000 characters"),
        (["add", "an na"], PASSWORD, "without spaces"),
        (["password", "anna"], PASSWORD, "no account anna"),
        (["token", "anna"], "", "no account anna"),
        (["remove", "an\x1bna"], "", "no account"),
        (["paint", "anna"], "", "add, list, password, token, link, remove"),
        ([], "", "add, list, password, token, link, remove"),
        (["add"], "", "NAME"),
        (["list", "--config", "/nowhere.toml"], "", "/nowhere.toml cannot be read"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, arguments: list[str], typed: str, said: str) -> None:
    answer = portbook(tmp_path / "serve", *arguments, typed=typed, code=2)
    assert said in answer.stderr
    assert "\x1b" not in answer.stderr
    assert answer.stdout == ""


def test_a_database_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    folder.mkdir()
    (folder / "portbook.sqlite").write_bytes(b"no database at all" * 100)
    assert "the database cannot be used" in portbook(folder, "list", code=2).stderr
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    assert "the database cannot be used" in portbook(folder, "list", code=2, PORTBOOK_DATABASE=nowhere).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what the server could not write")
def test_root_makes_no_database_in_another_users_folder(tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    assert "run this as user 65534" in portbook(folder, "add", "anna", typed=PASSWORD, code=2).stderr
    assert list(folder.iterdir()) == []


def test_the_help_tells_every_action(tmp_path: Path) -> None:
    said = portbook(tmp_path, "--help").stdout
    assert all(action in said for action in ("add", "list", "password", "token", "link", "remove"))
    assert "LABEL" in portbook(tmp_path, "token", "--help").stdout


@pytest.mark.parametrize(
    ("again", "code", "said"), [(PASSWORD, 0, "is made"), (OTHER, 2, "the two passwords differ")]
)
def test_at_a_terminal_the_password_is_typed_twice_and_not_shown(
    tmp_path: Path, again: str, code: int, said: str
) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(LC_ALL="C.UTF-8", PORTBOOK_DATA=str(tmp_path / "serve"))
        os.execv(sys.executable, [sys.executable, "-m", "portbook", "serve", "user", "add", "anna"])
    seen = b""
    try:
        for prompt, typed in ((b"Password: ", PASSWORD), (b"Password again: ", again)):
            while not seen.endswith(prompt):
                seen += os.read(terminal, 1000)
            os.write(terminal, typed.encode() + b"\n")
        with contextlib.suppress(OSError):  # the terminal is gone when its last process is
            while piece := os.read(terminal, 1000):
                seen += piece
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == code
    assert said in seen.decode()
    assert PASSWORD not in seen.decode()
    assert again not in seen.decode()


def started(folder: Path, port: int) -> str:
    """Start the server, end it as soon as it answers, and return what it has printed to standard error."""
    command = [sys.executable, "-m", "portbook", "serve", "--listen", f"127.0.0.1:{port}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTBOOK_")}
    environ = {**kept, "LC_ALL": "C.UTF-8", "PORTBOOK_DATA": str(folder)}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            until = time.monotonic() + 30
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30, trust_env=False).text
                    break
                assert server.poll() is None, "the server ended at once"
                assert time.monotonic() < until, "the server does not listen"
                time.sleep(0.05)
        finally:
            server.terminate()
        return server.stderr.read()


def test_the_first_start_prints_a_one_time_link_and_a_later_one_none(tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    found = re.findall(rf"http://127\.0\.0\.1:{port}/setup/([\w-]{{43}})$", started(folder, port), re.MULTILINE)
    assert len(found) == 1
    settings = read_settings(None, {"data": str(folder)})
    done(settings, lambda database: accounts.use_link(database, found[0], "anna", PASSWORD))
    assert "/setup/" not in started(folder, port)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({}, "http://127.0.0.1:8080/setup/"),
        ({"listen": "[::1]:80"}, "http://[::1]:80/setup/"),
        ({"listen": "0.0.0.0:80", "mode": "lan"}, "http://127.0.0.1:80/setup/"),
        ({"listen": "[::]:80", "mode": "lan"}, "http://[::1]:80/setup/"),
        ({"hosts": ("ports.example", "b")}, "http://ports.example:8080/setup/"),
        ({"hosts": ("ports.example",), "trusted_proxies": ("127.0.0.1",)}, "https://ports.example/setup/"),
    ],
)
def test_the_link_is_printed_as_it_can_be_opened(tmp_path: Path, given: dict[str, Any], start: str) -> None:
    settings = read_settings(None, {"data": str(tmp_path / "serve"), **given})
    link = first_link(settings)
    assert link is not None
    assert link.startswith(start)
