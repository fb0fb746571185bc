"""What the pages show of a test: each door with what is told of it, how many are what, and what the states mean.

What a state means is doors.py's; how it is marked up, the templates'.
"""

from __future__ import annotations

from collections import Counter
from functools import cache, lru_cache
from typing import NamedTuple

from babel.lists import format_list
from markupsafe import Markup

from portbook.output.clean import clean
from portbook.porttest import COLUMNS
from portbook.registry.about import abouts
from portbook.web.cells import value_text
from portbook.web.doors import door, doors
from portbook.web.languages import languages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from jinja2 import Environment

    from portbook.registry.about import About
    from portbook.web.doors import Door
    from portbook.web.languages import Language
    from portbook.web.runs import Asked, Event
    from portbook.web.site import Site

_COLUMNS = {column.name: column for column in COLUMNS}
_FACTS = [
    _COLUMNS[name]
    for name in (
        "banner",
        "server_name",
        "icmp_from",
        "tls_version",
        "tls_subject",
        "tls_issuer",
        "tls_not_after",
    )
]
"""What is told of a door beside what it means."""

_SHOWN = ("state", "service", "product", "version", "note", *(column.name for column in _FACTS))
_TIME = "\x00time\x00"
"""Stands for the time of a door; nothing else that is shown holds such a character."""
_MOST_DOORS = 8192


def shown_run(
    site: Site, language: Language, key: str, asked: Asked, said: Sequence[Event], *, with_doors: bool = True
) -> dict[str, object]:
    """Return what the template of a run takes: its doors in order, what was `said` of them, how many are what.

    `key` tells the runs of one page apart.
    """
    rows = {(event.row["port"], event.row["transport"]): event for event in said if event.row is not None}
    counts = Counter(event.row["state"] for event in rows.values() if event.row is not None)
    over = next((event for event in said if event.over), None)
    meanings = doors(asked.ip)
    counted = [
        f"{language.number(counts[state])} {language.plain(told.name)}"
        for state, told in meanings.items()
        if counts[state]
    ]
    return {
        "key": key,
        "ip": asked.ip,
        "doors": [
            shown_door(site, language, port, transport, rows.get((port, transport)), is_over=over is not None)
            for port, transport in (asked.ports if with_doors else ())
        ],
        "counts": counts,
        "tally": format_list(counted, locale=language.code) if counted else "",
        "meanings": meanings,
        "over": over,
    }


def waiting_run(site: Site, language: Language, asked: Asked, *, heading: bool) -> Markup:
    """Return the piece of the page that shows a run before it begins; a `heading` says of which address.

    Without one it is alike for all addresses whose doors mean the same.
    """
    key = (language.code, asked.ports, tuple(doors(asked.ip).values()), asked.ip if heading else None)
    known = site.waiting_runs.get(key)
    if known is not None:
        return known
    words = {"_": language.say, "ngettext": language.plural, "language": language, "address": marked_address}
    shown = {**shown_run(site, language, "main", asked, ()), "heading": heading, "running": False}
    # What the template makes is HTML; it has escaped all that came from elsewhere.
    made = Markup(site.templates.get_template("run.html").render({**words, **shown}))  # noqa: S704
    if not heading:
        site.waiting_runs[key] = made
    return made


def marked_address(value: object) -> Markup:
    """Return an address, or a part of one, as the page sets it."""
    return Markup('<bdi class="address">{}</bdi>').format(value)


@cache
def menu(language: Language) -> Markup:
    """Return the options of the menu of languages, this one chosen."""
    option = Markup('<option value="{}" lang="{}"{}>{}</option>')
    return Markup("\n").join(
        option.format(one.code, one.tag, Markup(" selected") if one is language else "", one.name)
        for one in languages().values()
    )


def shown_door(
    site: Site, language: Language, port: int, transport: str, event: Event | None, *, is_over: bool = False
) -> Markup:
    """Return the piece of the page that shows one door, with what an event tells of it, if anything."""
    where = _Where(site.templates, language, port, transport, site.names[transport].get(port))
    if event is None or event.row is None:
        return _door(where)
    row = event.row
    shown = tuple((name, row[name]) for name in _SHOWN)
    time = row["rtt_ms"]
    told = door(port, row["state"], row["ip"])
    piece = _door(where, told, shown, time is not None, more=not event.final and not is_over)
    # Doors of many visitors differ in nothing but the time.
    return piece if time is None else piece.replace(_TIME, value_text(time, _COLUMNS["rtt_ms"], language))


class _Where(NamedTuple):
    templates: Environment
    language: Language
    port: int
    transport: str
    name: str | None


@lru_cache(_MOST_DOORS)
def _door(
    where: _Where,
    told: Door | None = None,
    shown: tuple[tuple[str, Any], ...] = (),
    timed: bool = False,
    *,
    more: bool = False,
) -> Markup:
    """Return a door with what is told and shown of it; _TIME stands where its time belongs."""
    language, row = where.language, dict(shown)

    def facts() -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = [(_COLUMNS["rtt_ms"].heading, _TIME)] if timed else []
        found += [(one.heading, value_text(row[one.name], one, language)) for one in _FACTS if row[one.name]]
        note = row["note"]
        return found if note is None else [*found, (_COLUMNS["note"].heading, language.say(note))]

    words = {
        "_": language.say,
        "clean": clean,
        "story_of": _stories(language.code).get,
        "facts": facts,
        "told": told,
        "row": row,
        "time": _TIME if timed else None,
        "more": more,
        **{name: value for name, value in where._asdict().items() if name in ("port", "transport", "name")},
    }
    # What the template makes is HTML; it has escaped all that came from elsewhere.
    return Markup(where.templates.get_template("door.html").render(words))  # noqa: S704


@cache
def _stories(code: str) -> dict[int, About]:
    return abouts(code)
