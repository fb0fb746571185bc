"""Sign-in by OpenID Connect: the way to the provider and back, and whom the operator lets in by it.

The authorization code flow with PKCE (RFC 7636) and a nonce is Authlib's. An account belongs to the provider's issuer
and subject, which nobody can choose; a mail address counts only where the provider says that it has verified it.
"""

from __future__ import annotations

import logging

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import APIRouter
from httpx2 import HTTPError, InvalidURL
from joserfc.errors import JoseError
from starlette.requests import Request  # noqa: TC002 - read by the router
from starlette.responses import RedirectResponse, Response

from portbook.errors import N_
from portbook.web.accounts import vouched_for
from portbook.web.refused import Refused
from portbook.web.sessions import begin_session
from portbook.web.signin import own_path
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from authlib.integrations.starlette_client import StarletteOAuth2App

    from portbook.web.settings import OpenId

router = APIRouter(include_in_schema=False)

_SECONDS = 10.0
_SUBJECT = 255
"""Characters of a subject at most (OpenID Connect Core 1.0, section 2)."""

_SIGNED = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448")
)
"""How an ID token may be signed: by keys that only the provider has."""

_FOREIGN = (AuthlibBaseError, JoseError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What Authlib raises for answers of a provider that are wrong, or are no answers."""

_DOWN = N_("{provider} does not answer; try again later")
_NOT_CONFIRMED = N_("{provider} did not confirm who you are; sign in again")
_NOT_ALLOWED = N_("you are not among those who may sign in here; the operator can allow {subject}")

_log = logging.getLogger(__name__)


def client(openid: OpenId) -> StarletteOAuth2App:
    """Return the client of a provider, which reads of it what it has to know when it is first needed."""
    return OAuth().register(
        "openid",
        client_id=openid.client_id,
        client_secret=openid.client_secret,
        server_metadata_url=f"{openid.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email", "code_challenge_method": "S256", "timeout": _SECONDS},
    )


@router.get("/signin/openid", response_model=None)
async def leave(request: Request) -> Response:
    """Lead a person to the provider."""
    openid, app = _provider(request)
    request.session["next"] = own_path(request.query_params.get("next"))
    try:
        await _know(openid, app)
        away: Response = await app.authorize_redirect(request, str(request.url_for("come_back")))
    except (HTTPError, InvalidURL, *_FOREIGN) as error:
        _log.warning("OpenID Connect: %s: %r", type(error).__name__, str(error))
        raise Refused(503, _DOWN, provider=openid.name) from error
    return away


@router.get("/signin/openid/back", response_model=None)
async def come_back(request: Request) -> Response:
    """Sign in whom the provider sends back, where they are allowed."""
    openid, app = _provider(request)
    try:
        await _know(openid, app)
        claims = await _claims(request, openid, app)
    except (HTTPError, InvalidURL) as error:
        _log.warning("OpenID Connect: %s: %r", type(error).__name__, str(error))
        raise Refused(503, _DOWN, provider=openid.name) from error
    except _FOREIGN as error:
        _log.warning("OpenID Connect: %s: %r", type(error).__name__, str(error))
        raise Refused(403, _NOT_CONFIRMED, provider=openid.name) from error
    subject, mail = claims["sub"], verified_mail(claims)
    if not is_allowed(openid, subject, mail):
        raise Refused(403, _NOT_ALLOWED, subject=subject)
    session = await vouched_for(site_of(request).database, f"{openid.issuer} {subject}", mail or subject)
    away = own_path(request.session.get("next"))
    begin_session(request, session)
    return RedirectResponse(away, 303)


def verified_mail(claims: Mapping[str, Any]) -> str | None:
    """Return the mail address that a provider has verified, None where it has not."""
    mail = claims.get("email")
    return mail if isinstance(mail, str) and claims.get("email_verified") is True else None


def is_allowed(openid: OpenId, subject: str, mail: str | None) -> bool:
    """Whether somebody may come in: what has an @ among `allowed` is a mail address, all else a subject."""
    if mail is not None and mail.casefold() in (one.casefold() for one in openid.allowed if "@" in one):
        return True
    return "@" not in subject and subject in openid.allowed


def _provider(request: Request) -> tuple[OpenId, StarletteOAuth2App]:
    openid = site_of(request).settings.openid
    assert openid is not None
    return openid, request.app.state.openid


async def _know(openid: OpenId, app: StarletteOAuth2App) -> None:
    """Read what the provider says of itself. Raises OAuthError where it is another than the one that is set."""
    metadata = await app.load_server_metadata()
    if metadata.get("issuer") != openid.issuer:
        del metadata["_loaded_at"]  # it may be right the next time
        raise OAuthError("issuer", f"{metadata.get('issuer')!r} is not {openid.issuer!r}")
    name = "id_token_signing_alg_values_supported"
    metadata[name] = [how for how in metadata.get(name) or ("RS256",) if how in _SIGNED]


async def _claims(request: Request, openid: OpenId, app: StarletteOAuth2App) -> Mapping[str, Any]:
    """Return what the provider says of a person. Raises what Authlib does for answers that prove nothing."""
    token = await app.authorize_access_token(
        request,
        claims_options={
            "iss": {"essential": True, "value": openid.issuer},
            "aud": {"essential": True, "value": openid.client_id},
        },
    )
    claims: dict[str, Any] = dict(token["userinfo"])
    subject = claims["sub"]
    if not (isinstance(subject, str) and 0 < len(subject) <= _SUBJECT and subject.isprintable()):
        raise OAuthError("sub", "no subject")
    if "email" not in claims and "userinfo_endpoint" in app.server_metadata:
        # Without its expiry: Authlib takes a token of a minute, which some providers give, for expired already.
        more = await app.userinfo(token={name: token[name] for name in ("access_token", "token_type")})
        if more.get("sub") != subject:  # section 5.3.2: else it is said of somebody else
            raise OAuthError("sub", "two subjects")
        claims.update(email=more.get("email"), email_verified=more.get("email_verified"))
    return claims
