"""Guessed names, forged tokens, paths that lead out, lines that would be headers."""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
from urllib.parse import quote, urlsplit

import httpx
import pytest

from .conftest import Clients, Serving, Web
from .standin import (
    ACTING,
    BROWSER,
    PATIENCE,
    PROGRAM,
    StandIn,
    Visits,
    installed,
    post,
    visits,
)


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return installed(monkeypatch)


@pytest.fixture
def visiting(client: Clients) -> Visits:
    return visits(client)


# Beyond the list: names of runs, tokens, files, headers.


def test_the_name_of_a_run_cannot_be_guessed(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> list[str]:
        names = [(await post(web.coming_from(f"9.9.{n}.1"))).json()["run"] for n in range(20)]
        for wrong in (
            "",
            "0",
            "*",
            "x" * 22,
            names[0][:-1],
            names[0] + "x",
            names[0].swapcase(),
            "portbook:run:*",
            "%00",
        ):
            for path in (f"/tests/{quote(wrong)}", f"/tests/{quote(wrong)}/events", f"/api/v1/tests/{quote(wrong)}"):
                answer = await web.get(path, headers=PROGRAM)
                assert answer.status_code in (404, 405, 307), path
        return names

    names = visiting(visit, quotas={"address": "1000/hour"})
    assert len(set(names)) == 20
    assert all(len(name) >= 22 for name in names)
    assert len({name[:4] for name in names}) > 15


def test_a_token_proves_its_own_address_for_a_while(
    tested: StandIn, visiting: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def visit(web: Web) -> None:
        token = (await web.coming_from("9.9.9.9").get("/api/v1/me", headers=PROGRAM)).json()["token"]
        payload, moment, signature = token.split(".")
        other = (await web.coming_from("9.9.9.10").get("/api/v1/me", headers=PROGRAM)).json()["token"].split(".")
        forged = [
            "",
            "9.9.9.9",
            token[:-1],
            token + "x",
            token.swapcase(),
            ".".join((other[0], moment, signature)),
            f"{payload}.{moment}.",
            ".".join((payload, other[1], signature[::-1])),
            json.dumps("9.9.9.9"),
            "x" * 9000,
        ]
        for wrong in forged:
            assert (await post(web, token=wrong)).status_code == 403
        assert not tested.asked
        assert (await post(web, token=token)).status_code == 202
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 121)
        assert (await post(web.coming_from("8.8.4.4"), token=token, ports="81")).status_code == 403
        monkeypatch.setattr(time, "time", lambda: now)

    visiting(visit)
    assert tested.ips == ["9.9.9.9"]


def test_a_session_of_another_secret_is_none(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> None:
        for cookie in ("portbook=e30=.x.y", "portbook=eyJ1c2VyIjogMX0=.aWlsYQ.AAAA", "portbook=" + "x" * 4000):
            answer = await web.get("/account", headers={**BROWSER, "cookie": cookie})
            assert answer.status_code in (303, 401)
            assert (await web.get("/", headers={**BROWSER, "cookie": cookie})).status_code == 200

    visiting(visit)


UP = ("..", "%2e%2e", "%252e%252e", "..%c0%af..", "%2e.", "..%00", "....")
SLASH = ("/", "%2f", "%5c", "%252f", "\\")


def test_no_path_leads_out_of_the_static_files(serving: Serving) -> None:
    parts = urlsplit(serving())
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as made:
        answers = made.makefile("rb")
        for up, slash, depth, file in itertools.product(
            UP, SLASH, (1, 2, 6, 12), ("app.py", "etc/passwd", "templates/base.html")
        ):
            path = "/static/" + (up + slash) * depth + file
            made.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            status = int(answers.readline().split()[1])
            length = 0
            while (line := answers.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = answers.read(length)
            assert status in (400, 404), path
            assert b"root:" not in body
            assert b"import" not in body
        answers.close()


@pytest.mark.parametrize(
    "path",
    ["/static/%00", "/static/a%00.css", "/static//etc/passwd", "/static/" + "a/" * 2000, "/static/" + "a" * 3000],
)
def test_a_strange_file_is_not_found(visiting: Visits, path: str) -> None:
    assert visiting(lambda web: web.get(path)).status_code in (400, 404)


BREAK = "x\r\nSet-Cookie: owned=1\r\n\r\n<script>"


def test_no_line_of_a_visitors_becomes_a_header(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> list[httpx.Response]:
        broken = quote(BREAK)
        answers = [
            await web.get(
                f"{path}{mark}lang={broken}&next={broken}&q={broken}",
                headers={**BROWSER, "cookie": f"language={broken}"},
            )
            for path, mark in (("/", "?"), ("/ports", "?"), ("/signin", "?"), ("/account", "?"), ("/nothing", "?"))
        ]
        answers += [
            await web.get(f"/{where}/{broken}", headers=BROWSER)
            for where in ("tests", "port", "static", "setup", "x")
        ]
        answers += [await web.get(f"/api/v1/{where}?q={broken}&limit={broken}") for where in ("me", "ports", "tests")]
        answers.append(await post(web, BREAK, transport=BREAK, token=BREAK))
        answers.append(
            await web.post("/signin", data={"name": BREAK, "password": BREAK, "next": f"/{BREAK}"}, headers=PROGRAM)
        )
        return answers

    for answer in visiting(visit):
        assert "owned=1" not in answer.headers.get("set-cookie", "")
        assert answer.status_code < 500
        for name, value in answer.headers.multi_items():
            assert not re.search(r"[\r\n\x00]", name + value)
        assert "<script>" not in answer.text or "script" not in answer.headers["content-type"]
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert f"{BREAK[-8:]}" not in answer.text


def test_what_is_echoed_of_a_name_is_harmless(visiting: Visits) -> None:
    async def visit(web: Web) -> httpx.Response:
        host = b"evil\x9b31m" + b"x" * 3000
        return await web.get("/", headers=[(b"host", host)])

    answer = visiting(visit)
    assert answer.status_code == 421
    assert len(answer.text) < 1000
    assert ACTING.search(answer.text) is None
