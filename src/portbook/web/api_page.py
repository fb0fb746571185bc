"""The API as it describes itself: its OpenAPI document for programs, and a page made of that document for people."""

from __future__ import annotations

import json
import re
import shlex
from typing import NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import JSONResponse, Response

from portbook.errors import N_
from portbook.web.pages import page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from portbook.web.settings import Settings

router = APIRouter(include_in_schema=False)

DOCUMENT = "/api/v1/openapi.json"
DESCRIPTION = "What a port is, who has it, who talks through it, and whether it can be reached."

_EXAMPLES: dict[str, dict[str, object]] = {"test": {"ports": "22,80,443"}, "ports": {"q": "443"}}
"""What an example asks, by operation; of others it gives what must be given, as the model's own examples have it."""

_TYPES = {
    "string": N_("text"),
    "integer": N_("whole number"),
    "number": N_("number"),
    "boolean": N_("yes or no"),
    "array": N_("list"),
    "object": N_("object"),
}


_UNITS = {
    "bytes": N_("bytes"),
    "bytes/second": N_("bytes per second"),
    "seconds": N_("seconds"),
    "milliseconds": N_("milliseconds"),
    "epoch": N_("seconds since 1970 (UTC)"),
}

_PLACES = {"query": "?{}=", "path": "{{{}}}", "header": "{}:"}


class Value(NamedTuple):
    """A parameter of a route, or a part of its answer; `types`, `description` and `unit` are message ids.

    What stands in the query has a name such as ?q=, in the path {id}, in a header Prefer: and in a body just ports.
    """

    name: str
    types: tuple[str, ...]
    description: str
    unit: str | None = None
    default: str | None = None


class Route(NamedTuple):
    """A route as the page shows it; `example` is a command line, `media_types` are those of the answer."""

    method: str
    path: str
    summary: str
    example: str
    signed_in: bool
    parameters: list[Value]
    answer: list[Value]
    media_types: list[str]


def contact(settings: Settings) -> dict[str, str] | None:
    """Return the operator's address as an OpenAPI document has it."""
    if settings.contact is None:
        return None
    return {"name": settings.name, "url" if "://" in settings.contact else "email": settings.contact}


@router.get(DOCUMENT, response_model=None)
async def document(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.api_route("/api", methods=["GET", "HEAD"], response_model=None)
async def reference(request: Request) -> Response:
    """Answer with the page of the API: every route with an example."""
    told = request.app.openapi()
    base = f"{request.scope['scheme']}://{request.headers['host']}"
    return page(request, "api.html", 200, routes=list(routes_of(told, base)), document=DOCUMENT)


def routes_of(document: Mapping[str, Any], base: str) -> Iterator[Route]:
    """Yield the routes of an OpenAPI document, with examples for the server at `base`."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            good = next(answer for status, answer in told["responses"].items() if status.startswith("2"))
            content = good.get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            parameters = [
                _value(document, _PLACES[one["in"]].format(one["name"]), {**one["schema"], **_described(one)})
                for one in told.get("parameters", ())
            ]
            yield Route(
                method.upper(),
                path,
                told.get("summary", ""),
                _example(method, f"{base}{path}", told, _schema(document, body or {})),
                "401" in told["responses"],
                [*parameters, *_values(document, body or {})],
                list(_values(document, schema)),
                list(content),
            )


def _example(method: str, url: str, told: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """Return the command line that asks for a route; `body` is the schema of what it takes."""
    given = {name: body["properties"][name].get("examples", [name])[0] for name in body.get("required", ())}
    asked = _EXAMPLES.get(told.get("operationId", ""), given)
    words = ["curl"]
    if "text/event-stream" in str(told["responses"].get("200", {})):
        words.append("--no-buffer")
    if "401" in told["responses"]:
        words += ["-H", "Authorization: Bearer TOKEN"]
    if "requestBody" in told:
        words += ["-X", method.upper()] if method != "post" else []
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(asked)]
    else:
        words += ["-X", method.upper()] if method != "get" else []
        url += f"?{urlencode(asked)}" if asked else ""
    return shlex.join([*words, re.sub(r"\{(\w+)\}", lambda part: part[1].upper(), url)])


def _schema(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema itself where a reference leads to it, or the first of several that is no null."""
    if "$ref" in schema:
        return _schema(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    several = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return _schema(document, several[0]) if len(several) == 1 else schema


def _values(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Value]:
    """Yield the fields of an object, or of each of a list."""
    found = _schema(document, schema)
    if found.get("type") == "array":
        found = _schema(document, found["items"])
    for name, field in found.get("properties", {}).items():
        yield _value(document, name, field)
        inner = _schema(document, field)
        if inner.get("type") == "array" and "$ref" in inner["items"]:
            for value in _values(document, inner):
                yield value._replace(name=f"{name}[].{value.name}")


def _described(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _value(document: Mapping[str, Any], name: str, field: Mapping[str, Any]) -> Value:
    parts = field.get("anyOf", (field,))
    kinds = dict.fromkeys(_schema(document, part).get("type", "") for part in parts)
    default = field.get("default")
    unit = field.get("x-unit")
    return Value(
        name,
        tuple(_TYPES[kind] for kind in kinds if kind in _TYPES),
        field.get("description", "") if unit is None else field["title"],  # a column's heading is translated
        _UNITS.get(unit or ""),
        None if default in (None, "", []) else json.dumps(default),
    )
