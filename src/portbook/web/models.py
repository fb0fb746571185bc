"""The API's answers as models, which say in its OpenAPI document what comes: a model's fields are declared columns.

What a column holds is declared beside the thing it describes (porttest.py, service.py and the like), and nowhere
again here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, create_model

from portbook.errors import N_
from portbook.porttest import COLUMNS as TEST_COLUMNS
from portbook.service import COLUMNS as SERVICE_COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.columns import Column

_TYPES: dict[str, Any] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "address": str,
    "integers": list[int],
    "texts": list[str],
}
_UNITS = {"epoch": "seconds since the epoch, UTC"}

_OF_THIS_HOST = ("here", "source_range", "privileged", "kept_free")
"""What `what` says of the host that it runs on, which is none of a stranger's business."""

REGISTRY_COLUMNS = tuple(column for column in SERVICE_COLUMNS if column.name not in _OF_THIS_HOST)
"""The columns of the registry alone."""


def row_model(name: str, columns: Sequence[Column]) -> type[BaseModel]:
    """Return the model of a row: each column is there, null where it is absent."""
    fields: dict[str, Any] = {column.name: (_TYPES[column.type] | None, _field(column)) for column in columns}
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def _field(column: Column) -> Any:
    unit = _UNITS.get(column.unit, column.unit)
    words = column.heading + (f", in {unit}" if unit else "")
    if column.foreign:
        words += "; somebody else chose this text, and it may hold anything"
    return Field(title=column.heading, description=words, json_schema_extra={"x-unit": column.unit})


class Problem(BaseModel):
    """Why a request is not answered as it was asked, in the language of Accept-Language."""

    detail: str


class Me(BaseModel):
    """The socket pair of this request, as far as this server sees it."""

    ip: str = Field(description=N_("your address"))
    port: int | None = Field(description=N_("your source port, unless a proxy hides it"))
    server_ip: str | None = Field(description=N_("this server's address, unless a proxy stands before it"))
    server_port: int | None = Field(description=N_("this server's port, unless a proxy stands before it"))
    token: str = Field(description=N_("the proof that you came from this address, good for two minutes"))


class TestRequest(BaseModel):
    """Which of your own ports are to be tested, and how; no field names another host."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ports: Annotated[int, Field(ge=0, le=65535)] | Annotated[str, Field(max_length=400)] = Field(
        default="main", description=N_("main, top100, or numbers and ranges such as 22,80,8000-8010")
    )
    transports: list[Literal["tcp", "udp"]] = Field(
        default=[],
        max_length=2,
        description=N_("tcp, udp or both; unless it is said, both for main and tcp for others"),
    )
    consent: bool = Field(default=False, description=N_("that you may have an address tested which others share"))
    identify: bool = Field(default=True, description=N_("whether it is found out what speaks at an open port"))
    token: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description=N_("the proof of your address of the other family, to have that one tested")
    )


class Begun(BaseModel):
    """A test that runs."""

    id: str
    joined: bool = Field(description=N_("whether it had been begun before"))
    events: str = Field(description=N_("where its answers are told as they come"))
    result: str = Field(description=N_("where its answers are"))


TestRow = row_model("Test", TEST_COLUMNS)
ServiceRow = row_model("Service", REGISTRY_COLUMNS)


class Result(BaseModel):
    """What a test has found: one row for each port that is known of."""

    id: str
    ip: str = Field(description=N_("the address that is tested"))
    begun: float = Field(description=N_("when it was begun, in seconds since 1970 (UTC)"))
    ports: list[str] = Field(description=N_("the ports that were asked for, each with its transport: 443/tcp"))
    over: bool = Field(description=N_("whether that is all"))
    note: str | None = Field(description=N_("what is to be said of the test as a whole"))
    tests: list[TestRow]  # type: ignore[valid-type] # a model made of columns


def _problem(description: str) -> dict[str, Any]:
    return {"model": Problem, "description": description}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The question makes no sense, such as a port beyond 65535."),
    403: _problem("The address, the ports or the asking page are not allowed."),
    413: _problem("The body is too large."),
    421: _problem("The server does not answer under this name."),
    422: _problem("A value is missing or of the wrong type, or too much is asked for."),
    429: _problem("Too many requests; Retry-After says when to try again."),
    500: _problem("The server failed."),
    503: _problem("The server, or what it stands on, is busy or away."),
}
"""What any route of the API may answer instead, for `responses` of a router."""

UNKNOWN: dict[int | str, dict[str, Any]] = {404: _problem("There is no such thing, or not any more.")}
TOKEN = Depends(HTTPBearer(auto_error=False, scheme_name="token", description="A token of the account page."))
"""Says in the document how a request signs in; whether it has, accounts.py finds out."""

UNSIGNED: dict[int | str, dict[str, Any]] = {401: _problem("It takes a token or a session.")}


def formats_of(row: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return what a route that also gives its rows as lines or CSV says of its answer, for `responses`."""
    lines = {"schema": {"type": "string", "description": f"one {row.__name__} a line (JSON)"}}
    values = {"schema": {"type": "string", "description": f"the columns of {row.__name__} (RFC 4180)"}}
    return {200: {"content": {"application/x-ndjson": lines, "text/csv": values}}}
