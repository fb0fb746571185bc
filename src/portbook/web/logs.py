"""What is written of requests and of the server itself: one line or one JSON object each, on standard error.

Of a visitor it holds what the operator has set (settings.Logs), and no more: no query, no run, no header, no page.
Messages of libraries take the same form.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import NamedTuple

from portbook.output.clean import clean
from portbook.web.quotas import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from portbook.web.settings import Logs

REQUESTS = logging.getLogger("portbook.web.requests")
ERRORS = logging.getLogger("portbook.web.errors")

_TELLTALE = ("uvicorn.access", "httpx", "httpcore")
"""Loggers that write whole addresses of requests."""


class Line(NamedTuple):
    """One request as it is written; `route` is the template of its path, "" where none fits, `address` what may be
    written of the visitor's.
    """

    method: str
    route: str
    status: int
    seconds: float
    bytes: int
    address: str | None = None

    def __str__(self) -> str:
        address = "" if self.address is None else f" {self.address}"
        return f"{self.method} {self.route or '-'} {self.status} {self.seconds:.3f} s {self.bytes} B{address}"


def configure(settings: Logs, stream: TextIO | None = None) -> None:
    """Have everything that this process logs written as it is set, to standard error unless a stream is given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if settings.format == "json" else Text())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name in _TELLTALE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def shown_address(ip: str, settings: Logs) -> str | None:
    """Return what may be written of an address: nothing, the network that it is in (IPv4 /24, IPv6 /48), or all."""
    if settings.addresses == "none":
        return None
    return ip if settings.addresses == "full" else networks(ip)[1]


def request(line: Line) -> None:
    """Write that a request was answered."""
    REQUESTS.info("request", extra={"line": line})


def error(failed: BaseException, line: Line, ip: str | None) -> None:
    """Write what went wrong within this server; the visitor's address in its words becomes what may be written."""
    told = logging.Formatter().formatException((type(failed), failed, failed.__traceback__))
    if ip:
        told = told.replace(ip, line.address or "(address)")
    ERRORS.error("failed", exc_info=failed, extra={"line": line, "traceback": told})


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record."""
        line: Line | None = getattr(record, "line", None)
        told = _traceback(self, record)
        fields: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **({} if line is None else line._asdict()),
            **({} if told is None else {"traceback": told}),
        }
        if line is not None:
            fields["seconds"] = round(line.seconds, 6)
        return json.dumps({name: value for name, value in fields.items() if value is not None})


class Text(logging.Formatter):
    """One line, and a traceback on the lines that follow it, each after two spaces."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record."""
        line: Line | None = getattr(record, "line", None)
        told = _traceback(self, record)
        said = record.getMessage() if line is None else f"{record.getMessage()} {line}"
        lines = [f"{_time(record)} {record.levelname.lower()} {record.name}: {clean(said)}"]
        lines += [f"  {clean(each)}" for each in (told or "").splitlines()]
        return "\n".join(lines)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    known: str | None = getattr(record, "traceback", None)
    if known is not None or not record.exc_info:
        return known
    return formatter.formatException(record.exc_info)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
