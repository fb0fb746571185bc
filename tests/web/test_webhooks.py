"""The webhook: where it may be, what it is told, and that no redirect, other address or proxy leads elsewhere."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tenacity import wait_none

from portbook.errors import BadQuestion
from portbook.web import allowed, webhooks
from portbook.web.allowed import Allowed
from portbook.web.checks import Change, Check
from portbook.web.refused import Refused
from portbook.web.webhooks import NotTold, Receiver, check_url, message, send, signature

SECRET = "0123456789abcdef"
LOOPBACK = Allowed.of(("127.0.0.1",))


class Told(NamedTuple):
    """A request as the receiver got it."""

    line: str
    headers: dict[str, str]
    body: bytes


class Hook(NamedTuple):
    """A receiver that runs: its port, and what it was told."""

    port: int
    told: list[Told]


@asynccontextmanager
async def receiver(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Hook]:
    """Run a receiver that gives these answers one after the other, the last one again and again."""
    told: list[Told] = []
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
            body = await reader.readexactly(int(headers["content-length"]))
            told.append(Told(line, headers, body))
            writer.write(answers[min(len(told), len(answers)) - 1])
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    try:
        yield Hook(server.sockets[0].getsockname()[1], told)
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answer(status: int, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status} x\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


async def sent(port: int, which: Allowed = LOOPBACK, host: str = "127.0.0.1", scheme: str = "http") -> None:
    to = Receiver(f"{scheme}://{host}:{port}/told?by=portbook", SECRET, which, lambda _: False)
    await send(to, b'{"a": 1}', wait_none())


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def worked() -> None:
        await work()

    asyncio.run(worked())


def test_a_message_says_what_changed_and_is_signed() -> None:
    changes = (
        Change("192.0.2.7", 22, "tcp", "open", "ssh", "closed", "ssh"),
        Change("192.0.2.7", 80, "tcp", None, None, "open", "http"),
    )
    check = Check(7, 3, 1_790_000_000.5, 2.0, True, changes, (), None, None)
    body = message("www.example.org", "22,80", check)
    told = json.loads(body)
    assert (told["target"], told["id"], told["check"], told["begun"]) == ("www.example.org", 3, 7, 1_790_000_000.5)
    assert told["changes"][0] == {
        "ip": "192.0.2.7",
        "port": 22,
        "transport": "tcp",
        "from_state": "open",
        "from_service": "ssh",
        "to_state": "closed",
        "to_service": "ssh",
    }
    assert told["changes"][1]["from_state"] is None
    assert signature(SECRET, body) == "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()


def test_it_arrives_as_it_was_signed() -> None:
    async def work() -> None:
        async with receiver(answer(204)) as hook:
            await sent(hook.port)
        (told,) = hook.told
        assert told.line == "POST /told?by=portbook HTTP/1.1"
        assert told.headers["host"] == f"127.0.0.1:{hook.port}"
        assert told.headers["content-type"] == "application/json"
        assert told.headers["x-portbook-signature"] == signature(SECRET, told.body)
        assert told.body == b'{"a": 1}'

    run(work)


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_it_is_tried_again_where_that_may_help(status: int) -> None:
    async def work() -> None:
        async with receiver(answer(status), answer(status), answer(200)) as hook:
            await sent(hook.port)
            assert len(hook.told) == 3

    run(work)


def test_it_is_given_up_after_five_times() -> None:
    async def work() -> None:
        async with receiver(answer(500)) as hook:
            with pytest.raises(NotTold, match="500"):
                await sent(hook.port)
            assert len(hook.told) == 5

    run(work)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_refusal_is_taken_for_an_answer(status: int) -> None:
    async def work() -> None:
        async with receiver(answer(status)) as hook:
            with pytest.raises(NotTold, match=str(status)):
                await sent(hook.port)
            assert len(hook.told) == 1

    run(work)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    async def work() -> None:
        async with receiver(answer(200)) as other:
            there = answer(status, f"location: http://127.0.0.1:{other.port}/\r\n")
            async with receiver(there) as hook:
                with pytest.raises(NotTold, match=str(status)):
                    await sent(hook.port)
                assert len(hook.told) == 1
        assert not other.told

    run(work)


def test_what_it_answers_is_not_read() -> None:
    async def work() -> None:
        endless = b"HTTP/1.1 200 x\r\ncontent-length: 1000000000000\r\n\r\n" + b"x" * 65536
        async with receiver(endless) as hook:
            await sent(hook.port)
            assert len(hook.told) == 1

    run(work)


def test_one_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_SECONDS", 0.05)

    async def work() -> None:
        async with receiver(b"HTTP/1.1 200 x\r\nx-") as hook:  # and no more, with the connection closed
            with pytest.raises(NotTold):
                await sent(hook.port)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotTold):
            await sent(silent.getsockname()[1])

    run(work)


def test_one_that_is_not_there_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(NotTold, match="could not be reached"):
        asyncio.run(sent(port))


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up would lead to another address: there is none."""
    asked: list[str] = []

    async def looked_up(host: str) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",) if len(asked) == 1 else ("10.0.0.1",)

    monkeypatch.setattr(allowed, "_looked_up", looked_up)

    async def work() -> None:
        async with receiver(answer(200), answer(200)) as hook:
            await sent(hook.port, host="hook.invalid")
            assert hook.told[0].headers["host"] == f"hook.invalid:{hook.port}"
            assert asked == ["hook.invalid"]
            with pytest.raises(Refused, match=r"10\.0\.0\.1"):
                await sent(hook.port, host="hook.invalid")
            assert len(hook.told) == 1

    run(work)


def test_an_address_that_cannot_be_reached_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked_up(host: str) -> tuple[str, ...]:
        return ("127.0.0.2", "127.0.0.1")

    monkeypatch.setattr(allowed, "_looked_up", looked_up)

    async def work() -> None:
        async with receiver(answer(200)) as hook:
            await sent(hook.port, Allowed.of(("127.0.0.0/8",)), "hook.invalid")
            assert len(hook.told) == 1

    run(work)


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with receiver(answer(200)) as proxy, receiver(answer(200)) as hook:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            await sent(hook.port)
            assert (len(proxy.told), len(hook.told)) == (0, 1)

    run(work)


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server with a certificate of this name shows, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "hook.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    shows = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shows.load_cert_chain(path)
    return shows, ssl.create_default_context(cafile=str(path))


def test_the_certificate_is_the_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shows, trusts = _certificate(tmp_path, "hook.invalid")

    async def looked_up(host: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    monkeypatch.setattr(allowed, "_looked_up", looked_up)
    monkeypatch.setattr(webhooks, "_roots", lambda: trusts)

    async def work() -> None:
        async with receiver(answer(200), tls=shows) as hook:
            await sent(hook.port, host="hook.invalid", scheme="https")
            assert len(hook.told) == 1
            with pytest.raises(NotTold, match=r"(?i)certificate"):
                await sent(hook.port, host="other.invalid", scheme="https")
            assert len(hook.told) == 1

    run(work)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "www.example.org",
        "ftp://www.example.org/",
        "file:///etc/passwd",
        "https:///told",
        "https://user:password@www.example.org/",
        "https://www.example.org/#part",
        "https://www.example.org:99999/",
        "https://www.example.org:0/",
        "https://www.example.org/\r\nHost: other",
        "https://www.example.org/a b",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://127.1/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "javascript:alert(1)",
        "https://www.example.org/" + "a" * 2000,
    ],
)
def test_what_is_no_address_of_a_webhook(text: str) -> None:
    with pytest.raises(BadQuestion):
        check_url(text, Allowed.of(("www.example.org", "0.0.0.0/0", "::/0")))


def test_which_webhooks_are_allowed() -> None:
    which = Allowed.of(("*.example.org", "hook.example.net"))
    assert check_url(" https://a.Example.org:8443/told?x=1 ", which) == "https://a.example.org:8443/told?x=1"
    assert check_url("http://hook.example.net", which) == "http://hook.example.net"
    for text in ("https://example.org/", "https://example.org.evil.example/", "http://127.0.0.1/", "http://[::1]/"):
        with pytest.raises(Refused) as caught:
            check_url(text, which)
        assert caught.value.status == 403
    with pytest.raises(Refused, match="no webhooks"):
        check_url("https://a.example.org/", Allowed.of(()))
