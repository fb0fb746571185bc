"""Answers for programs such as curl: one line of text, which a script needs no parser for.

`curl HOST/` gives the address, `curl HOST/port/443` the state of that port. A browser gets a page there: otherwise
any site could have its visitors' ports tested by a picture's address.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import PlainTextResponse, Response

from portbook.errors import N_, BadQuestion
from portbook.output.clean import clean
from portbook.web import api, pages, registry_pages
from portbook.web.guard import is_browser
from portbook.web.languages import language_of
from portbook.web.mine import Wish, visitor_of
from portbook.web.runs import table_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.errors import PortbookError

router = APIRouter(include_in_schema=False)

_MOST_DIGITS = 9


def is_wanted(request: Request) -> bool:
    """Whether plain text is wanted: by a program that does not ask for HTML."""
    return not is_browser(request.headers) and "text/html" not in request.headers.get("accept", "")


def refused(request: Request, error: PortbookError, status: int, headers: dict[str, str]) -> Response:
    """Answer what could not be answered."""
    said = language_of(request).plain(error.message, **error.values)
    return PlainTextResponse(clean(said) + "\n", status, headers)


@router.api_route("/", methods=["GET", "HEAD"], response_model=None)
async def address(request: Request) -> Response:
    """Answer with the visitor's address, or for a browser with the test page."""
    if not is_wanted(request):
        return await pages.home(request)
    return PlainTextResponse(visitor_of(request).ip + "\n")


@router.api_route("/port/{port}", methods=["GET", "HEAD"], response_model=None)
async def port_state(request: Request, port: str, transport: str = "tcp", consent: bool = False) -> Response:
    """Answer with the state of a port of the visitor's, or for a browser with what the registry says of it."""
    if not (port.isascii() and port.isdigit() and len(port) <= _MOST_DIGITS and int(port) <= 65535):
        raise BadQuestion(N_("there is no port {port}; ports go from 0 to 65535"), port=port)
    number = int(port)
    if not is_wanted(request):
        return await registry_pages.port(request, number)
    found = await api.answered(request, Wish(str(number), (transport,), consent, identify=False))
    for row in table_of(found.events):
        if (row.port, row.transport) == (number, transport):
            return PlainTextResponse(row.state + "\n")
    return PlainTextResponse("error\n", 503)
