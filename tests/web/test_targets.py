"""Targets as a script's token sees them, tested for real on this host's loopback: what is refused, and to whom."""

from __future__ import annotations

import asyncio
import json
from secrets import token_hex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portbook.web import allowed
from portbook.web import targets as operations
from portbook.web.webhooks import signature

from .conftest import Clients, Web
from .test_webhooks import answer, receiver
from .tested_targets import (
    GREETING,
    LOCAL,
    Using,
    add,
    check_of,
    closed_port,
    history,
    open_port,
    ports_of,
    sign_in,
    using,
    without_names,
)

__all__ = ["closed_port", "open_port", "using"]

REFUSED = (
    ({"host": "127.0.0.2"}, 403),
    ({"host": "www.example.org"}, 400),
    ({"host": "169.254.169.254"}, 403),
    ({"host": "2130706433"}, 400),
    ({"host": "127.1"}, 400),
    ({"host": "127.0.0.1/8"}, 400),
    ({"host": ""}, 422),
    ({"ports": "0"}, 400),
    ({"ports": "1-65535"}, 422),
    ({"ports": "https, please"}, 400),
    ({"ports": "x" * 401}, 422),
    ({"transports": ["sctp"]}, 422),
    ({"every": 299}, 422),
    ({"every": 30 * 86400 + 1}, 422),
    ({"webhook": "http://127.0.0.1/"}, 403),
    ({"webhook": "gopher://127.0.0.1/"}, 400),
    ({"secret": "mine"}, 422),
)
"""What makes no target, and how that is said."""


def test_a_script_adds_tests_reads_and_removes_a_target(using: Using, open_port: int, closed_port: int) -> None:
    async def work(web: Web) -> None:
        ports = f"{open_port},{closed_port}"
        made = await add(web, ports=ports, transports=["tcp"])
        assert (made["host"], made["ports"], made["transports"], made["every"]) == ("127.0.0.1", ports, ["tcp"], None)
        assert (await web.get("/api/v1/targets")).json() == [made]
        assert (await web.get(f"/api/v1/targets/{made['id']}")).json() == made
        check = await check_of(web, made["id"])
        assert sorted(ports_of(check)) == sorted(
            [("127.0.0.1", open_port, "open", "ssh"), ("127.0.0.1", closed_port, "closed", None)]
        )
        assert check["tests"][0]["target"] == "127.0.0.1"
        assert not check["changed"]
        assert (await web.delete(f"/api/v1/targets/{made['id']}")).status_code == 204
        assert (await web.get(f"/api/v1/targets/{made['id']}")).status_code == 404
        assert (await web.get("/api/v1/targets")).json() == []

    using(work)


def test_every_address_of_a_name_is_tested(using: Using, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked_up(host: str) -> tuple[str, ...]:
        return ("127.0.0.1", "127.0.0.2", "::1")

    monkeypatch.setattr(allowed, "_looked_up", looked_up)

    async def work(web: Web) -> None:
        made = await add(web, host="LocalHost", ports=str(closed_port), transports=["tcp", "udp"])
        assert made["host"] == "localhost"
        check = await check_of(web, made["id"])
        assert [(one["ip"], one["transport"]) for one in check["tests"]] == [
            (ip, transport) for ip in ("127.0.0.1", "127.0.0.2", "::1") for transport in ("tcp", "udp")
        ]
        assert {one["target"] for one in check["tests"]} == {"localhost"}

    using(work, targets=("localhost",))


def test_what_was_checked_is_what_is_connected_to(
    using: Using, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test looks the name up once; where that leads elsewhere, nothing is tested."""
    answers = [("127.0.0.1",), ("127.0.0.1",), ("127.0.0.9", "169.254.169.254")]
    asked: list[str] = []

    async def looked_up(host: str) -> tuple[str, ...]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr(allowed, "_looked_up", looked_up)

    async def work(web: Web) -> None:
        made = await add(web, host="rebound.invalid", ports=str(closed_port))
        assert [ip for ip, *_ in ports_of(await check_of(web, made["id"]))] == ["127.0.0.1"]
        assert len(asked) == 2
        answered = await web.post(f"/api/v1/targets/{made['id']}/tests")
        assert answered.status_code == 403
        assert "169.254.169.254" in answered.json()["detail"]
        assert len(await history(web, made["id"], 1)) == 1

    using(work, targets=("127.0.0.0/8",))


def test_what_makes_no_target_is_refused(using: Using) -> None:
    async def work(web: Web) -> None:
        for wish, status in REFUSED:
            answered = await web.post("/api/v1/targets", json={"host": "127.0.0.1", "ports": "9", **wish})
            assert (wish, answered.status_code) == (wish, status), answered.text
            assert list(answered.json()) == ["detail"]
        assert (await web.get("/api/v1/targets")).json() == []

    using(work)


def test_ports_that_the_operator_never_tests_are_not_tested(using: Using, closed_port: int, open_port: int) -> None:
    async def work(web: Web) -> None:
        made = await add(web, ports=f"{open_port},{closed_port}")
        assert [port for _, port, *_ in ports_of(await check_of(web, made["id"]))] == [closed_port]

    using(work, never_test=(open_port,))


def test_a_target_is_had_once_and_not_without_end(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST_TARGETS", 3)

    async def work(web: Web) -> None:
        for port in ("1", "2"):
            await add(web, ports=port)
        for ports, words in (("1", "already"), (" 2 ", "already")):
            answered = await web.post("/api/v1/targets", json={"host": "127.0.0.1", "ports": ports})
            assert (answered.status_code, words in answered.text) == (409, True)
        await add(web, ports="3")
        answered = await web.post("/api/v1/targets", json={"host": "127.0.0.1", "ports": "4"})
        assert (answered.status_code, "3 targets" in answered.text) == (409, True)

    using(work)


def test_tests_by_hand_are_counted(using: Using, closed_port: int) -> None:
    async def work(web: Web) -> None:
        made = await add(web, ports=str(closed_port))
        await check_of(web, made["id"])
        answered = await web.post(f"/api/v1/targets/{made['id']}/tests")
        assert answered.status_code == 429
        assert int(answered.headers["retry-after"]) > 0
        page = await web.post(f"/targets/{made['id']}/tests")
        assert page.status_code == 429
        assert "History" in page.text

    using(work, quotas={"address": "1/hour"})


def test_a_target_is_its_owners_alone(using: Using, closed_port: int) -> None:
    async def work(web: Web) -> None:
        made = await add(web, ports=str(closed_port))
        await check_of(web, made["id"])
        begun = (await web.post(f"/api/v1/targets/{made['id']}/tests")).json()["id"]
        other = web.coming_from("203.0.113.8")
        async with other:
            await sign_in(other, "bert")
            assert (await other.get("/api/v1/targets")).json() == []
            place, api = f"/targets/{made['id']}", f"/api/v1/targets/{made['id']}"
            answers = [
                await other.get(api),
                await other.get(f"{api}/checks"),
                await other.post(f"{api}/tests"),
                await other.delete(api),
                await other.get(place),
                await other.post(place, data={"every": ""}),
                await other.post(f"{place}/tests"),
                await other.post(f"{place}/delete"),
                await other.get(f"{place}/tests/{begun}"),
                await other.get(f"{place}/tests/{begun}/events"),
            ]
            assert [one.status_code for one in answers] == [404] * len(answers)
            assert not any(made["secret"] in one.text for one in answers)
            assert "127.0.0.1" not in (await other.get("/targets")).text.partition("<form")[0]
        assert len((await web.get("/api/v1/targets")).json()) == 1

    using(work)


def test_who_is_not_signed_in_sees_nothing(client: Clients) -> None:
    async def work() -> None:
        async with client(targets=LOCAL) as web:
            web.headers.update({"accept": "text/html", "accept-language": "en", "sec-fetch-site": "same-origin"})
            for method, path in (("GET", ""), ("POST", ""), ("GET", "/1"), ("DELETE", "/1"), ("POST", "/1/tests")):
                assert (await web.request(method, f"/api/v1/targets{path}", json={})).status_code == 401
            assert (await web.get("/api/v1/targets/1/checks")).status_code == 401
            for method, path in (
                ("GET", ""),
                ("POST", ""),
                ("GET", "/1"),
                ("POST", "/1/tests"),
                ("POST", "/1/delete"),
            ):
                answered = await web.request(method, f"/targets{path}")
                assert answered.status_code == 303
                assert answered.headers["location"].startswith("/signin")

    asyncio.run(work())


def test_a_number_that_is_no_targets(using: Using) -> None:
    async def work(web: Web) -> None:
        made = await add(web)
        for number in ("0", "99999999999999999999999", "-1", "x"):
            assert (await web.get(f"/targets/{number}")).status_code == 404
            assert (await web.get(f"/api/v1/targets/{number}")).status_code == 422
            assert (await web.get(f"/targets/{made['id']}?before={number}")).status_code == 200
            assert (await web.get(f"/api/v1/targets/{made['id']}/checks?before={number}")).status_code == 422

    using(work)


TEXTS = st.text(max_size=60)

WISHES = st.one_of(
    st.fixed_dictionaries({"host": TEXTS}),
    st.fixed_dictionaries({"ports": TEXTS}),
    st.fixed_dictionaries({"webhook": TEXTS | TEXTS.map("http://{}".format)}),
)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WISHES, min_size=10, max_size=20))
def test_no_text_makes_the_server_fail(
    client: Clients, monkeypatch: pytest.MonkeyPatch, wishes: list[dict[str, str]]
) -> None:
    without_names(monkeypatch)

    async def work() -> None:
        async with client(targets=LOCAL, webhooks=("hook.example",)) as web:
            await sign_in(web, token_hex(8))
            for wish in wishes:
                answered = await web.post("/api/v1/targets", json={"host": "127.0.0.1", "ports": "9", **wish})
                assert answered.status_code in (201, 400, 403, 409, 422), answered.text
                form = {"host": "127.0.0.1", "ports": "9", **wish}
                assert (await web.post("/targets", data=form)).status_code in (303, 400, 403, 409, 422)
            assert (await web.get("/targets")).status_code == 200

    asyncio.run(work())


def test_a_target_that_is_not_allowed_any_more_is_not_tested(client: Clients) -> None:
    async def work() -> None:
        async with client(targets=LOCAL) as web:
            await sign_in(web, "anna")
            made = await add(web, ports="9")
            headers = dict(web.headers)
        async with client(targets=("192.0.2.1",)) as web:
            web.headers.update(headers)
            answered = await web.post(f"/api/v1/targets/{made['id']}/tests")
            assert answered.status_code == 403

    asyncio.run(work())


def test_a_repeated_target_is_tested_by_itself_and_the_webhook_told(
    using: Using, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portbook.web.schedule.LOOK", 0.02)
    monkeypatch.setattr(operations, "_SOON", 0.0)

    async def work(web: Web) -> None:
        async with receiver(answer(200)) as hook:
            url = f"http://127.0.0.1:{hook.port}/told"
            made = await add(web, ports=str(closed_port), every=300, webhook=url)
            assert [one[2] for one in ports_of((await history(web, made["id"], 1))[0])] == ["closed"]

            async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(GREETING)
                writer.close()

            # The same port, open by now: the socket that held it lets others bind it too.
            server = await asyncio.start_server(greet, "127.0.0.1", closed_port, reuse_port=True)
            async with server:
                check = await check_of(web, made["id"], 2)
            assert check["changed"]
            async with asyncio.timeout(30):
                while (told := (await history(web, made["id"], 2))[0]["told"]) is None:
                    await asyncio.sleep(0.02)
            assert told == "the webhook was told"
            (message,) = hook.told
            assert message.headers["x-portbook-signature"] == signature(made["secret"], message.body)
            said = json.loads(message.body)
            assert (said["target"], said["id"], said["check"]) == ("127.0.0.1", made["id"], check["id"])
            (change,) = said["changes"]
            assert change["port"] == closed_port
            assert (change["from_state"], change["to_state"]) == ("closed", "open")
            assert change == check["changes"][0]

    using(work, webhooks=("127.0.0.1",))
