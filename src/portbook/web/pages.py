"""The pages for a person: the test of their own ports, as it happens or, without scripts, page by page.

What is shown is the templates'; what a test comes to, runs.py's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from babel.dates import format_timedelta
from babel.lists import format_list
from fastapi import APIRouter
from fastapi.sse import format_sse_event
from limits import parse_many
from markupsafe import Markup
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from portbook.errors import N_, PortbookError
from portbook.web.languages import COOKIE, language_of
from portbook.web.mine import Wish, begin, begins_by_itself, needs_consent, visitor_of, why_not, wished_ports
from portbook.web.pieces import marked_address, menu, shown_door, shown_run, waiting_run
from portbook.web.refused import Refused
from portbook.web.runs import Asked
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from portbook.web.languages import Language
    from portbook.web.runs import Event

router = APIRouter(include_in_schema=False)

_YEAR = 365 * 24 * 3600
_GONE = N_("this test is not known any more; begin another one")


def page(request: Request, template: str, status: int = 200, /, **values: object) -> HTMLResponse:
    """Return a template filled for the reader's language; a language that the address names is kept."""
    language = language_of(request)
    response = HTMLResponse(piece(request, template, language, **values), status)
    if "lang" in request.query_params:
        response.set_cookie(COOKIE, language.code, max_age=_YEAR, samesite="lax", httponly=True)
    response.headers["content-language"] = language.tag
    return response


def piece(request: Request, template: str, language: Language, /, **values: object) -> str:
    """Return a template filled, with what all of them may use.

    `address` marks an address, a port or another run of signs that has its own direction, `name` a foreign name.
    """
    common = {
        "request": request,
        "language": language,
        "menu": menu,
        "_": language.say,
        "ngettext": language.plural,
        "visitor": visitor_of(request),
        "address": marked_address,
        "name": Markup('<bdi class="name">{}</bdi>').format,
    }
    return site_of(request).templates.get_template(template).render({**common, **values})


def refused(request: Request, error: PortbookError, status: int, headers: dict[str, str]) -> Response:
    """Answer what could not be answered: a script's request in JSON."""
    if _is_script(request):
        detail = language_of(request).plain(error.message, **error.values)
        return JSONResponse({"detail": detail}, status, headers)
    response = page(request, "refused.html", status, error=error)
    response.headers.update(headers)
    return response


async def home(
    request: Request, error: PortbookError | None = None, status: int = 200, wish: Wish | None = None
) -> Response:
    """Answer with the test of the main ports; an `error` stands beside the field whose `wish` it is about."""
    site, asking = site_of(request), visitor_of(request)
    others = [one for one in site.settings.other_family if one != f"{asking.scheme}://{request.headers['host']}"]
    ports = tuple((port, transport) for port, transport in site.main_ports if port not in site.settings.never_test)
    return page(
        request,
        "home.html",
        status,
        waiting=waiting_run(site, language_of(request), Asked(asking.ip, ports), heading=bool(others)),
        why_not=why_not(request),
        consent=await needs_consent(request),
        begins=await begins_by_itself(request),
        server_ip=server_ip(request),
        others=others,
        error=error,
        wished="main" if wish is None else wish.ports,
        transports=("tcp",) if wish is None else wish.transports,
    )


def server_ip(request: Request) -> str | None:
    """Return this server's address towards the visitor: of their socket pair, else as the operator wrote it down."""
    asking = visitor_of(request)
    if asking.server is not None:
        return asking.server.ip
    of_family = [ip for ip in site_of(request).settings.addresses if (":" in ip) == (":" in asking.ip)]
    return of_family[0] if of_family else None


@router.post("/tests", response_model=None)
async def test(request: Request) -> Response:
    """Begin the test that a form asks for; a script gets its name, a person is led to its page."""
    form = await request.form(max_files=0, max_fields=16)
    wish = Wish(
        str(form.get("ports", "main")),
        tuple(str(transport) for transport in form.getlist("transport")),
        "consent" in form,
        token=None if "token" not in form else str(form["token"]),
    )
    try:
        begun = await begin(request, wish)
    except PortbookError as error:
        if _is_script(request):
            raise
        refusal = error if isinstance(error, Refused) else Refused(400, error.message, None, **error.values)
        response = await home(request, error, refusal.status, wish)
        if refusal.retry_after is not None:
            response.headers["retry-after"] = str(refusal.retry_after)
        return response
    other = begun.joined and await _is_other(request, begun.run, wish)
    if _is_script(request):
        return JSONResponse({"run": begun.run, "other": other}, 202)
    return RedirectResponse(f"/tests/{quote(begun.run)}{'?other=1' if other else ''}", 303)


async def _is_other(request: Request, run: str, wish: Wish) -> bool:
    """Whether a run that was joined tests other ports than those that are wished for."""
    site = site_of(request)
    first = next(iter(await site.runs.so_far(run) or ()), None)
    return first is None or first.asked is None or first.asked.ports != wished_ports(wish, site)


def _is_script(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")


@router.get("/tests/{run}", response_model=None)
async def result(request: Request, run: str) -> Response:
    """Answer with what a test has found so far; the page loads itself again until that is all."""
    said = await site_of(request).runs.so_far(run)
    if not said:
        raise Refused(404, _GONE)
    first = said[0]
    assert first.asked is not None
    language = language_of(request)
    return page(
        request,
        "result.html",
        **shown_run(site_of(request), language, run, first.asked, said),
        heading=False,
        running=True,
        begun=language.time(datetime.fromtimestamp(first.begun or 0.0, UTC)),
        other="other" in request.query_params,
    )


@router.get("/tests/{run}/events", response_model=None)
async def events(request: Request, run: str) -> Response:
    """Answer with the doors of a test as they turn, as server-sent events that hold pieces of the page.

    Whoever has them on the page already says that they are `shown`, and is not sent them before they turn.
    """
    site = site_of(request)
    language = language_of(request)
    start = request.headers.get("last-event-id", "0")
    begin_at = int(start) if start.isascii() and start.isdigit() and len(start) < 6 else 0
    said = await site.runs.so_far(run)
    if not said:
        raise Refused(404, _GONE)
    shown = "shown" in request.query_params

    async def stream() -> AsyncIterator[bytes]:
        heard = said[:begin_at]
        async for some in site.runs.together(run, begin_at):
            turns = []
            for event in some:
                heard.append(event)
                name = "over" if event.over else "door" if event.row is not None else "begun"
                text = "" if name == "begun" and shown else _turn(request, run, heard, language)
                turns.append(format_sse_event(data_str=text, event=name, id=str(len(heard))))
            yield b"".join(turns) or b": \n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _turn(request: Request, run: str, heard: Sequence[Event], language: Language) -> str:
    """Return the piece of the page that the last event heard of a run changes."""
    site = site_of(request)
    event = heard[-1]
    if event.row is not None:
        return shown_door(site, language, event.row["port"], event.row["transport"], event)
    asked = heard[0].asked
    assert asked is not None
    shown = shown_run(site, language, run, asked, heard, with_doors=not event.over)
    return piece(request, "over.html" if event.over else "run.html", language, **shown, heading=True, running=True)


@router.get("/about", response_model=None)
async def about_server(request: Request) -> Response:
    """Answer with what this server does, what it keeps, and whom to write to."""
    settings = site_of(request).settings
    own = server_ip(request)
    return page(
        request,
        "about.html",
        server_ips=settings.addresses or (() if own is None else (own,)),
        contact=_contact,
        rates=_rates(settings.quotas.address, language_of(request)),
    )


def _rates(text: str, language: Language) -> str:
    """Return how often is allowed, such as 20 / 1 hour, as the language writes it."""
    said = [
        f"{language.number(rate.amount)} / {format_timedelta(rate.get_expiry(), threshold=1, locale=language.code)}"
        for rate in parse_many(text)
    ]
    return str(format_list(said, locale=language.code))


def _contact(text: str) -> Markup:
    """Return the operator's address as a link: a mail address, or a page."""
    if text.startswith(("https://", "http://", "mailto:")):
        return Markup('<a href="{0}">{0}</a>').format(text)
    if "@" in text:
        return Markup('<a href="mailto:{0}">{0}</a>').format(text)
    return Markup("<bdi>{}</bdi>").format(text)
