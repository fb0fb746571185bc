"""The API, version 1: the visitor's socket pair, the test of their ports, the registry; the columns of every verb.

Rows are JSON, or lines of JSON or CSV where Accept asks for these. What an answer holds is declared in models.py;
who may ask for what is decided in mine.py.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Header, Query
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import compile_path

from portbook.columns import Table
from portbook.endpoint import port_range
from portbook.errors import N_
from portbook.host.ports import FOUND_BY_WORDS, answers
from portbook.output.data import csv_lines, json_array, json_lines, json_value
from portbook.web.guard import answers_to
from portbook.web.languages import language_of
from portbook.web.mine import Wish, begin, visitor_of, wished_ports
from portbook.web.models import (
    REGISTRY_COLUMNS,
    UNKNOWN,
    Begun,
    Me,
    Result,
    ServiceRow,
    TestRequest,
    TestRow,
    formats_of,
)
from portbook.web.refused import Refused
from portbook.web.runs import rows_of, table_of
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from typing import Any

    from portbook.errors import PortbookError
    from portbook.service import Service
    from portbook.web.languages import Language
    from portbook.web.runs import Event
    from portbook.web.site import Site

router = APIRouter()

ROOT = "/api/v1"
_MOST_ROWS = 1000
_TRIES = 3

_GONE = N_("this test is not known any more; begin another one")
_BUSY = N_("other ports of your address are being tested; try again in {seconds} seconds")
_BUSY_SECONDS = 10

_MEDIA_TYPES = {"application/json": "json", "application/x-ndjson": "ndjson", "text/csv": "csv"}


class Answered(NamedTuple):
    """A test whose end was waited for: its name and all that it said."""

    run: str
    events: list[Event]


def refused(request: Request, error: PortbookError, status: int, headers: dict[str, str]) -> Response:
    """Answer what could not be answered."""
    said = language_of(request).plain(error.message, **error.values)
    if status == 405:
        headers = {**headers, "allow": ", ".join(_methods_of(request))}
    return Response(_object({"detail": said}), status, headers, "application/json")


def _methods_of(request: Request) -> list[str]:
    """Return the methods that a path may be asked with (RFC 9110, section 10.2.1); the router names one route's."""
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    found = [methods for path, methods in paths.items() if compile_path(path)[0].match(request.url.path)]
    return sorted({method.upper() for methods in found for method in methods})


def format_of(request: Request) -> str:
    """Return what a request wants its rows as: json, ndjson or csv (RFC 9110, section 12.5.1)."""
    best, best_weight = "json", 0.0
    for item in request.headers.get("accept", "").split(",")[:16]:
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            better = float(weight) > best_weight
        except ValueError:
            continue
        if better and media_type in _MEDIA_TYPES:
            best, best_weight = _MEDIA_TYPES[media_type], float(weight)
    return best


def pieces_of(table: Table, format_name: str) -> Iterator[bytes]:
    """Yield a table in one of the formats of `format_of`, in pieces."""
    return {"json": json_array, "ndjson": json_lines, "csv": csv_lines}[format_name](table)


def media_type_of(format_name: str) -> str:
    """Return the media type of one of the formats of `format_of`."""
    return next(name for name, known in _MEDIA_TYPES.items() if known == format_name)


async def answered(request: Request, wish: Wish) -> Answered:
    """Test what a visitor wishes, wait for the end, and return all that is known.

    Where the address is busy with other ports, these come first. A visitor who leaves is not waited for, so the test
    is left as well. Raises as `begin` does, and Refused (503) where the address stays busy.
    """
    site = site_of(request)
    for _ in range(_TRIES):
        begun = await begin(request, wish)
        events = []
        async for event in site.runs.follow(begun.run):
            if event is not None:
                events.append(event)
            elif await request.is_disconnected():
                break
        asked = next((event.asked for event in events if event.asked is not None), None)
        if asked is not None and (not begun.joined or set(wished_ports(wish, site)) <= set(asked.ports)):
            return Answered(begun.run, events)
    raise Refused(503, _BUSY, retry_after=_BUSY_SECONDS, seconds=_BUSY_SECONDS)


def _is_of_this_server(origin: str, scheme: str, site: Site) -> bool:
    """Whether an origin is this server under one of its names: its page may know the visitor's other address."""
    if origin in site.settings.other_family:
        return True
    asking_scheme, _, host = origin.partition("://")
    return asking_scheme == scheme and answers_to([host], site.settings, site.is_own)


@router.get("/me", operation_id="me", summary=N_("Your side of this request's socket pair, and this server's"))
async def me(request: Request, response: Response) -> Me:
    """Return the visitor's side of the socket pair and this server's, as far as they are known here."""
    asking = visitor_of(request)
    response.headers["vary"] = "Origin"
    origin = request.headers.get("origin", "")
    if _is_of_this_server(origin, asking.scheme, site_of(request)):
        response.headers["access-control-allow-origin"] = origin
    server = asking.server
    return Me(
        ip=asking.ip,
        port=asking.port,
        server_ip=None if server is None else server.ip,
        server_port=None if server is None else server.port,
        token=site_of(request).token(asking.ip),
    )


@router.post(
    "/tests",
    operation_id="test",
    summary=N_("Test your own ports"),
    response_model=Result,
    responses={**formats_of(TestRow), 202: {"model": Begun, "description": "Begun, as Prefer: respond-async asks."}},
)
async def test(
    request: Request,
    wished: TestRequest | None = None,  # noqa: PT028 - no test of ours
    prefer: Annotated[str | None, Header(description=N_("respond-async: do not wait for the answers"))] = None,  # noqa: PT028
) -> Response:
    """Test ports of the visitor's own address; the answer comes when all is known, or at once as is preferred."""
    wished = wished or TestRequest()
    transports = tuple(dict.fromkeys(wished.transports))
    wish = Wish(str(wished.ports), transports, wished.consent, wished.identify, wished.token)
    preferences = [item.partition(";")[0].strip().lower() for item in (prefer or "").split(",")]
    if "respond-async" not in preferences:
        found = await answered(request, wish)
        return _result(request, found.run, found.events)
    begun = await begin(request, wish)
    where = f"{ROOT}/tests/{begun.run}"
    model = Begun(id=begun.run, joined=begun.joined, events=f"{where}/events", result=where)
    return JSONResponse(model.model_dump(), 202, {"location": where, "preference-applied": "respond-async"})


@router.get(
    "/tests/{id}",
    operation_id="test_result",
    summary=N_("What a test has found so far"),
    response_model=Result,
    responses={**formats_of(TestRow), **UNKNOWN},
)
async def result(request: Request, id: str) -> Response:  # noqa: A002 - the path's own word
    """Return the rows that a test has by now."""
    events = await site_of(request).runs.so_far(id)
    if not events:
        raise Refused(404, _GONE)
    return _result(request, id, events)


@router.get(
    "/tests/{id}/events",
    operation_id="test_events",
    summary=N_("What a test finds, as it finds it"),
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events (WHATWG, HTML Standard, section 9.2).",
            "content": {
                "text/event-stream": {
                    "schema": {
                        "type": "string",
                        "description": (
                            "asked: id, ip, begun and ports; test: final and test, a row; over: note. A row that is"
                            " not final is told again when it is known what speaks there."
                        ),
                    }
                },
            },
        },
        **UNKNOWN,
    },
)
async def events(
    request: Request,
    id: str,  # noqa: A002 - the path's own word
    last_event_id: Annotated[str | None, Header(description=N_("go on after this event"))] = None,
) -> Response:
    """Tell what a test says as it says it."""
    runs = site_of(request).runs
    language = language_of(request)
    start = last_event_id or ""
    begin_at = int(start) if start.isascii() and start.isdigit() and len(start) < 6 else 0
    if await runs.so_far(id) is None:
        raise Refused(404, _GONE)

    async def stream() -> AsyncIterator[bytes]:
        number = begin_at
        async for event in runs.follow(id, begin_at):
            if event is None:
                yield b": \n\n"
                continue
            number += 1
            name, told = _told(id, event, language)
            yield format_sse_event(data_str=told, event=name, id=str(number))

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


@router.get(
    "/ports",
    operation_id="ports",
    summary=N_("What a port is: the registry"),
    response_model=list[ServiceRow],  # type: ignore[valid-type] # a model made of columns
    responses=formats_of(ServiceRow),
)
async def ports(
    request: Request,
    q: Annotated[
        str, Query(max_length=200, description=N_("443, 53/udp, 8000-8100, https, or words; nothing: the main ports"))
    ] = "",
    limit: Annotated[int, Query(ge=1, le=_MOST_ROWS, description=N_("how many rows at most"))] = FOUND_BY_WORDS,
) -> Response:
    """Return what the registry says of a port, a range, a name or words."""
    site = site_of(request)
    if q.strip():
        found = await run_in_threadpool(answers, [q], site.registry, language_of(request).code, limit)
    else:
        main = dict.fromkeys(port for port, _ in site.main_ports)
        found = [service for port in main for service in site.registry.port(port)]
    table = Table.from_rows(REGISTRY_COLUMNS, (_registry_row(service) for service in found[:limit]))
    wanted = format_of(request)
    return Response(b"".join(pieces_of(table, wanted)), media_type=media_type_of(wanted))


def _registry_row(service: Service) -> tuple[object, ...]:
    named = (service.port, service.transport, service.service, service.description)
    return (*named, port_range(service.port), service.assigned, service.reference)


def _result(request: Request, run: str, events: list[Event]) -> Response:
    """Return what is known of a run by now, in the format that the request wants."""
    language = language_of(request)
    said = [event if event.row is None else event._replace(row=_in(language, event.row)) for event in events]
    wanted = format_of(request)
    if wanted != "json":
        return Response(b"".join(pieces_of(table_of(said), wanted)), media_type=media_type_of(wanted))
    over = next((event for event in events if event.over), None)
    note = None if over is None or over.note is None else language.messages.gettext(over.note)
    head = _object({**_asked(run, events[0]), "over": over is not None, "note": note})
    tests = ",".join(map(_object, rows_of(said)))
    return Response(f'{head[:-1]},"tests":[{tests}]}}\n', media_type="application/json")


def _asked(run: str, event: Event) -> dict[str, object]:
    """Return what a run was asked for."""
    assert event.asked is not None
    named = [f"{port}/{transport}" for port, transport in event.asked.ports]
    return {"id": run, "ip": event.asked.ip, "begun": event.begun, "ports": named}


def _told(run: str, event: Event, language: Language) -> tuple[str, str]:
    """Return the name and the data of an event."""
    if event.asked is not None:
        return "asked", _object(_asked(run, event))
    if event.row is None:
        return "over", _object({"note": None if event.note is None else language.messages.gettext(event.note)})
    row = _object(_in(language, event.row))
    return "test", f'{{"final":{json_value(event.final)},"test":{row}}}'


def _in(language: Language, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its note, a message id, in a language."""
    return row if not row["note"] else {**row, "note": language.messages.gettext(row["note"])}


def _object(values: Mapping[str, object]) -> str:
    """Return a JSON object; no text in it can act on a terminal that shows it."""
    return "{" + ",".join(f'"{name}":{json_value(value)}' for name, value in values.items()) + "}"
