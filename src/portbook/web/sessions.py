"""What a browser carries from sign-in to sign-out: a signed cookie that names an account, and nothing secret.

Over HTTPS the cookie is sent over HTTPS alone, and its name (`__Host-`) keeps other hosts of a domain from setting it
(RFC 6265bis, section 4.1.3.2). Whether the account still takes the session is accounts.py's to say.
"""

from __future__ import annotations

from time import time
from typing import NamedTuple

from starlette.middleware.sessions import SessionMiddleware

TYPE_CHECKING = False
if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from portbook.web.accounts import Session

SECONDS = 14 * 24 * 3600
"""How long a sign-in is good for, whatever is done in that time."""


class Carried(NamedTuple):
    """What a session cookie says."""

    user_id: int
    generation: int


class Sessions:
    """The middleware that reads and writes the cookie; it stands where the scheme of the visitor is known."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self.open = SessionMiddleware(app, secret, "portbook", SECONDS)
        self.secure = SessionMiddleware(app, secret, "__Host-portbook", SECONDS, https_only=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the session in the scope."""
        await (self.secure if scope.get("scheme") == "https" else self.open)(scope, receive, send)


def begin_session(request: Request, session: Session) -> None:
    """Sign a browser in: nothing that it carried before is kept."""
    request.session.clear()
    request.session.update(user=session.user.id, generation=session.generation, since=int(time()))


def end_session(request: Request) -> None:
    """Sign a browser out."""
    request.session.clear()


def session_of(request: Request) -> Carried | None:
    """Return what the session cookie of a request says, None where it names no account or is too old."""
    since = request.session.get("since")
    if since is None or since < time() - SECONDS:
        return None
    return Carried(request.session["user"], request.session["generation"])
