"""The course: how ports work, for a person who has never heard of one, with the reader's own socket pair drawn live.

The pictures are templates, so that their words are translated; who the reader is, visitor.py knows.
"""

from __future__ import annotations

from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import Response  # noqa: TC002 - read by the router

from portbook.registry.about import RANGES
from portbook.web.doors import DOORS
from portbook.web.languages import language_of
from portbook.web.mine import visitor_of
from portbook.web.pages import page
from portbook.web.registry_pages import RANGE_NAMES, main_ports
from portbook.web.site import site_of

router = APIRouter(include_in_schema=False)

_PORTS = {"http": 80, "https": 443}


class Side(NamedTuple):
    """One side of the reader's conversation; `port` is None where a proxy does not tell it."""

    ip: str
    port: int | None

    def __str__(self) -> str:
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{ip}:{'?' if self.port is None else self.port}"


@router.api_route("/learn", methods=["GET", "HEAD"], response_model=None)
async def learn(request: Request) -> Response:
    """Answer with the course."""
    return _answer(
        request,
        "learn.html",
        states=DOORS,
        ranges=RANGES,
        range_names=RANGE_NAMES,
        main=main_ports(site_of(request).registry, language_of(request).code),
    )


@router.get("/learn/pair", response_model=None)
async def pair(request: Request) -> Response:
    """Answer with the socket pair of this very request, as a piece of the course."""
    return _answer(request, "pair.html")


def _answer(request: Request, template: str, **values: object) -> Response:
    asking = visitor_of(request)
    client = Side(asking.ip, asking.port)
    if asking.server is None:
        # Of the pair with the proxy only what the visitor asked for is known here.
        url = request.url
        server = Side(url.hostname or "?", url.port or _PORTS[asking.scheme])
    else:
        server = Side(*asking.server)
    proxied = asking.server is None or asking.port is None
    response = page(request, template, client=client, server=server, proxied=proxied, **values)
    # The next request is then a conversation of its own, from another source port.
    response.headers["connection"] = "close"
    return response
