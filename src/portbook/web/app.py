"""The application as a whole: what every request passes through, and which module answers what.

What a request may not do is decided before any page sees it: the name it was asked under, whose page sent it, how
large it is, and how often its sender asks.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from portbook import __version__
from portbook.errors import N_, PortbookError, Unavailable
from portbook.web import (
    api,
    api_host,
    api_page,
    api_targets,
    health,
    host_pages,
    learn_pages,
    openid,
    pages,
    plain,
    registry_pages,
    signin,
    target_pages,
)
from portbook.web.entrance import MOST_BYTES, TOO_LARGE, Entrance
from portbook.web.models import PROBLEMS
from portbook.web.refused import Refused
from portbook.web.schedule import Schedule
from portbook.web.sessions import Sessions
from portbook.web.site import Site
from portbook.web.watching import Watching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from portbook.web.settings import Settings

_WORDS = {
    400: N_("the request cannot be read"),
    404: health.NO_PAGE,
    405: N_("this page cannot be asked in this way"),
    413: TOO_LARGE,
}
"""What the router says itself, by status."""

_WRONG = N_("the value of {name} is not right: {reason}")


async def _error(request: Request, error: Exception) -> Response:
    """Answer what could not be answered, as whoever asked reads it."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers.update({name.lower(): value for name, value in (error.headers or {}).items()})
        error = Refused(error.status_code, _WORDS.get(error.status_code, _WORDS[400]))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        error = Refused(422, _WRONG, name=".".join(map(str, first["loc"][1:])) or "body", reason=first["msg"])
    assert isinstance(error, PortbookError)
    status = error.status if isinstance(error, Refused) else 503 if isinstance(error, Unavailable) else 400
    if isinstance(error, Refused) and error.retry_after:
        headers["retry-after"] = str(error.retry_after)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if request.url.path.startswith("/api/"):
        return api.refused(request, error, status, headers)
    if plain.is_wanted(request):
        return plain.refused(request, error, status, headers)
    if status == 401 and request.headers.get("sec-fetch-mode", "navigate") == "navigate":
        return signin.to_sign_in(request)
    return pages.refused(request, error, status, headers)


def create_app(settings: Settings, secret: str) -> FastAPI:
    """Return the application; `secret` signs sessions and what else visitors carry."""
    site = Site(settings, secret)
    schedule = Schedule(site)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            held.push_async_callback(site.database.close)
            held.push_async_callback(site.board.close)
            held.push_async_callback(site.runs.end)
            await site.database.prepare()
            held.push_async_callback(schedule.stop)
            schedule.start()
            yield

    app = FastAPI(
        title=settings.name,
        version=__version__,
        description=api_page.DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        contact=api_page.contact(settings),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(Watching, site=site),
            Middleware(Entrance, site=site),
            Middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BYTES),
            Middleware(Sessions, secret=secret),
            Middleware(GZipMiddleware),
        ],
        exception_handlers={PortbookError: _error, HTTPException: _error, RequestValidationError: _error},
        responses=PROBLEMS,
    )
    app.state.site = site
    app.state.schedule = schedule
    app.mount("/static", StaticFiles(packages=[("portbook.web", "static")]), name="static")
    # In the order in which they are asked for most, since one after the other is looked at.
    app.include_router(pages.router)
    app.include_router(plain.router)
    app.include_router(api.router, prefix=api.ROOT)
    app.include_router(registry_pages.router)
    app.include_router(learn_pages.router)
    app.include_router(host_pages.router)
    app.include_router(api_host.router, prefix=api.ROOT)
    app.include_router(target_pages.router)
    app.include_router(api_targets.router, prefix=api.ROOT)
    app.include_router(signin.router)
    app.include_router(api_page.router)
    app.include_router(health.router)
    if settings.openid is not None:
        app.include_router(openid.router)
        app.state.openid = openid.client(settings.openid)
    return app
