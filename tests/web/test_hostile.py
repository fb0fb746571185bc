"""What ports say that mean harm, addresses that are others' too, and what every answer carries."""

from __future__ import annotations

import re
import socket
import threading

import httpx
import pytest

from portbook.porttest import Finding
from portbook.web import pages

from ..cli.doors import greeter
from .conftest import HOST, Clients, Serving, Web
from .standin import (
    ACTING,
    BROWSER,
    FORM,
    OWN_PAGE,
    PROGRAM,
    URLENCODED,
    VISITOR,
    StandIn,
    Visits,
    by_api,
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


# 8. What is sent, and what comes back.


def test_udp_is_asked_with_words_of_this_servers_own(serving: Serving) -> None:
    """The same that any visitor's port is sent, whatever the request carried."""
    mark = "SECRETMARKOFTHEVISITOR"
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.2)
        port = listening.getsockname()[1]
        url = serving()
        with httpx.Client(base_url=url, timeout=60, headers={**PROGRAM, "x-payload": mark, "from": mark}) as web:
            form = {"ports": str(port), "transport": "udp", "data": mark, "payload": mark, "hex": mark.encode().hex()}
            run = web.post("/tests", params={"payload": mark}, data=form, headers=FORM).json()["run"]
            reader = threading.Thread(target=web.get, args=(f"/tests/{run}/events",))
            reader.start()
            while reader.is_alive():
                try:
                    heard.append(listening.recv(65536))
                except TimeoutError:
                    continue
            reader.join()
    assert heard
    for payload in heard:
        assert len(payload) <= 512
        assert mark.encode() not in payload
        assert mark.encode().lower() not in payload.lower()


HOSTILE = (
    b"220 <script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[2J\x1b]0;owned\x07\x9b31m"
    b"\xe2\x80\xae\xe2\x80\x8bgnol\r\nevent: over\r\ndata: <h1>\r\rdata: x\n\n" + b"A" * 2_000_000
)


def shows_no_harm(text: str) -> None:
    assert len(text) < 200_000
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert ACTING.search(text) is None


def ends(stream: str) -> int:
    """Return how often a stream of events says that it is over; no line of a banner may be a line of its own."""
    lines = re.split(r"\r\n|\r|\n", stream)
    assert all(re.match(r"(event|data|id|retry): |:|$", line) for line in lines)
    return lines.count("event: over")


def test_a_hostile_banner_is_shown_harmless_everywhere(serving: Serving) -> None:
    url = serving()
    with greeter(greeting=HOSTILE) as server, httpx.Client(base_url=url, timeout=60, headers=PROGRAM) as web:
        run = web.post("/tests", data={"ports": str(server.port)}, headers=FORM).json()["run"]
        stream = web.get(f"/tests/{run}/events").text
        page = web.get(f"/tests/{run}").text
        told = web.get(f"/api/v1/tests/{run}")
        stream_of_api = web.get(f"/api/v1/tests/{run}/events").text
        others = [
            web.get(f"/api/v1/tests/{run}", headers={"accept": kind}).text
            for kind in ("text/csv", "application/x-ndjson")
        ]
        plain = web.get(f"/port/{server.port}")
    assert (plain.status_code, plain.text) == (200, "open\n")
    for text in (stream, page):
        shows_no_harm(text)
    for text in (told.text, stream_of_api, *others):
        assert len(text) < 200_000
        assert ACTING.search(text) is None
    (row,) = told.json()["tests"]
    assert row["state"] == "open"
    assert ends(stream) == ends(stream_of_api) == 1


@pytest.mark.parametrize("field", ["product", "version", "banner", "server_name"])
def test_nor_does_what_was_found_out_do_harm(tested: StandIn, visiting: Visits, field: str) -> None:
    text = HOSTILE[:2000].decode("utf-8", "replace")
    tested.finding = Finding("http")._replace(**{field: text})  # type: ignore[arg-type]

    async def visit(web: Web) -> list[str]:
        run = (await post(web)).json()["run"]
        paths = (f"/tests/{run}/events", f"/tests/{run}", f"/api/v1/tests/{run}", f"/api/v1/tests/{run}/events")
        return [(await web.get(path, headers=PROGRAM)).text for path in paths]

    stream, page, told, stream_of_api = visiting(visit)
    shows_no_harm(stream)
    shows_no_harm(page)
    assert ACTING.search(told) is None
    assert ACTING.search(stream_of_api) is None
    assert ends(stream) == ends(stream_of_api) == 1


# 9. Consent.


@pytest.mark.parametrize("sign", [{"via": "1.1 proxy"}, {"x-forwarded-for": "192.168.1.1"}, {"forwarded": "for=x"}])
def test_a_shared_address_is_tested_with_consent_alone(
    tested: StandIn, visiting: Visits, sign: dict[str, str]
) -> None:
    async def visit(web: Web) -> list[int]:
        headers = {**PROGRAM, **sign}
        token = (await web.get("/api/v1/me", headers=headers)).json()["token"]
        without = [
            await post(web, headers=headers),
            await post(web, headers=headers, token=token),
            await web.get("/port/80", headers=headers),
            await by_api(web, **sign),
        ]
        assert not tested.asked
        return [answer.status_code for answer in (*without, await post(web, headers=headers, consent="yes"))]

    assert visiting(visit) == [403, 403, 403, 403, 202]


def test_an_address_of_many_browsers_is_shared(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> tuple[int, int]:
        for _ in range(4):
            web.cookies.clear()
            await web.get("/", headers=BROWSER)
        web.cookies.clear()
        return (await post(web, headers=OWN_PAGE)).status_code, (
            await post(web, headers=OWN_PAGE, consent="yes")
        ).status_code

    assert visiting(visit) == (403, 202)


# 10. What every answer carries, and what is never tested.


def test_ports_never_tested_are_not(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> list[int]:
        refused = [await post(web, "25"), await web.get("/port/25", headers=PROGRAM), await post(web, "25,0025")]
        return [answer.status_code for answer in (*refused, await post(web, "24-26"))]

    assert visiting(visit, never_test=(25,))[-1] == 202
    assert {port for one in tested.asked for port, _ in one.ports} == {24, 26}


def test_an_excluded_network_is_not_tested(tested: StandIn, visiting: Visits) -> None:
    assert visiting(post, never_networks=("8.8.0.0/16",)).status_code == 403
    assert not tested.asked


def test_every_answer_keeps_the_page_to_itself(visiting: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("<script>of the inside</script>")

    monkeypatch.setattr(pages, "home", broken)

    async def visit(web: Web) -> list[httpx.Response]:
        async def failing() -> httpx.Response:
            transport = httpx.ASGITransport(web.app, raise_app_exceptions=False, client=(VISITOR, 40000))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as other:
                return await other.get("/", headers=BROWSER)

        return [
            await web.get("/", headers=PROGRAM),
            await web.get("/tests/unknown", headers=BROWSER),
            await web.get("/nothing", headers=BROWSER),
            await web.get("/port/99999", headers=BROWSER),
            await web.get("/static/page.css"),
            await web.get("/static/nothing"),
            await web.get("/api/v1/me"),
            await web.get("/api/v1/nothing"),
            await web.get("/api/v1/openapi.json"),
            await web.request("DELETE", "/tests", headers=PROGRAM),
            await web.get("/", headers={"host": "evil.example"}),
            await post(web, headers={**BROWSER, "origin": "null"}),
            await web.post("/tests", content=bytes(70_000), headers=PROGRAM | URLENCODED),
            await web.post("/api/v1/tests", content=b"{", headers=PROGRAM),
            await web.get("/account", headers=BROWSER),
            await web.get("/metrics"),
            await failing(),
        ]

    answers = visiting(visit)
    assert {200, 400, 403, 404, 413, 421, 422, 500} <= {answer.status_code for answer in answers}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "of the inside" not in answer.text


def test_pages_hold_no_script_and_no_style_of_their_own(visiting: Visits) -> None:
    async def visit(web: Web) -> str:
        paths = ("/", "/ports", "/port/443", "/learn", "/about", "/signin", "/nothing", "/tests/x")
        return "\n".join([(await web.get(path, headers=BROWSER)).text for path in paths])

    text = visiting(visit)
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)
    assert not re.search(r"<style[ >]|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(
        r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//", text
    )
