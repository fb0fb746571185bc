"""What an operator's own watch asks: whether this server is well, and its counters.

The counters are metrics.py's; here is who may read them.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import PlainTextResponse, Response

from portbook.errors import N_
from portbook.web.mine import visitor_of
from portbook.web.refused import Refused
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.web.site import Site

router = APIRouter(include_in_schema=False)

NO_PAGE = N_("there is no such page")
_PATIENCE = 5.0
"""Seconds that the database and the board may take."""


@router.api_route("/healthz", methods=["GET", "HEAD"], response_model=None)
async def healthz(request: Request) -> Response:
    """Answer ok where the database and the board answer, else with 503 and which of them do not."""
    site = site_of(request)
    away = [name for name, is_well in (("database", _database), ("board", _board)) if not await is_well(site)]
    return PlainTextResponse(" ".join(away or ["ok"]) + "\n", 503 if away else 200)


@router.get("/metrics", response_model=None)
async def metrics(request: Request) -> Response:
    """Answer with the counters, to whom the operator shows them."""
    site = site_of(request)
    shown = site.settings.metrics
    if shown == "off" or (shown == "local" and not _is_of_this_host(request)):
        raise Refused(404, NO_PAGE)
    return Response(site.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _is_of_this_host(request: Request) -> bool:
    """Whether a program of this very host asks, and no proxy for somebody else."""
    asking = visitor_of(request)
    here = ip_address(asking.ip).is_loopback or site_of(request).is_own(asking.ip)
    return here and not asking.shared


async def _database(site: Site) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await site.database.is_there()
    except TimeoutError:
        return False


async def _board(site: Site) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            await site.board.recall("healthz")
    except Exception:  # noqa: BLE001 - whatever it is, the board does not answer
        return False
    return True
