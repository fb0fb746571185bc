"""The page of this host for who is signed in: its listeners, its conversations and their picture, and what changes.

What is seen of the host is this_host.py's, where the picture's lines run host_picture.py's. Whoever watches gets the
pieces of the page that changed, as server-sent events; without scripts the page is loaded again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.sse import format_sse_event
from markupsafe import Markup
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import Response, StreamingResponse

from portbook.errors import BadQuestion, PortbookError
from portbook.socket import WIDEST_FIRST
from portbook.web.accounts import needs_sign_in
from portbook.web.cells import cells, size
from portbook.web.host_picture import picture
from portbook.web.languages import language_of
from portbook.web.pages import page
from portbook.web.site import site_of
from portbook.web.this_host import (
    SEEN_STATES,
    WAITING_STATES,
    counts,
    flows,
    largest,
    narrowed,
    seen_now,
    wanted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portbook.columns import Table
    from portbook.web.languages import Language
    from portbook.web.site import Site
    from portbook.web.this_host import Now, Wanted

router = APIRouter(prefix="/host", include_in_schema=False)

MOST_ROWS = 200
"""Of both tables together."""

EVERY = 2.0
"""Seconds from one look to the next, where it does not take long."""

WATCHED = 60.0
"""Seconds after which a watcher's connection ends; the browser asks again, and whether it still may is asked too."""

TRANSPORTS = ("tcp", "udp", "udplite", "sctp")
_FIELDS = ("port", "process", "state", "transport")
_MOST_LISTENERS = 100
_LINKS = 6
_LISTENER_COLUMNS = (
    *("local_port", "transport", "scope", "addresses", "service", "process", "pids", "user", "unit", "container"),
    *("conversations", "owner_by", "command", "netns"),
)
_TALK_COLUMNS = (
    *("transport", "client_ip", "client_port", "server_ip", "server_port", "service", "process", "container"),
    *("state", "duration", "client_payload", "server_payload", "rtt_ms"),
)
_SPARE = ("service", "unit", "container", "rtt_ms", "duration")
_SEEN = re.compile(r"[0-9a-f]{12}(-[0-9a-f]{12})*")


class Piece(NamedTuple):
    """A part of the page that may change, and what it is known by: equal pieces have equal marks."""

    name: str
    html: Markup
    mark: str


class More(NamedTuple):
    """A link that shows fewer rows: the value that they have in common, how many they are, and its address."""

    value: str
    rows: int
    address: str


class Filter(NamedTuple):
    """What the form of the page holds, as it was typed."""

    port: str = ""
    process: str = ""
    state: str = ""
    transport: str = ""

    @classmethod
    def of(cls, request: Request) -> Filter:
        """Return what the address of a request holds."""
        return cls(*(request.query_params.get(name, "")[:400].strip() for name in _FIELDS))

    def address(self, path: str = "/host", **others: str) -> str:
        """Return the address of the page with these fields, but for the others given."""
        held = {**self._asdict(), **others}
        query = urlencode({name: value for name, value in held.items() if value})
        return f"{path}?{query}" if query else path

    def wanted(self, site: Site) -> Wanted:
        """Return what is asked for. Raises BadQuestion."""
        return wanted(site, self.port, self.state, self.transport, self.process)


@router.get("", response_model=None)
async def host(request: Request) -> Response:
    """Answer with the page. Raises Refused (401) for who is not signed in."""
    await needs_sign_in(request)
    fields = Filter.of(request)
    error: BadQuestion | None = None
    pieces: tuple[Piece, ...] = ()
    try:
        pieces = await _pieces(site_of(request), fields, language_of(request))
    except BadQuestion as found:
        error = found
    seen = "-".join(piece.mark for piece in pieces)
    return page(
        request,
        "host.html",
        200 if error is None else 400,
        fields=fields,
        error=error,
        pieces=pieces,
        events=fields.address("/host/events", seen=seen, lang=language_of(request).code),
        states=(*WAITING_STATES, *SEEN_STATES),
        transports=TRANSPORTS,
    )


@router.get("/events", response_model=None)
async def events(request: Request) -> Response:
    """Answer with the pieces of the page that change while it is open; the mark of each event names all of them."""
    await needs_sign_in(request)
    site, language, fields = site_of(request), language_of(request), Filter.of(request)
    fields.wanted(site)
    given = request.headers.get("last-event-id") or request.query_params.get("seen", "")
    seen = given.split("-") if len(given) < 100 and _SEEN.fullmatch(given) else []

    async def stream() -> AsyncIterator[bytes]:
        marks = list(seen)
        yield f"retry: {EVERY * 1000:.0f}\n\n".encode()
        until = monotonic() + WATCHED
        while (begun := monotonic()) < until:
            pieces: tuple[Piece, ...] = ()
            try:
                pieces = await _pieces(site, fields, language)
            except PortbookError as error:
                said = language.plain(error.message, **error.values)
                yield format_sse_event(data_str=said, event="failed")
            else:
                yield b": \n\n"  # so that a visitor who left is noticed even where nothing changes
            marks += [""] * (len(pieces) - len(marks))
            for place, piece in enumerate(pieces):
                if marks[place] != piece.mark:
                    marks[place] = piece.mark
                    known = "-".join(mark or "0" * 12 for mark in marks)
                    yield format_sse_event(data_str=piece.html, event=piece.name, id=known)
            # Many sockets take long to read: no more than a fifth of the time goes into that.
            await asyncio.sleep(max(EVERY, 4 * (monotonic() - begun)))

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _pieces(site: Site, fields: Filter, language: Language) -> tuple[Piece, ...]:
    """Return the pieces of the page as they are now, made once for all who see the same.

    Raises BadQuestion for fields that ask for nothing there is, and Unavailable where no source answers.
    """
    asked = fields.wanted(site)
    now = await site.this_host.get("now", lambda: seen_now(site.registry))
    return await site.this_host.get((fields, language.code), lambda: pieces_of(site, now, fields, asked, language))


def pieces_of(site: Site, now: Now, fields: Filter, asked: Wanted, language: Language) -> tuple[Piece, ...]:
    """Return the pieces that show what is asked for of a host."""
    listeners, talks = narrowed(now.listeners, asked), narrowed(now.talks, asked)
    places = {scope: place for place, scope in enumerate(WIDEST_FIRST)}
    scopes = listeners.vector("scope")
    widest = sorted(listeners.shown(), key=lambda row: places.get(str(scopes[row]), len(places)))
    listeners = listeners.ordered(widest)
    several = len(counts(now.listeners, "netns")) > 1
    columns = [name for name in _LISTENER_COLUMNS if several or name != "netns"]
    many = min(len(listeners), _MOST_LISTENERS)
    common: dict[str, object] = {
        "_": language.say,
        "ngettext": language.plural,
        "language": language,
        "fields": fields,
    }
    notes = {message: values for table in (now.listeners, now.talks) for message, values in table.notes}
    made: dict[str, dict[str, object]] = {
        "notes": {"notes": list(notes.items())},
        "picture": {
            "picture": picture(flows(talks, now), language.direction == "rtl"),
            "size": lambda volume: size(volume, language),
        },
        "listeners": _shown(listeners, listeners.limited(many).select(columns), fields, language),
        "talks": _shown(talks, largest(talks, now, MOST_ROWS - many).select(_TALK_COLUMNS), fields, language),
    }
    found = []
    for name, values in made.items():
        html = site.templates.get_template(f"host_{name}.html").render({**common, **values}).strip()
        found.append(Piece(name, Markup(html), hashlib.sha256(html.encode()).hexdigest()[:12]))  # noqa: S704 - escaped
    return tuple(found)


def _shown(table: Table, part: Table, fields: Filter, language: Language) -> dict[str, object]:
    """Return what the template of a table needs: the part to show, how many rows there are, and links to fewer."""
    rest = len(table) - len(part)
    more = []
    if rest:
        named = {"transport": "transport", "state": "state", "server_port": "port", "local_port": "port"}
        for column in table.columns:
            field = named.get(column.name)
            if field is not None and not getattr(fields, field):
                found = [(value, rows) for value, rows in counts(table, column.name) if 1 < rows < len(table)]
                more += [More(value, rows, fields.address(**{field: value})) for value, rows in found[:_LINKS]]
    return {"table": cells(part, language, _SPARE), "count": len(table), "rest": rest, "more": more}
