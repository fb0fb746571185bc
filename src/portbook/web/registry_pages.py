"""The registry as pages: ports looked up as one types, and all that is known of one port.

What a question means is host/ports.py's and registry/search.py's, as on the command line; here it is bounded, since
anybody may ask. What this host does with its ports is no stranger's business and is left out.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import Response  # noqa: TC002 - read by the router

from portbook.endpoint import port_range
from portbook.errors import N_, BadQuestion
from portbook.host.ports import FOUND_BY_WORDS, answers
from portbook.registry.about import HEADINGS, RANGES, about, abouts
from portbook.registry.lines import every_line
from portbook.registry.lookup import DYNAMIC, UNASSIGNED, Registry
from portbook.registry.search import Index
from portbook.service import COLUMNS
from portbook.web.languages import language_of
from portbook.web.mine import needs_consent, why_not
from portbook.web.pages import page
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.service import Service

router = APIRouter(include_in_schema=False)

MOST_ROWS = 200
MOST_CHARACTERS = 200
"""Of a question; what is longer is no name and no sentence."""

_NO_PORT = N_("{text} is no port; ports go from 0 to 65535")
_TOO_LONG = N_("that is too long to be looked up; a number, a name or a few words will do")

_PORTS = re.compile(r":?(\d{1,9})(?:-(\d{1,9}))?(/[a-z]+)?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(0x[\da-f]*|\d[\d.]*(e[+-]?\d*)?)(/[a-z]*)?|:\d+", re.ASCII | re.IGNORECASE)
_ONE_AT_A_TIME = Lock()
_DASH = re.compile(r"(?<=\d)\s*[-‐‑‒–—−]\s*(?=\d)")

RANGE_NAMES = {"system": N_("System Ports"), "user": N_("User Ports"), "dynamic": N_("Dynamic Ports")}
STANDINGS = {
    "iana": N_("by IANA"),
    "unofficial": N_("unofficial use"),
    "reserved": N_("reserved"),
    "unassigned": N_("unassigned"),
}
"""What a page calls the values of the column `assigned`."""

OWN_WORDS = (UNASSIGNED, DYNAMIC)
"""Descriptions that are portbook's and so in the reader's language; the others are IANA's, in English."""


class Row(NamedTuple):
    """A service as a page shows it, one row for all transports of which the same is said."""

    port: int
    transports: tuple[str, ...]
    service: str | None
    description: str
    range: str
    assigned: str
    reference: str | None


class MainPort(NamedTuple):
    """A main port: its transports, the name of its service, what it is for."""

    port: int
    transports: tuple[str, ...]
    service: str
    purpose: str


@router.api_route("/ports", methods=["GET", "HEAD"], response_model=None)
async def ports(request: Request, q: str = "", part: str = "") -> Response:
    """Answer with what the registry says of a question; a script asks for that part of the page alone."""
    registry, language = site_of(request).registry, language_of(request)
    query = q.strip()
    rows: tuple[Row, ...] = ()
    error = None
    if query:
        try:
            rows = await run_in_threadpool(found, registry, query, language.code)
        except BadQuestion as refused:
            error = refused
    return page(
        request,
        "ports_found.html" if part else "ports.html",
        query=query,
        most_characters=MOST_CHARACTERS,
        rows=rows[:MOST_ROWS],
        more=len(rows) > MOST_ROWS,
        error=error,
        main=() if query else main_ports(registry, language.code),
        stories=abouts(language.code),
        **_words(),
    )


async def port(request: Request, number: int) -> Response:
    """Answer with all that the registry says of a port. Raises BadQuestion beyond 65535."""
    if not 0 <= number <= 65535:
        # More digits say no more, and Python will not write them all.
        raise BadQuestion(N_("there is no port {port}; ports go from 0 to 65535"), port=max(-1, min(number, 10**9)))
    site, language = site_of(request), language_of(request)
    services = site.registry.port(number)
    transports = [transport for main, transport in site.main_ports if main == number]
    transports = transports or [service.transport for service in services if service.transport]
    return page(
        request,
        "port.html",
        port=number,
        rows=_rows(services),
        names=list(dict.fromkeys(service.service for service in services if service.service)),
        usual="udp" if set(transports) == {"udp"} else "tcp",
        story=about(number, language.code),
        headings=HEADINGS,
        range_sentence=RANGES[port_range(number)],
        around=(max(0, number - 10), min(65535, number + 10)),
        date=site.registry.date,
        never=number in site.settings.never_test,
        why_not=why_not(request),
        consent=await needs_consent(request),
        **_words(),
    )


@lru_cache(maxsize=1024)
def found(registry: Registry, query: str, language: str) -> tuple[Row, ...]:
    """Return what a question finds, one row more than is shown at most. Raises BadQuestion for what is no port."""
    if len(query) > MOST_CHARACTERS:
        raise BadQuestion(_TOO_LONG)
    text = _plain(query)
    parts = [part for part in re.split(r"[\s,;]+", text) if part]
    numbers = [_PORTS.fullmatch(part) for part in parts]
    if all(numbers):
        queries = [_bounded(number) for number in numbers if number is not None]
        return _rows(answers(queries, registry, language, MOST_ROWS))[: MOST_ROWS + 1]
    for part, number in zip(parts, numbers, strict=True):
        if number is None and _NUMBER.fullmatch(part) and (len(parts) == 1 or any(numbers)):
            raise BadQuestion(_NO_PORT, text=part)
    with _ONE_AT_A_TIME:
        return _rows(_index(registry, language).find(text, FOUND_BY_WORDS))


@lru_cache(maxsize=8)
def _index(registry: Registry, language: str) -> Index:
    # A few megabytes each, and more than ten times the work of a question.
    return Index(registry, language)


def main_ports(registry: Registry, language: str) -> list[MainPort]:
    """Return the main ports by number, told in a language."""
    stories = abouts(language)
    return [
        MainPort(ports.start, tuple(transports.split(",")), name, stories[ports.start].purpose)
        for ports, (_, transports, name, *_) in every_line(registry.main)
    ]


def _plain(text: str) -> str:
    """Return a question with the digits and dashes of every script as ASCII has them."""
    written = unicodedata.normalize("NFKC", text)
    ascii_digits = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in written)
    return _DASH.sub("-", ascii_digits).strip()


def _bounded(number: re.Match[str]) -> str:
    """Return a range that answers with no more ports than are shown, and one by which that is seen."""
    low, high = int(number[1]), int(number[2] or number[1])
    if low <= high <= 65535:
        high = min(high, low + MOST_ROWS)
    return f"{low}-{high}{number[3] or ''}" if number[2] else f"{low}{number[3] or ''}"


def _rows(services: Sequence[Service]) -> tuple[Row, ...]:
    alike: dict[Service, list[str]] = {}
    for service in services:
        transports = alike.setdefault(service._replace(transport=None), [])
        if service.transport is not None:
            transports.append(service.transport)
    return tuple(
        Row(
            said.port,
            tuple(transports),
            said.service,
            said.description,
            port_range(said.port),
            said.assigned,
            said.reference,
        )
        for said, transports in alike.items()
    )


def _words() -> dict[str, object]:
    return {
        "columns": {column.name: column.heading for column in COLUMNS},
        "range_names": RANGE_NAMES,
        "ranges": RANGES,
        "standings": STANDINGS,
        "own_words": OWN_WORDS,
    }
