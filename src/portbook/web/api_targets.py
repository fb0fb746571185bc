"""The API's answers about targets, for who has a token or a session: which there are, their tests, their history."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast, get_type_hints

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import JSONResponse, Response

from portbook.errors import N_
from portbook.web.accounts import User, needs_sign_in
from portbook.web.api import ROOT
from portbook.web.checks import Change, checks_of
from portbook.web.languages import language_of
from portbook.web.models import TOKEN, UNKNOWN, UNSIGNED, Begun, TestRow
from portbook.web.schedule import schedule_of
from portbook.web.site import site_of
from portbook.web.targets import (
    LONGEST,
    SHORTEST,
    WatchedTarget,
    WishedTarget,
    add,
    begin_test,
    remove,
    target_of,
    targets_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.web.checks import Check
    from portbook.web.languages import Language

router = APIRouter(prefix="/targets", dependencies=[TOKEN], responses=UNSIGNED)

MOST_CHECKS = 100

Person = Annotated[User, Depends(needs_sign_in)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description=N_("the number of the target"))]


class TargetRequest(BaseModel):
    """A host that is to be tested, which the operator must allow, and how often."""

    model_config = ConfigDict(extra="forbid", strict=True)

    host: str = Field(min_length=1, max_length=253, description=N_("a name or an address"))
    ports: Annotated[int, Field(ge=0, le=65535)] | Annotated[str, Field(max_length=400)] = Field(
        "main", description=N_("main, top100, or numbers and ranges such as 22,80,8000-8010")
    )
    transports: list[Literal["tcp", "udp"]] = Field(
        [], max_length=2, description=N_("tcp, udp or both; unless it is said, both for main and tcp for others")
    )
    every: Annotated[float, Field(ge=SHORTEST, le=LONGEST)] | None = Field(
        None, description=N_("seconds from one test to the next; null: only when it is asked for")
    )
    webhook: Annotated[str, Field(max_length=2000)] | None = Field(
        None, description=N_("the URL that is told of changes, which the operator must allow")
    )


class TargetRow(BaseModel):
    """A host that is tested, and how often; times are in seconds since 1970 (UTC)."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    host: str
    ports: str
    transports: list[str]
    every: float | None = Field(description=N_("seconds from one test to the next"))
    webhook: str | None
    secret: str = Field(description=N_("the key of X-Portbook-Signature, by which the webhook knows who tells it"))
    due: float | None = Field(description=N_("when it is tested next"))
    made: float


ChangeRow = create_model(
    "ChangeRow",
    __doc__="A port whose answer differs from the check before; null where it was, or is, not tested.",
    __config__=ConfigDict(from_attributes=True),
    **cast("dict[str, Any]", {name: (kind, ...) for name, kind in get_type_hints(Change).items()}),
)


class CheckRow(BaseModel):
    """What one test of a target came to."""

    id: int
    begun: float = Field(description=N_("when it was begun, in seconds since 1970 (UTC)"))
    seconds: float
    changed: bool = Field(description=N_("whether an answer differs from the check before"))
    changes: list[ChangeRow]  # type: ignore[valid-type] # a model made of a tuple's fields
    note: str | None = Field(description=N_("what is to be said of the test as a whole"))
    told: str | None = Field(description=N_("what became of telling the webhook"))
    tests: list[TestRow]  # type: ignore[valid-type] # a model made of columns


@router.get("", operation_id="targets", summary=N_("Your targets"))
async def every_target(request: Request, user: Person) -> list[TargetRow]:
    """Return the targets of who asks, by host."""
    return [_row(target) for target in await targets_of(site_of(request), user)]


@router.post(
    "",
    operation_id="add_target",
    summary=N_("Add a target"),
    status_code=201,
    responses={409: {**UNKNOWN[404], "description": "You have this target already, or too many."}},
)
async def add_target(request: Request, response: Response, user: Person, wished: TargetRequest) -> TargetRow:
    """Keep a target; one that is to be repeated is tested soon."""
    wish = WishedTarget(wished.host, str(wished.ports), wished.transports, wished.every, wished.webhook)
    target = await add(site_of(request), user, wish)
    response.headers["location"] = f"{ROOT}/targets/{target.id}"
    return _row(target)


@router.get("/{id}", operation_id="target", summary=N_("One of your targets"), responses=UNKNOWN)
async def one_target(request: Request, user: Person, id: Number) -> TargetRow:  # noqa: A002 - the path's own word
    """Return a target of who asks."""
    return _row(await target_of(site_of(request), user, id))


@router.delete(
    "/{id}",
    operation_id="remove_target",
    summary=N_("Remove a target and its history"),
    status_code=204,
    responses=UNKNOWN,
)
async def remove_target(request: Request, user: Person, id: Number) -> None:  # noqa: A002 - the path's own word
    """Forget a target of who asks."""
    site = site_of(request)
    await remove(site, await target_of(site, user, id))


@router.post(
    "/{id}/tests",
    operation_id="test_target",
    summary=N_("Test a target now"),
    status_code=202,
    response_model=Begun,
    responses=UNKNOWN,
)
async def test_target(request: Request, user: Person, id: Number) -> Response:  # noqa: A002 - the path's own word
    """Begin a test of a target, which is kept in its history when it is over."""
    site = site_of(request)
    target = await target_of(site, user, id)
    begun = await begin_test(site, target)
    if not begun.joined:
        schedule_of(request).keep(target, begun.run)
    where = f"{ROOT}/tests/{begun.run}"
    model = Begun(id=begun.run, joined=begun.joined, events=f"{where}/events", result=where)
    return JSONResponse(model.model_dump(), 202, {"location": where})


@router.get("/{id}/checks", operation_id="checks", summary=N_("The history of a target"), responses=UNKNOWN)
async def history(
    request: Request,
    user: Person,
    id: Number,  # noqa: A002 - the path's own word
    limit: Annotated[int, Query(ge=1, le=MOST_CHECKS, description=N_("how many rows at most"))] = 20,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description=N_("only those before this one"))] = None,
) -> list[CheckRow]:
    """Return the checks of a target, the newest first."""
    site = site_of(request)
    target = await target_of(site, user, id)
    language = language_of(request)
    return [_check(check, language) for check in await checks_of(site, target, limit, before)]


def _row(target: WatchedTarget) -> TargetRow:
    return TargetRow.model_validate(target)


def _check(check: Check, language: Language) -> CheckRow:
    note, told = (
        None if said is None else language.plain(said.message, **said.values) for said in (check.note, check.told)
    )
    tests = [{**row, "note": language.plain(row["note"]) if row["note"] else None} for row in check.rows]
    changes = [ChangeRow.model_validate(change) for change in check.changes]
    return CheckRow(
        id=check.id,
        begun=check.begun,
        seconds=check.seconds,
        changed=check.changed,
        changes=changes,
        note=note,
        told=told,
        tests=tests,
    )
