"""Floods of tests and requests, more than a test may be, and visitors who leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from portbook.probe.targets import ports_in
from portbook.web import mine, runs
from portbook.web.settings import Settings

from .conftest import Clients, Serving, Web
from .standin import (
    FORM,
    PATIENCE,
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


# 6. Quotas, one test in flight, a short cache.


@pytest.mark.parametrize("rates", [{"address": "2/hour"}, {"network": "2/hour"}, {"all": "2/hour"}])
def test_a_flood_of_tests_is_refused_with_a_time(tested: StandIn, visiting: Visits, rates: dict[str, str]) -> None:
    async def visit(web: Web) -> list[httpx.Response]:
        answers = [await web.post("/api/v1/tests", json={"ports": str(port)}, headers=PROGRAM) for port in (1, 2, 3)]
        return [*answers, await post(web, "4"), await web.get("/port/5", headers=PROGRAM)]

    answers = visiting(visit, quotas=rates)
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers[2:])
    assert len(tested.asked) == 2


def test_a_flood_of_requests_is_refused_on_every_path(visiting: Visits) -> None:
    async def visit(web: Web) -> list[int]:
        paths = ("/", "/static/page.css", "/nothing", "/api/v1/me", "/healthz", "/tests/x")
        return [(await web.get(path, headers=PROGRAM)).status_code for path in paths]

    assert visiting(visit, quotas={"requests": "2/hour"})[2:] == [429] * 4


def test_one_address_has_one_test_in_flight(tested: StandIn, visiting: Visits) -> None:
    tested.slow = True

    async def visit(web: Web) -> list[str]:
        answers = await asyncio.gather(*(post(web, str(port)) for port in range(1, 20)))
        other = await post(web.coming_from("9.9.9.9"))
        return [answer.json()["run"] for answer in (*answers, other)]

    names = visiting(visit)
    assert len(set(names)) == 2
    assert names[-1] != names[0]
    assert sorted(tested.ips) == [VISITOR, "9.9.9.9"]


def test_the_same_question_has_the_same_answer_for_a_while(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> tuple[str, str, str]:
        first, again = await by_api(web), await by_api(web)
        other = await by_api(web.coming_from("9.9.9.9"))
        return first.json()["id"], again.json()["id"], other.json()["id"]

    first, again, other = visiting(visit)
    assert first == again != other
    assert tested.ips == [VISITOR, "9.9.9.9"]


# 7. Caps; who leaves ends the test.


def test_so_many_ports_and_no_more(tested: StandIn, visiting: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    most = Settings(mode="public").quotas.ports
    read: list[str] = []

    def noted(text: str, sets: dict[str, Sequence[int]]) -> list[int]:
        read.append(text)
        return ports_in(text, sets)

    monkeypatch.setattr(mine, "ports_in", noted)

    async def visit(web: Web) -> list[int]:
        texts = (
            f"1-{most + 1}",
            "1-65535",
            "-",
            "0-",
            ",".join(["1-65535"] * 500),
            ",".join(map(str, range(1, most + 2))),
        )
        return [(await post(web, text)).status_code for text in texts]

    assert all(status in (400, 422) for status in visiting(visit))
    assert not any("," in part for part in read)  # each of hundreds of ranges is 65,535 ports
    assert not tested.asked
    assert visiting(lambda web: post(web, f"1-{most}")).status_code == 202
    assert len(tested.asked[0].ports) == most


def test_a_transport_twice_is_tested_once(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> None:
        await web.post("/tests", content="ports=80,80,80-80" + "&transport=tcp" * 9, headers=PROGRAM | URLENCODED)

    visiting(visit)
    assert tested.asked[0].ports == ((80, "tcp"),)


@pytest.mark.parametrize("kind", [*URLENCODED.values(), "multipart/form-data; boundary=x"])
def test_a_form_of_many_fields_is_refused(tested: StandIn, visiting: Visits, kind: str) -> None:
    field = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    body = (field * 900 + b"--x--\r\n") if "boundary" in kind else b"&".join([b"a=b"] * 9000)

    async def visit(web: Web) -> httpx.Response:
        return await web.post("/tests", content=body, headers={**PROGRAM, "content-type": kind})

    assert visiting(visit).status_code == 400
    assert not tested.asked


def test_no_file_is_taken(tested: StandIn, visiting: Visits) -> None:
    async def visit(web: Web) -> httpx.Response:
        return await web.post("/tests", files={"ports": ("a.txt", b"80")}, headers=PROGRAM)

    assert visiting(visit).status_code == 400
    assert not tested.asked


def test_a_test_ends_in_its_time(tested: StandIn, visiting: Visits) -> None:
    tested.slow = True
    answer = visiting(by_api, quotas={"seconds": 0.3})
    assert answer.status_code == 200
    assert answer.json()["over"]
    assert tested.cancelled.is_set()


def test_who_leaves_ends_the_test(tested: StandIn, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(runs, "as_known", tested.as_known)
    monkeypatch.setattr(runs, "_PATIENCE", 3.0)
    tested.slow = True
    url = serving()
    run = httpx.post(f"{url}/tests", data={"ports": "9"}, headers=FORM).json()["run"]
    with httpx.stream("GET", f"{url}/tests/{run}/events", headers=PROGRAM) as stream:
        lines = stream.iter_lines()
        assert any(line.startswith("event: door") for line in lines)
        # As long as somebody reads, it goes on.
        assert not tested.cancelled.wait(4.0)
    assert tested.cancelled.wait(PATIENCE)
