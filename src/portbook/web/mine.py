"""The test of a visitor's own ports, from the request to the run: who asks, whether they may, and what they ask for.

Each step is a module's own decision (visitor.py, guard.py, quotas.py); here is their order, the same for the page,
the API and plain text.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import NamedTuple

from portbook.errors import N_, BadQuestion
from portbook.probe.targets import ports_in
from portbook.web.guard import is_browser, may_begin_by_itself, refusal
from portbook.web.refused import Refused
from portbook.web.runs import Asked
from portbook.web.site import site_of
from portbook.web.visitor import Visitor, visitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from portbook.web.runs import Begun
    from portbook.web.site import Site

TRANSPORTS = ("tcp", "udp")

CONSENT = N_(
    "the address {ip} may be shared with others (a proxy, a VPN or your provider's gateway): say that you may have it"
    " tested"
)
_TOO_MANY = N_("{count} ports are too many for one test; {most} may be asked for")
_TOO_LONG = N_("the list of ports is too long; {most} may be asked for")
_NO_PORT = N_("say which ports are to be tested, such as 22,80,8000-8010")
_STALE = N_("the proof of your other address is too old; load the page again")

_LONGEST = 4096
"""Characters of a list of ports."""
_SHOWN = 40
"""Characters that are shown of what cannot be understood."""

_SHARED_BY = 3
"""From more browsers than that in an hour an address is taken to be shared."""


class Wish(NamedTuple):
    """What a visitor asks for: ports in words, transports (none: each port's own), and what they agree to."""

    ports: str = "main"
    transports: Sequence[str] = ()
    consent: bool = False
    identify: bool = True
    token: str | None = None


def visitor_of(request: Request) -> Visitor:
    """Return who sent a request. Raises BadQuestion where a trusted proxy's words about that are malformed."""
    known: Visitor | None = request.scope.get("portbook.visitor")
    if known is None:
        known = visitor(request.scope, request.headers, site_of(request).settings)
        request.scope["portbook.visitor"] = known
    return known


def why_not(request: Request) -> BadQuestion | None:
    """Return why the visitor's address cannot be tested, None where it can."""
    site, asking = site_of(request), visitor_of(request)
    message = refusal(asking, site.settings, site.is_own)
    return None if message is None else BadQuestion(message, ip=asking.ip)


async def needs_consent(request: Request, tested: Visitor | None = None) -> bool:
    """Whether the address to be `tested` may be others' too, so that a person is asked before; else the visitor's."""
    asking = tested or visitor_of(request)
    browser = request.session.get("browser")
    if browser is None and is_browser(request.headers):
        browser = request.session["browser"] = secrets.token_urlsafe(8)
    if asking.shared:
        return True
    if site_of(request).settings.mode != "public":
        return False
    return await site_of(request).board.browsers(asking.ip, browser or "") > _SHARED_BY


async def begins_by_itself(request: Request) -> bool:
    """Whether the page may begin the test as soon as it is opened."""
    if not may_begin_by_itself(request.headers, visitor_of(request).scheme) or why_not(request) is not None:
        return False
    return not await needs_consent(request)


def wished_ports(wish: Wish, site: Site) -> tuple[tuple[int, str], ...]:
    """Return the ports that are asked for, each with its transport, by number. Raises BadQuestion, Refused."""
    if not set(wish.transports) <= set(TRANSPORTS):
        raise BadQuestion(N_("a transport is tcp or udp, not {text}"), text=",".join(wish.transports)[:_SHOWN])
    if not wish.ports.strip():
        raise BadQuestion(_NO_PORT)
    if len(wish.ports) > _LONGEST:
        raise Refused(422, _TOO_LONG, most=site.settings.quotas.ports)
    transports = tuple(dict.fromkeys(wish.transports)) or (TRANSPORTS if wish.ports == "main" else ("tcp",))
    most = site.settings.quotas.ports
    asked: dict[tuple[int, str], None] = {}
    for transport in transports:
        # Part by part, since each of thousands may be a whole range.
        for part in wish.ports.split(","):
            found = ports_in(part, dict(site.port_sets[transport]))
            asked |= {(port, transport): None for port in found if port not in site.settings.never_test}
            if len(asked) > most:
                raise Refused(422, _TOO_MANY, count=len(asked), most=most)
    if not asked:
        raise Refused(403, N_("the operator of this server does not test these ports"))
    return tuple(sorted(asked))


async def begin(request: Request, wish: Wish) -> Begun:
    """Begin the test that a visitor wishes, or return the one that answers it already.

    Raises BadQuestion for what is no port, Refused for what is not allowed, or not now.
    """
    site = site_of(request)
    asking = visitor_of(request)
    if wish.token is not None:
        ip = site.proven(wish.token)
        if ip is None:
            raise Refused(403, _STALE)
        asking = Visitor(ip, None, None, asking.scheme, shared=asking.shared)
    why = refusal(asking, site.settings, site.is_own)
    if why is not None:
        raise Refused(403, why, ip=asking.ip)
    ports = wished_ports(wish, site)
    if not wish.consent and await needs_consent(request, asking):
        raise Refused(403, CONSENT, ip=asking.ip)
    asked = Asked(asking.ip, ports, wish.identify)
    return await site.runs.begin(asked, permit=partial(site.quotas.test, asking.ip))
