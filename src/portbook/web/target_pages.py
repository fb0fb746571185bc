"""The pages of a person's targets: which there are, a test of one as it happens, and its history with a picture."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from babel.dates import format_timedelta
from fastapi import APIRouter
from fastapi.sse import format_sse_event
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import RedirectResponse, Response, StreamingResponse

from portbook.errors import N_, BadQuestion, PortbookError
from portbook.porttest import COLUMNS
from portbook.web.accounts import needs_session
from portbook.web.cells import value_text
from portbook.web.checks import checks_of
from portbook.web.doors import DOORS
from portbook.web.languages import language_of
from portbook.web.pages import page, piece
from portbook.web.plot import history_plot
from portbook.web.refused import Refused
from portbook.web.schedule import schedule_of
from portbook.web.site import site_of
from portbook.web.targets import WishedTarget, add, begin_test, change, remove, target_of, targets_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import Any

    from starlette.datastructures import FormData

    from portbook.web.languages import Language

router = APIRouter(prefix="/targets", include_in_schema=False)

CHECKS = 30
"""On one page."""

_UNITS = (("day", 24 * 3600), ("hour", 3600), ("minute", 60), ("second", 1))
_PERIODS = (300, 900, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600, 30 * 24 * 3600)
"""Seconds, among which a form offers to choose."""

_NOTHING: Mapping[str, object] = {"host": "", "ports": "", "transports": (), "every": "", "webhook": ""}
_COLUMN = {column.name: column for column in COLUMNS}
_GONE = N_("this test is not known any more; begin another one")


def period(seconds: float, language: Language) -> str:
    """Return a duration in the largest unit that has a whole number of it."""
    unit, length = next((one for one in _UNITS if seconds % one[1] == 0), _UNITS[-1])
    exact = timedelta(seconds=round(seconds / length) * length)
    # The threshold keeps the unit: no value is ever that large.
    return str(format_timedelta(exact, unit, threshold=1e12, locale=language.code))  # type: ignore[arg-type]


def _common(request: Request) -> dict[str, object]:
    """Return what the templates of targets use beside what all do."""
    language = language_of(request)

    def moment(seconds: float) -> str:
        return language.time(datetime.fromtimestamp(seconds, UTC))

    def cell(row: Mapping[str, Any], name: str) -> str:
        return "" if row[name] is None else value_text(row[name], _COLUMN[name], language)

    def counts(rows: tuple[Mapping[str, Any], ...]) -> list[tuple[str, int]]:
        found = Counter(row["state"] for row in rows)
        return [(state, found[state]) for state in DOORS if found[state]]

    return {
        "meanings": DOORS,
        "moment": moment,
        "cell": cell,
        "counts": counts,
        "period": lambda seconds: period(seconds, language),
        "periods": _PERIODS,
    }


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=16)


def _every(form: FormData) -> float | None:
    """Return the seconds between two tests that a form asks for. Raises BadQuestion."""
    text = str(form.get("every", ""))
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise BadQuestion(N_("{text} is no number of seconds"), text=text) from None


@router.get("", response_model=None)
async def every_target(request: Request) -> Response:
    """Answer with the targets of who is signed in."""
    return await _list(request, None, _NOTHING)


async def _list(request: Request, error: PortbookError | None, wished: Mapping[str, object]) -> Response:
    user = await needs_session(request)
    status = 200 if error is None else error.status if isinstance(error, Refused) else 400
    found = await targets_of(site_of(request), user)
    common = _common(request)
    return page(request, "targets.html", status, targets=found, error=error, wished=wished, **common)


@router.post("", response_model=None)
async def add_target(request: Request) -> Response:
    """Keep the target of a form, and lead to its page; what is wrong with it is said above the form."""
    user = await needs_session(request)
    form = await _form(request)
    transports = tuple(str(transport) for transport in form.getlist("transport"))
    text = {name: str(form.get(name, "")).strip() for name in ("host", "ports", "every", "webhook")}
    try:
        wish = WishedTarget(text["host"], text["ports"] or "main", transports, _every(form), text["webhook"] or None)
        target = await add(site_of(request), user, wish)
    except PortbookError as error:
        return await _list(request, error, {**text, "transports": transports})
    return RedirectResponse(f"/targets/{target.id}", 303)


@router.get("/{number:int}", response_model=None)
async def one_target(request: Request, number: int) -> Response:
    """Answer with a target and its history."""
    return await _one(request, number, None)


async def _one(request: Request, number: int, error: PortbookError | None) -> Response:
    user = await needs_session(request)
    site = site_of(request)
    target = await target_of(site, user, number)
    text = request.query_params.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    # One more tells whether there are older ones.
    found = await checks_of(site, target, CHECKS + 1, before)
    return page(
        request,
        "target.html",
        200 if error is None else error.status if isinstance(error, Refused) else 400,
        target=target,
        checks=found[:CHECKS],
        older=found[CHECKS - 1].id if len(found) > CHECKS else None,
        newest=before is None,
        plot=history_plot(target.host, found[CHECKS - 1 :: -1], language_of(request)),
        error=error,
        **_common(request),
    )


@router.post("/{number:int}", response_model=None)
async def change_target(request: Request, number: int) -> Response:
    """Have a target tested as often as a form says, and its webhook told."""
    user = await needs_session(request)
    site = site_of(request)
    target = await target_of(site, user, number)
    form = await _form(request)
    try:
        await change(site, target, _every(form), str(form.get("webhook", "")).strip() or None)
    except PortbookError as error:
        return await _one(request, number, error)
    return RedirectResponse(f"/targets/{number}", 303)


@router.post("/{number:int}/delete", response_model=None)
async def remove_target(request: Request, number: int) -> Response:
    """Forget a target and its history."""
    user = await needs_session(request)
    site = site_of(request)
    await remove(site, await target_of(site, user, number))
    return RedirectResponse("/targets", 303)


@router.post("/{number:int}/tests", response_model=None)
async def test(request: Request, number: int) -> Response:
    """Begin a test of a target, and lead to the page on which its answers come."""
    user = await needs_session(request)
    site = site_of(request)
    target = await target_of(site, user, number)
    try:
        begun = await begin_test(site, target)
    except PortbookError as error:
        return await _one(request, number, error)
    if not begun.joined:
        schedule_of(request).keep(target, begun.run)
    return RedirectResponse(f"/targets/{number}/tests/{quote(begun.run)}", 303)


@router.get("/{number:int}/tests/{run}", response_model=None)
async def result(request: Request, number: int, run: str) -> Response:
    """Answer with what a test of a target has found so far; the page loads itself again until that is all."""
    user = await needs_session(request)
    site = site_of(request)
    target = await target_of(site, user, number)
    events = await site.runs.so_far(run)
    asked = next((event.asked for event in events or () if event.asked is not None), None)
    if not events or asked is None or asked.target != target.host:
        raise Refused(404, _GONE)
    known = (event.row for event in events)
    rows = {(row["ip"], row["port"], row["transport"]): row for row in known if row is not None}
    return page(
        request,
        "target_test.html",
        target=target,
        events=f"/targets/{number}/tests/{quote(run)}/events",
        rows=[(ip, *port, rows.get((ip, *port))) for ip in asked.addresses for port in asked.ports],
        several=len(asked.addresses) > 1,
        over=next((event for event in events if event.over), None),
        **_common(request),
    )


@router.get("/{number:int}/tests/{run}/events", response_model=None)
async def events(request: Request, number: int, run: str) -> Response:
    """Answer with the rows of a test of a target as they come, as server-sent events that hold pieces of the page."""
    user = await needs_session(request)
    site = site_of(request)
    target = await target_of(site, user, number)
    so_far = await site.runs.so_far(run)
    if not so_far or so_far[0].asked is None or so_far[0].asked.target != target.host:
        raise Refused(404, _GONE)
    several = len(so_far[0].asked.addresses) > 1
    return StreamingResponse(
        _told(request, run, _row_piece(request, several)),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


async def _told(request: Request, run: str, row_piece: Callable[[Mapping[str, Any]], str]) -> AsyncIterator[bytes]:
    language = language_of(request)
    start = request.headers.get("last-event-id", "0")
    number = int(start) if start.isascii() and start.isdigit() and len(start) < 6 else 0
    async for event in site_of(request).runs.follow(run, number):
        if event is None:
            yield b": \n\n"
            continue
        number += 1
        if event.row is not None:
            yield format_sse_event(data_str=row_piece(event.row), event="row", id=str(number))
        elif event.over:
            words = language.plain(event.note) if event.note else ""
            yield format_sse_event(data_str=words, event="over", id=str(number))


def _row_piece(request: Request, several: bool) -> Callable[[Mapping[str, Any]], str]:
    common = _common(request)
    language = language_of(request)

    def made(row: Mapping[str, Any]) -> str:
        return piece(
            request,
            "target_row.html",
            language,
            ip=row["ip"],
            port=row["port"],
            transport=row["transport"],
            row=row,
            several=several,
            **common,
        )

    return made
