"""What tests of a target came to: each kept with what differs from the one before, until its time is over."""

from __future__ import annotations

import json
from time import time
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from portbook.errors import N_, PortbookError
from portbook.web.database import checks, targets
from portbook.web.runs import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sqlalchemy import Row

    from portbook.web.runs import Asked
    from portbook.web.site import Site
    from portbook.web.targets import WatchedTarget

    Endpoint = tuple[str, int, str]
    Answers = Mapping[Endpoint, "Answer"]

_A_DAY = 24 * 3600
_BROKEN_OFF = N_("the test was broken off before every port had answered")
_AT_A_TIME = 1000
"""So many rows are deleted together, so that nobody waits long for the database."""


class Answer(NamedTuple):
    """What a port of an address said, as far as a change of it is told."""

    state: str
    service: str | None


class Change(NamedTuple):
    """A port whose answer differs from the check before; the states are None where it was, or is, not there."""

    ip: str
    port: int
    transport: str
    from_state: str | None
    from_service: str | None
    to_state: str | None
    to_service: str | None


class Check(NamedTuple):
    """One test of a target: when it began (epoch) and how long it took, in seconds; `rows` by column.

    `note` and `told` (what became of telling the webhook) are errors in the form in which views show them.
    """

    id: int
    target_id: int
    begun: float
    seconds: float
    changed: bool
    changes: tuple[Change, ...]
    rows: tuple[Mapping[str, Any], ...]
    note: PortbookError | None
    told: PortbookError | None


class Outcome(NamedTuple):
    """What a test came to before it is kept. Only a `whole` one says something about every port."""

    begun: float
    seconds: float
    rows: Sequence[Mapping[str, Any]]
    note: PortbookError | None
    whole: bool


def answers_in(rows: Sequence[Mapping[str, Any]]) -> dict[Endpoint, Answer]:
    """Return the answers of a test by address, port and transport."""
    return {(row["ip"], row["port"], row["transport"]): Answer(row["state"], row["service"]) for row in rows}


def changes_between(before: Answers, after: Answers) -> tuple[Change, ...]:
    """Return what differs, by address, port and transport."""
    nothing = (None, None)
    return tuple(
        Change(*endpoint, *before.get(endpoint, nothing), *after.get(endpoint, nothing))
        for endpoint in sorted(before.keys() | after.keys())
        if before.get(endpoint) != after.get(endpoint)
    )


async def followed(site: Site, run: str) -> Outcome:
    """Return what a run has come to, when it is over."""
    begun = time()
    asked: Asked | None = None
    rows: dict[Endpoint, Mapping[str, Any]] = {}
    note = None
    async for event in site.runs.follow(run):
        if event is None:
            continue
        asked = event.asked or asked
        begun = event.begun or begun
        note = event.note or note
        if event.row is not None and event.final:
            rows[event.row["ip"], event.row["port"], event.row["transport"]] = event.row
    wanted = [] if asked is None else [(ip, *port) for ip in asked.addresses for port in asked.ports]
    whole = bool(wanted) and rows.keys() >= set(wanted)
    if note is None and not whole:
        note = _BROKEN_OFF
    found = [rows[endpoint] for endpoint in wanted if endpoint in rows]
    return Outcome(begun, time() - begun, found, None if note is None else PortbookError(note), whole)


async def keep(site: Site, target: WatchedTarget, outcome: Outcome) -> None:
    """Keep a test, compared with the whole one before it; what changed is told to the target's webhook next."""
    after = answers_in(outcome.rows)
    async with site.database.writing() as connection:
        held = await connection.execute(
            select(targets.c.answers, targets.c.webhook).where(targets.c.id == target.id).with_for_update()
        )
        row = held.first()
        if row is None:
            return  # removed while it was tested
        changes: tuple[Change, ...] = ()
        if outcome.whole:
            if row.answers is not None:
                changes = changes_between(_read_answers(row.answers), after)
            values = json.dumps([[*endpoint, *answer] for endpoint, answer in after.items()])
            await connection.execute(update(targets).where(targets.c.id == target.id).values(answers=values))
        await connection.execute(
            insert(checks).values(
                target_id=target.id,
                begun=outcome.begun,
                seconds=outcome.seconds,
                changed=bool(changes),
                changes=json.dumps([change._asdict() for change in changes]),
                rows=json.dumps([_without_nulls(row) for row in outcome.rows]),
                note=written(outcome.note),
                tell=time() if changes and row.webhook is not None else None,
            )
        )


def _read_answers(text: str) -> dict[Endpoint, Answer]:
    return {(ip, port, transport): Answer(*answer) for ip, port, transport, *answer in json.loads(text)}


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def written(note: PortbookError | None) -> str | None:
    """Return a note as it is kept."""
    return None if note is None else json.dumps([note.message, note.values], default=str)


def _read_note(text: str | None) -> PortbookError | None:
    if text is None:
        return None
    message, values = json.loads(text)
    return PortbookError(message, **values)


def check_in(row: Row[Any]) -> Check:
    """Return a row of the table as what it means."""
    return Check(
        row.id,
        row.target_id,
        row.begun,
        row.seconds,
        row.changed,
        tuple(Change(**change) for change in json.loads(row.changes)),
        tuple({**dict.fromkeys(NAMES), **test} for test in json.loads(row.rows)),
        _read_note(row.note),
        _read_note(row.told),
    )


async def checks_of(site: Site, target: WatchedTarget, limit: int, before: int | None = None) -> list[Check]:
    """Return the checks of a target, the newest first, or those `before` the check of that number."""
    wanted = select(checks).where(checks.c.target_id == target.id)
    if before is not None:
        wanted = wanted.where(checks.c.id < min(before, 2**63 - 1))
    async with site.database.reading() as connection:
        found = await connection.execute(wanted.order_by(checks.c.id.desc()).limit(limit))
    return [check_in(row) for row in found]


async def prune(site: Site) -> None:
    """Forget the checks whose time is over."""
    oldest = time() - site.settings.retention_days * _A_DAY
    some = select(checks.c.id).where(checks.c.begun < oldest).limit(_AT_A_TIME)
    while True:
        async with site.database.writing() as connection:
            gone = await connection.execute(delete(checks).where(checks.c.id.in_(some)))
        if gone.rowcount < _AT_A_TIME:
            return
