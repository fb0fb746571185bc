"""The API's answers about this host, for who has a token or a session: sockets, conversations and listeners.

The rows have the columns that the command line's have. They are written in pieces, as many sockets as there may be;
what is read of the host, and what of it is wanted, is this_host.py's.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import Response, StreamingResponse

from portbook import conversation, socket
from portbook.errors import N_
from portbook.host.talks import DEFAULT_COLUMNS
from portbook.output.clean import clean
from portbook.web.accounts import needs_sign_in
from portbook.web.api import format_of, media_type_of, pieces_of
from portbook.web.models import TOKEN, UNSIGNED, formats_of, row_model
from portbook.web.site import site_of
from portbook.web.this_host import every_socket, narrowed, seen_now, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydantic import BaseModel

    from portbook.columns import Table

router = APIRouter(dependencies=[TOKEN, Depends(needs_sign_in)])

SocketRow = row_model("Socket", [column for column in socket.COLUMNS if column.name != "remote_host"])
ConversationRow = row_model(
    "Conversation", [column for column in conversation.COLUMNS if column.name in DEFAULT_COLUMNS]
)
ListenerRow = row_model("Listener", socket.LISTENER_COLUMNS)

_LONGEST_NOTES = 1000


class Asked(NamedTuple):
    """The parameters that the three answers share, as they were given."""

    port: str
    state: str
    transport: str
    process: str
    limit: int | None
    format: Literal["json", "ndjson", "csv"] | None


def asked(
    port: Annotated[str, Query(max_length=400, description=N_("only with these ports: 443, 22,8000-8100"))] = "",
    state: Annotated[
        str, Query(max_length=400, description=N_("only in this state, as RFC 9293, ss or netstat call it"))
    ] = "",
    transport: Annotated[str, Query(max_length=400, description=N_("only of this transport: tcp, udp"))] = "",
    process: Annotated[
        str, Query(max_length=400, description=N_("only of a process with this in its name, or of this number"))
    ] = "",
    limit: Annotated[int | None, Query(ge=1, le=10_000_000, description=N_("how many rows at most"))] = None,
    format: Annotated[  # noqa: A002 - the parameter's own word
        Literal["json", "ndjson", "csv"] | None,
        Query(description=N_("how it is written; else as Accept says")),
    ] = None,
) -> Asked:
    """Return the parameters of a request."""
    return Asked(port, state, transport, process, limit, format)


def _responses(row: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    text = {"schema": {"type": "string"}}
    headers = {
        "portbook-complete": {**text, "description": "false where something could not be seen, else true"},
        "portbook-notes": {**text, "description": "what could not be seen, such as owners that rights hide; English"},
    }
    return {200: {**formats_of(row)[200], "headers": headers}, **UNSIGNED}


@router.get(
    "/sockets",
    operation_id="sockets",
    summary=N_("The sockets of this server's host"),
    response_model=list[SocketRow],  # type: ignore[valid-type] # a model made of columns
    responses=_responses(SocketRow),
)
async def sockets(request: Request, only: Annotated[Asked, Depends(asked)]) -> Response:
    """Return every socket, of every transport and in every state, with its owner."""
    site = site_of(request)
    table = await site.this_host.get("sockets", lambda: every_socket(site.registry))
    return await _answer(request, table, only)


@router.get(
    "/conversations",
    operation_id="conversations",
    summary=N_("The conversations of this server's host"),
    response_model=list[ConversationRow],  # type: ignore[valid-type] # a model made of columns
    responses=_responses(ConversationRow),
)
async def conversations(request: Request, only: Annotated[Asked, Depends(asked)]) -> Response:
    """Return each conversation once, told from the client's side."""
    site = site_of(request)
    now = await site.this_host.get("now", lambda: seen_now(site.registry))
    return await _answer(request, now.talks, only)


@router.get(
    "/listeners",
    operation_id="listeners",
    summary=N_("The services that listen on this server's host"),
    response_model=list[ListenerRow],  # type: ignore[valid-type] # a model made of columns
    responses=_responses(ListenerRow),
)
async def listeners(request: Request, only: Annotated[Asked, Depends(asked)]) -> Response:
    """Return who listens, and how far each listener reaches."""
    site = site_of(request)
    now = await site.this_host.get("now", lambda: seen_now(site.registry))
    return await _answer(request, now.listeners, only)


async def _answer(request: Request, table: Table, only: Asked) -> Response:
    """Return the rows that are asked for, in the format that is."""
    what = wanted(site_of(request), only.port, only.state, only.transport, only.process)
    found = await run_in_threadpool(narrowed, table, what)
    if only.limit is not None:
        found = found.limited(only.limit)
    format_name = only.format or format_of(request)
    headers = {"portbook-complete": "true" if found.complete else "false"}
    if found.notes:
        said = "; ".join(message.format(**values) for message, values in found.notes)
        # A header is ASCII on one line, and a note may hold the name of a namespace.
        plain = clean(said).encode("ascii", "backslashreplace").decode()
        headers["portbook-notes"] = plain[:_LONGEST_NOTES]
    return StreamingResponse(pieces_of(found, format_name), media_type=media_type_of(format_name), headers=headers)
