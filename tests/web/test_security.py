"""Who may have what tested by a public page, line by line: each test tries to break one. Here: whose address it is,
and whose page asks.

Addresses of the internet are tested by a stand-in that notes what it was asked for and sends nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from portbook.probe import few

from ..cli.doors import greeter
from .conftest import HOST, Clients, Web
from .standin import (
    BROWSER,
    FORM,
    PROGRAM,
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


# 1. The target is the visitor's own transport address.

NAMED = ("target", "host", "ip", "address", "addr", "to", "url", "remote", "dst", "server", "X-Forwarded-For")


def test_no_parameter_names_another_host(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> None:
        for number, name in enumerate(NAMED):
            port = str(1000 + number)
            for value in ("9.9.9.9", "127.0.0.1", "localhost", "evil.example"):
                query = {name: value}
                headers = {**PROGRAM, name: value, "X-Real-IP": value, "Client-IP": value, "Referer-Host": value}
                await web.post("/tests", params=query, data={"ports": port, **query}, headers=headers | FORM)
                await web.post("/api/v1/tests", params=query, json={"ports": port, **query}, headers=headers)
                await web.get(f"/port/{port}", params=query, headers=headers)
        for path in (
            "/port/9.9.9.9",
            "/port/9.9.9.9:80",
            "/port/80@9.9.9.9",
            "/port/http://9.9.9.9/",
            "//9.9.9.9/port/80",
        ):
            await web.get(f"http://{HOST}{path}", headers=PROGRAM)

    visiting(visit, quotas={"address": "1000/hour", "network": "1000/hour"})
    assert tested.ips
    assert set(tested.ips) == {VISITOR}


@pytest.mark.parametrize(
    "text", ["9.9.9.9", "9.9.9.9:80", "80,evil.example", "http://127.0.0.1", "80;9.9.9.9", "80\r\n9.9.9.9"]
)
def test_no_list_of_ports_names_one(tested: StandIn, visiting: Visits, text: str) -> None:
    assert visiting(lambda web: post(web, text)).status_code in (400, 422)
    assert not tested.asked


def test_where_an_answer_leads_is_this_server(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> list[httpx.Response]:
        form = {"ports": "80", "next": "//evil.example", "redirect": "https://evil.example", "url": "//evil.example"}
        return [
            await web.post("/tests?next=//evil.example", data=form, headers=PROGRAM),
            await web.get("//evil.example/%2e%2e", headers=BROWSER),
            await web.get("/tests/?next=//evil.example", headers=BROWSER),
            await web.get("/account?next=//evil.example", headers=BROWSER),
        ]

    for answer in visiting(visit):
        to = urlsplit(answer.headers.get("location", "/"))
        assert to.netloc in ("", HOST)
        assert not answer.headers.get("location", "/").startswith("//")


# 2. Forwarded headers.


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"]
)
def test_a_stranger_is_not_believed(tested: StandIn, visiting: Visits, header: str) -> None:
    async def visit(web: Web) -> tuple[str, int]:
        forged = {**PROGRAM, header: "for=9.9.9.9" if header == "Forwarded" else "9.9.9.9"}
        me = await web.get("/", headers=forged)
        begun = await post(web, headers=forged, consent="yes")
        return me.text.strip(), begun.status_code

    assert visiting(visit) == (VISITOR, 202)
    assert tested.ips == [VISITOR]


@pytest.mark.parametrize(
    "chain", ["", "x", "8.8.8.8,", "unknown", "9.9.9.9, fe80::1%eth0", ",".join(["8.8.8.8"] * 33)]
)
def test_a_malformed_chain_is_refused_on_every_path(tested: StandIn, visiting: Visits, chain: str) -> None:
    async def visit(web: Web) -> set[int]:
        headers = {**PROGRAM, "X-Forwarded-For": chain}
        asked = [web.get(path, headers=headers) for path in ("/", "/port/80", "/api/v1/me", "/static/page.css", "/x")]
        return {(await one).status_code for one in (*asked, post(web, headers=headers))}

    assert visiting(visit, ip="10.0.0.2", trusted_proxies=("10.0.0.0/24",)) == {400}
    assert not tested.asked


def test_a_proxy_that_names_nobody_has_nobody_tested(tested: StandIn, visiting: Visits) -> None:
    """Neither the proxy itself, which a token of its own address would name."""

    async def visit(web: Web) -> list[int]:
        token = (await web.get("/api/v1/me", headers=PROGRAM)).json()["token"]
        answers = [await post(web), await post(web, token=token), await post(web.coming_from("9.9.9.9"), token=token)]
        return [answer.status_code for answer in answers]

    assert visiting(visit, trusted_proxies=(f"{VISITOR}/32",)) == [403, 403, 403]
    assert not tested.asked


# 3. and 4. Addresses.


@pytest.mark.parametrize(
    "ip",
    [
        *("127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "224.0.0.1"),
        *("::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"),
        *("fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1", "::7f00:1", "203.0.113.7", "9.9.9.9", "::ffff:9.9.9.9"),
    ],
)
def test_what_may_not_be_tested_is_not(tested: StandIn, visiting: Visits, ip: str) -> None:
    async def visit(web: Web) -> list[httpx.Response]:
        return [await post(web), await by_api(web), await web.get("/port/80", headers=PROGRAM)]

    for answer in visiting(visit, ip=ip, addresses=("9.9.9.9",)):
        assert answer.status_code == 403
    assert not tested.asked


def test_a_zone_is_refused(tested: StandIn, visiting: Visits) -> None:
    assert visiting(post, ip="fe80::1%eth0").status_code == 400
    assert not tested.asked


def test_a_connection_that_led_elsewhere_is_not_told_as_the_visitors() -> None:
    with greeter() as server, socket.create_connection(("127.0.0.1", server.port)) as made:
        assert few._is_peer(made, "127.0.0.1")
        assert not few._is_peer(made, "127.0.0.2")
        assert not few._is_peer(made, "::1")


def test_and_it_is_closed_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few, "_is_peer", lambda *_: False)
    with greeter() as server:
        outcome = asyncio.run(few._reached("127.0.0.1", server.port))
        assert outcome.made is None
        assert outcome.result.state == "error"


# 5. Whose page asks.

FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": f"http://{HOST}.evil.example"},
    {"origin": f"http://{HOST}:8080"},
    {"origin": f"https://{HOST}"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": f"http://{HOST}"},
    {"sec-fetch-site": "none"},
    {"referer": "https://evil.example/"},
    {"cookie": "portbook=x"},
    {},
]


@pytest.mark.parametrize("marks", FOREIGN, ids=range(len(FOREIGN)))
@pytest.mark.parametrize("path", ["/tests", "/api/v1/tests", "/signin", "/nothing"])
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
)
def test_another_sites_form_begins_nothing(
    tested: StandIn, visiting: Visits, marks: dict[str, str], path: str, kind: str
) -> None:
    async def visit(web: Web) -> httpx.Response:
        return await web.post(path, content=b"ports=80", headers={**BROWSER, **marks, "content-type": kind})

    assert visiting(visit).status_code == 403
    assert not tested.asked


@pytest.mark.parametrize(
    "how",
    [
        {"accept": "image/avif,image/webp,*/*;q=0.8", "sec-fetch-dest": "image", "sec-fetch-site": "cross-site"},
        {"accept": "*/*", "accept-language": "en", "referer": "http://evil.example/"},
        {"accept": "*/*", "user-agent": BROWSER["user-agent"]},
        {"accept": "*/*", "sec-fetch-mode": "no-cors"},
        {"accept": "text/html"},
    ],
)
def test_a_pictures_address_begins_nothing(tested: StandIn, visiting: Visits, how: dict[str, str]) -> None:
    async def visit(web: Web) -> None:
        for path in (
            "/port/80",
            "/port/80?consent=true&transport=udp",
            "/",
            "/tests",
            "/api/v1/tests",
            "/tests?ports=80",
        ):
            for method in ("GET", "HEAD"):
                await web.request(method, path, headers={"user-agent": "x", **how})

    visiting(visit)
    assert not tested.asked


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "Post"])
def test_no_other_method_begins_a_test(tested: StandIn, visiting: Visits, method: str) -> None:
    async def visit(web: Web) -> None:
        for override in ({}, {"x-http-method-override": "POST"}):
            for path in ("/tests", "/api/v1/tests", "/tests?_method=POST&ports=80"):
                await web.request(method, path, headers={**BROWSER, **override})

    visiting(visit)
    assert not tested.asked


def test_nothing_is_shared_with_other_origins(visiting: Visits) -> None:
    async def visit(web: Web) -> list[httpx.Response]:
        asks = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        paths = ("/", "/tests", "/api/v1/me", "/api/v1/tests", "/api/v1/ports", "/static/page.css", "/nothing")
        return [await web.request(method, path, headers=asks) for method in ("OPTIONS", "GET") for path in paths]

    for answer in visiting(visit):
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "host", ["evil.example", f"{HOST}.evil.example", "localhost", "127.0.0.1.evil.example", "9.9.9.9", ""]
)
def test_a_name_that_was_bent_here_is_not_answered_to(tested: StandIn, visiting: Visits, host: str) -> None:
    async def visit(web: Web) -> set[int]:
        headers = {**PROGRAM, "host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        asked = [
            web.get(path, headers=headers) for path in ("/", "/port/80", "/api/v1/me", "/static/page.css", "/host")
        ]
        return {(await one).status_code for one in (*asked, post(web, headers=headers))}

    assert visiting(visit) == {421}
    assert not tested.asked


def test_a_page_opened_by_anothers_link_does_not_begin_by_itself(visiting: Visits) -> None:
    async def visit(web: Web) -> list[bool]:
        found = []
        for site in ("none", "cross-site", "same-site"):
            answer = await web.get("/", headers={**BROWSER, "sec-fetch-site": site, "sec-fetch-mode": "navigate"})
            found.append(bool(re.search(r"<form[^>]* data-begin[ >=]", answer.text)))
        return found

    assert visiting(visit) == [True, False, False]


# The other modes.


@pytest.mark.parametrize(
    ("ip", "status"),
    [("192.168.1.9", 202), ("fd00::9", 202), (VISITOR, 403), ("127.0.0.1", 403), ("100.64.0.1", 403)],
)
def test_lan_mode(tested: StandIn, visiting: Visits, ip: str, status: int) -> None:
    assert visiting(post, ip=ip, mode="lan").status_code == status


@pytest.mark.parametrize(("ip", "status"), [("127.0.0.1", 202), ("::1", 202), ("192.168.1.9", 403), (VISITOR, 403)])
def test_local_mode(tested: StandIn, visiting: Visits, ip: str, status: int) -> None:
    assert visiting(post, ip=ip, mode="local", hosts=(), base_url="http://localhost").status_code == status
    assert visiting(post, ip=ip, mode="local", hosts=()).status_code == 421
