"""What an operator sees of each request: measured here in one place, for the counters and for the log.

What is counted is metrics.py's, what is written logs.py's. An error that nobody expected ends here, in the log with
its traceback.
"""

from __future__ import annotations

from time import monotonic

from starlette.responses import Response

from portbook.web import logs
from portbook.web.logs import Line, shown_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from portbook.web.site import Site
    from portbook.web.visitor import Visitor

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_BROKEN_OFF = 499
"""The status of what a visitor left before it was answered, as nginx writes it."""


class Watching:
    """The middleware around all others."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, measure, and tell."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send, self.site)
        begun = monotonic()
        failed: Exception | None = None
        try:
            await self.app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged with its traceback
            failed = error  # an answer that was half sent ends with its connection
            if answer.status is None:
                await Response(status_code=500)(scope, receive, answer)
        finally:
            answer.end()
            line = self._line(scope, answer, monotonic() - begun)
            self.site.metrics.answered(line)
            if failed is not None:
                visitor: Visitor | None = scope.get("portbook.visitor")
                logs.error(failed, line, None if visitor is None else visitor.ip)
            logs.request(line)

    def _line(self, scope: Scope, answer: _Answer, seconds: float) -> Line:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        visitor: Visitor | None = scope.get("portbook.visitor")
        address = None if visitor is None else shown_address(visitor.ip, self.site.settings.logs)
        return Line(method, _route(scope), answer.status or _BROKEN_OFF, seconds, answer.bytes, address)


class _Answer:
    """The way of an answer to its visitor."""

    def __init__(self, scope: Scope, send: Send, site: Site) -> None:
        self._send = send
        self._bodyless = scope["method"] == "HEAD"
        self._site = site
        self._streams = False
        self.status: int | None = None
        self.bytes = 0

    async def __call__(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if (b"content-type", b"text/event-stream") in (
                (name.lower(), value.partition(b";")[0]) for name, value in message["headers"]
            ):
                self._streams = True
                self._site.metrics.streams.inc()
        elif message["type"] == "http.response.body":
            self.bytes += 0 if self._bodyless else len(message.get("body", b""))
        await self._send(message)

    def end(self) -> None:
        """Note that there is no more."""
        if self._streams:
            self._site.metrics.streams.dec()


def _route(scope: Scope) -> str:
    """Return the template of a request's path, "" where none fits; what a visitor made up is nobody's."""
    # FastAPI keeps the prefix, under which a router was included, beside the route.
    found = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    template = getattr(found, "path", "") or (f"{scope['root_path']}/{{path}}" if scope.get("root_path") else "")
    return str(template)
