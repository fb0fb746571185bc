"""The pages of an account: signing in and out, the first account by a one-time link, the password and the tokens.

Each form is posted and checked to come from this server's own page before it gets here (entrance.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, NamedTuple
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Path
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import RedirectResponse, Response

from portbook.errors import N_, BadQuestion
from portbook.web import accounts
from portbook.web.accounts import MOST_CHARACTERS, needs_session, signed_in
from portbook.web.languages import language_of
from portbook.web.mine import visitor_of
from portbook.web.pages import page
from portbook.web.passwords import FEWEST, MOST
from portbook.web.sessions import begin_session, end_session
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.web.accounts import User

router = APIRouter(include_in_schema=False)

_MOST_OF_PATH = 500
_LENGTHS = {"fewest": FEWEST, "most": MOST, "longest": MOST_CHARACTERS}
_WRONG = N_("this name and this password do not fit each other")
_WRONG_NOW = N_("this is not the password that you have now")
_CHANGED = N_("The password is changed. Other browsers are signed out.")


class Answer(NamedTuple):
    """What the account page says of what was just done: a message id, or a token that is shown this once."""

    said: str | None = None
    token: str | None = None
    error: BadQuestion | None = None


_NOTHING = Answer()


def own_path(text: str | None) -> str:
    """Return a path of this server's own as it was given; of all else, which would lead to elsewhere, the first page.

    Browsers take a backslash for a slash, and leave out tabs and line breaks (WHATWG URL, section 4.4).
    """
    if text is None or not text.startswith("/") or len(text) > _MOST_OF_PATH:
        return "/"
    if text.startswith("//") or "\\" in text or not text.isprintable():
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else text


def to_sign_in(request: Request) -> Response:
    """Lead to the sign-in page, and from there back to the page that needs it."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = {"next": path} if request.method in ("GET", "HEAD") and own_path(path) != "/" else {}
    return RedirectResponse(f"/signin?{urlencode(wanted)}" if wanted else "/signin", 303)


async def _fields(request: Request) -> dict[str, str]:
    form = await request.form(max_files=0, max_fields=16)
    return {name: str(value) for name, value in form.items()}


@router.get("/signin", response_model=None)
async def ask(request: Request) -> Response:
    """Ask who it is."""
    wanted = own_path(request.query_params.get("next"))
    if await signed_in(request) is not None:
        return RedirectResponse(wanted, 303)
    return page(request, "signin.html", wanted=wanted, given="", error=None)


@router.post("/signin", response_model=None)
async def sign_in(request: Request) -> Response:
    """Sign in by name and password."""
    fields = await _fields(request)
    name, wanted = fields.get("name", ""), own_path(fields.get("next"))
    site = site_of(request)
    await site.quotas.attempt(visitor_of(request).ip, accounts.folded(name))
    session = await accounts.sign_in(site.database, name, fields.get("password", ""))
    if session is None:
        return page(request, "signin.html", 403, wanted=wanted, given=name, error=BadQuestion(_WRONG))
    begin_session(request, session)
    return RedirectResponse(wanted, 303)


@router.post("/signout", response_model=None)
async def sign_out(request: Request) -> Response:
    """Sign this browser out."""
    end_session(request)
    return RedirectResponse("/", 303)


@router.get("/account", response_model=None)
async def account(request: Request) -> Response:
    """Show the account."""
    return await _account(request, await needs_session(request))


@router.post("/account/password", response_model=None)
async def change_password(request: Request) -> Response:
    """Change the password, which signs all other browsers out."""
    user, fields, site = await needs_session(request), await _fields(request), site_of(request)
    await site.quotas.attempt(visitor_of(request).ip, user.name)
    if await accounts.sign_in(site.database, user.name, fields.get("current", "")) is None:
        return await _account(request, user, Answer(error=BadQuestion(_WRONG_NOW)), 403)
    try:
        begin_session(request, await accounts.set_password(site.database, user, fields.get("password", "")))
    except BadQuestion as error:
        return await _account(request, user, Answer(error=error), 400)
    return await _account(request, user, Answer(said=_CHANGED))


@router.post("/account/tokens", response_model=None)
async def make_token(request: Request) -> Response:
    """Make a token for scripts, and show it this once."""
    user, fields = await needs_session(request), await _fields(request)
    try:
        token = await accounts.make_token(site_of(request).database, user, fields.get("name", ""))
    except BadQuestion as error:
        return await _account(request, user, Answer(error=error), 400)
    return await _account(request, user, Answer(token=token))


@router.post("/account/tokens/{token}/remove", response_model=None)
async def remove_token(request: Request, token: Annotated[int, Path(ge=1, lt=2**63)]) -> Response:
    """Remove a token."""
    user = await needs_session(request)
    await accounts.remove_token(site_of(request).database, user, token)
    return RedirectResponse("/account", 303)


@router.post("/account/sessions/end", response_model=None)
async def sign_out_everywhere(request: Request) -> Response:
    """Sign every browser out."""
    user = await needs_session(request)
    await accounts.end_sessions(site_of(request).database, user)
    end_session(request)
    return RedirectResponse("/signin", 303)


@router.get("/setup/{link}", response_model=None)
async def ask_first(request: Request, link: str) -> Response:
    """Ask for the name and the password of the account that a one-time link makes."""
    await accounts.check_link(site_of(request).database, link)
    return _setup(request, link)


@router.post("/setup/{link}", response_model=None)
async def set_up(request: Request, link: str) -> Response:
    """Make the account of a one-time link, and sign in to it."""
    fields = await _fields(request)
    name = fields.get("name", "")
    try:
        session = await accounts.use_link(site_of(request).database, link, name, fields.get("password", ""))
    except BadQuestion as error:
        return _setup(request, link, name, error)
    begin_session(request, session)
    return RedirectResponse("/account", 303)


def _setup(request: Request, link: str, name: str = "", error: BadQuestion | None = None) -> Response:
    status = 200 if error is None else 400
    return page(request, "setup.html", status, secret=link, given=name, error=error, **_LENGTHS)


async def _account(request: Request, user: User, answer: Answer = _NOTHING, status: int = 200) -> Response:
    database, language = site_of(request).database, language_of(request)

    def shown(seconds: float | None) -> str | None:
        return None if seconds is None else language.time(datetime.fromtimestamp(seconds, UTC))

    return page(
        request,
        "account.html",
        status,
        user=user,
        answer=answer,
        has_password=await accounts.has_password(database, user),
        tokens=[(token, shown(token.made), shown(token.used)) for token in await accounts.tokens_of(database, user)],
        **_LENGTHS,
    )
