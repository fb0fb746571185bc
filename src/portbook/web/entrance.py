"""What every request passes first: the name it asks under, whose page sent it, how often its sender asks; and what
every answer carries: the headers that keep a page to itself.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

from portbook.errors import N_, BadQuestion, PortbookError
from portbook.output.clean import clean
from portbook.web.guard import answers_to, is_from_elsewhere
from portbook.web.languages import accepted
from portbook.web.refused import Refused
from portbook.web.visitor import visitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from portbook.web.site import Site

MOST_BYTES = 64 * 1024
"""Of a request's body."""
_MOST_DIGITS = 20

TOO_LARGE = N_("the request is too large")
_SAFE = ("GET", "HEAD", "OPTIONS")
_SHOWN = 255
_NAME = N_("this server does not answer under the name {host}; its operator can add it to hosts")
_FAILED = N_("something failed in this server; its operator finds it in the log")
_ELSEWHERE = N_("the page of another site asked for this; open this server's own page")


class Entrance:
    """The middleware that refuses what no page should have to see."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self.site = site
        connect = " ".join(("'self'", *site.settings.other_family))
        self.headers = {
            "content-security-policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
                f" connect-src {connect}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            ),
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                # Browsers heed it only where they trust the origin, and complain of it elsewhere.
                if scope["scheme"] == "https" or self.site.settings.is_local:
                    headers.setdefault("cross-origin-opener-policy", "same-origin")
                # What is the same for all may be kept, and is asked for again only as far as it has changed.
                headers.setdefault(
                    "cache-control", "no-cache" if scope["path"].startswith("/static/") else "no-store"
                )
            await send(message)

        headers = Headers(scope=scope)
        try:
            await self._check(scope, headers)
        except (Refused, BadQuestion) as error:
            status = error.status if isinstance(error, Refused) else 400
            retry = error.retry_after if isinstance(error, Refused) else None
            response = _response(scope, headers, error, status, {} if retry is None else {"retry-after": str(retry)})
            await response(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return  # who asked has left in the middle of the question
        except Exception:
            if not begun:
                failed = _response(scope, headers, PortbookError(_FAILED), 500, {"connection": "close"})
                await failed(scope, receive, send_with_headers)
            raise

    async def _check(self, scope: Scope, headers: Headers) -> None:
        """Raise Refused, or BadQuestion, for what is not to be answered."""
        asking = visitor(scope, headers, self.site.settings)
        scope["portbook.visitor"] = asking
        scope["scheme"] = asking.scheme
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:_MOST_DIGITS]) > MOST_BYTES:
            raise Refused(413, TOO_LARGE)
        hosts = headers.getlist("host")
        if not answers_to(hosts, self.site.settings, self.site.is_own):
            raise Refused(421, _NAME, host=clean(", ".join(hosts)[:_SHOWN]))
        if scope["method"] not in _SAFE and is_from_elsewhere(headers, asking.scheme):
            raise Refused(403, _ELSEWHERE)
        # This host's own programs are not counted; who comes through a proxy that nobody named only looks like one.
        if asking.shared or asking.unknown or not ip_address(asking.ip).is_loopback:
            await self.site.quotas.request(asking.ip)


def _response(
    scope: Scope, headers: Headers, error: PortbookError, status: int, more: dict[str, str]
) -> PlainTextResponse | JSONResponse:
    """Return what an error says, as a program or a person reads it."""
    said = accepted(headers.get("accept-language", "")).plain(error.message, **error.values)
    if scope["path"].startswith("/api/"):
        return JSONResponse({"detail": said}, status, more)
    return PlainTextResponse(said + "\n", status, more)
