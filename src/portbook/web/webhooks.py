"""The webhook that is told of a change: where it may be, what it is told, and how, until it has understood.

A message is signed with the target's secret: the header X-Portbook-Signature is `sha256=` and the HMAC (RFC 2104) of
the body in hexadecimal digits. What is answered is not read beyond its status.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
from functools import cache
from time import time
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select, update
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from portbook import __version__
from portbook.errors import N_, BadQuestion, PortbookError
from portbook.web.allowed import Allowed, allowed_addresses, check_name, host_name
from portbook.web.checks import check_in, written
from portbook.web.database import checks, targets
from portbook.web.refused import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity.wait import wait_base

    from portbook.web.checks import Check
    from portbook.web.site import Site

AT_ONCE = 8
"""Messages that a worker sends at the same time."""
_LEASE = 600.0
"""Seconds after which a message is another worker's, if the one that had it did not get to the end of it."""
_SECONDS = 10.0
"""For one attempt."""
_ATTEMPTS = 5
_WAITS = wait_exponential(multiplier=2, max=60) + wait_random(0, 2)
_TRY_AGAIN = (408, 425, 429)
_LONGEST_URL = 2000

NO_WEBHOOK = N_("{text} is no address of a webhook; one is: https://www.example.org/told?by=portbook")
NOBODY = N_("the operator of this server allows no webhooks")
TOLD = N_("the webhook was told")
_UNREACHED = N_("the webhook could not be reached: {reason}")
_STATUS = N_("the webhook answered with status {status}")


class NotTold(PortbookError):
    """A webhook that has not understood."""


class _Again(NotTold):
    """As above, and it may understand later."""


class Receiver(NamedTuple):
    """Where a message goes, and what decides whether it may: the hosts that are allowed, and this server's own."""

    url: str
    secret: str
    allowed: Allowed
    is_own: Callable[[str], bool]


def _taken_apart(text: str) -> tuple[httpx.URL, str]:
    """Return a URL and its host as host_name() has it. Raises BadQuestion."""
    bad = BadQuestion(NO_WEBHOOK, text=text[:_LONGEST_URL])
    if len(text) > _LONGEST_URL or not text.isprintable() or " " in text:
        raise bad
    try:
        url = httpx.URL(text)
        parts = urlsplit(str(url))
        host = host_name(parts.hostname or "")
        reachable = parts.port != 0
    except (httpx.InvalidURL, ValueError, BadQuestion) as error:
        raise bad from error
    if url.scheme not in ("http", "https") or url.userinfo or url.fragment or not reachable:
        raise bad
    return url, host


def check_url(text: str, allowed: Allowed) -> str:
    """Return the URL of a webhook as it is kept. Raises BadQuestion for what is none, Refused for one not allowed."""
    url, host = _taken_apart(text.strip())
    if not (allowed.names or allowed.endings or allowed.networks):
        raise Refused(403, NOBODY)
    check_name(host, allowed)
    return str(url)


def message(host: str, ports: str, check: Check) -> bytes:
    """Return what is told of a check: JSON with the target, when it was tested, and each change from what to what."""
    told = {
        "target": host,
        "id": check.target_id,
        "ports": ports,
        "check": check.id,
        "begun": check.begun,
        "sent": time(),
        "changes": [change._asdict() for change in check.changes],
    }
    return json.dumps(told).encode()


def signature(secret: str, body: bytes) -> str:
    """Return what X-Portbook-Signature says of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()


async def send(to: Receiver, body: bytes, waits: wait_base = _WAITS) -> None:
    """Post a message until it is understood, five times at most.

    Raises NotTold where it is not, Refused where the host is not allowed (any more).
    """
    url, host = _taken_apart(to.url)
    headers = {
        "host": url.netloc.decode("ascii"),
        "content-type": "application/json",
        "user-agent": f"portbook/{__version__}",
        "x-portbook-signature": signature(to.secret, body),
    }
    retrying = AsyncRetrying(
        stop=stop_after_attempt(_ATTEMPTS), wait=waits, retry=retry_if_exception_type(_Again), reraise=True
    )
    async with httpx.AsyncClient(
        trust_env=False, follow_redirects=False, verify=_roots(), timeout=_SECONDS
    ) as client:
        async for attempt in retrying:
            with attempt:
                try:
                    addresses = await allowed_addresses(host, to.allowed, to.is_own)
                except BadQuestion as error:  # the name system may answer later
                    raise _Again(_UNREACHED, reason=error) from error
                await _post(client, url, host, addresses, headers, body)


async def _post(
    client: httpx.AsyncClient,
    url: httpx.URL,
    host: str,
    addresses: tuple[str, ...],
    headers: dict[str, str],
    body: bytes,
) -> None:
    """Post to the first of the addresses that can be reached. The certificate is the host's, not the address's."""
    reason = ""
    for ip in addresses:
        request = client.build_request(
            "POST", url.copy_with(host=ip), headers=headers, content=body, extensions={"sni_hostname": host}
        )
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await client.send(request, stream=True)
                await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = str(error) or type(error).__name__
            continue
        except (httpx.HTTPError, TimeoutError) as error:
            raise _Again(_UNREACHED, reason=str(error) or type(error).__name__) from error
        if answer.is_success:
            return
        failed = _Again if answer.status_code in _TRY_AGAIN or answer.is_server_error else NotTold
        raise failed(_STATUS, status=answer.status_code)
    raise _Again(_UNREACHED, reason=reason)


@cache
def _roots() -> ssl.SSLContext:
    return ssl.create_default_context()


async def claim(site: Site, now: float, most: int) -> list[int]:
    """Return the checks of which a webhook is to be told by this worker now, by number."""
    mine = []
    async with site.database.reading() as connection:
        wanted = select(checks.c.id, checks.c.tell).where(checks.c.tell <= now).order_by(checks.c.tell).limit(most)
        waiting = (await connection.execute(wanted)).all()
    for number, tell in waiting:
        moved = update(checks).where(checks.c.id == number, checks.c.tell == tell).values(tell=now + _LEASE)
        async with site.database.writing() as connection:
            if (await connection.execute(moved)).rowcount:
                mine.append(number)
    return mine


async def tell(site: Site, number: int, waits: wait_base = _WAITS) -> None:
    """Tell the webhook of a target what changed in a check, and keep what became of that."""
    wanted = (
        select(checks, targets.c.host, targets.c.ports, targets.c.webhook, targets.c.secret)
        .join(targets, targets.c.id == checks.c.target_id)
        .where(checks.c.id == number)
    )
    async with site.database.reading() as connection:
        row = (await connection.execute(wanted)).first()
    if row is None:
        return
    told = None
    if row.webhook is not None:
        allowed = Allowed.of(site.settings.webhooks)
        told = PortbookError(TOLD)
        try:
            to = Receiver(row.webhook, row.secret, allowed, site.is_own)
            await send(to, message(row.host, row.ports, check_in(row)), waits)
        except PortbookError as error:
            told = error
    kept = update(checks).where(checks.c.id == number).values(tell=None, told=written(told))
    async with site.database.writing() as connection:
        await connection.execute(kept)
