"""Who may ask for what: which addresses may be tested, under which names this server answers, and whose page asked.

Decisions only, each with its reason. Who the visitor is, visitor.py knows; how often, quotas.py.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from portbook.errors import N_
from portbook.web.visitor import is_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.datastructures import Headers

    from portbook.web.settings import Settings
    from portbook.web.visitor import Visitor

_GLOBAL_IPV6 = ip_network("2000::/3")
"""All that IANA gives out for hosts of the internet (RFC 4291, section 2.4)."""

_SHARED_SPACE = ip_network("100.64.0.0/10")
"""Of carrier-grade NAT (RFC 6598)."""

_NEVER = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # a cloud's own services for its guests, in public address space
            "192.0.0.0/24",
            "192.31.196.0/24",  # AS112 answers there wherever one is, and for nobody (RFC 7535)
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.175.48.0/24",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
"""Never a visitor's own, beside what every version of the standard library knows to be special."""

METADATA = tuple(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200")))
"""Where clouds tell a guest its secrets."""

_BROWSERS = (
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-ch-ua",
    "sec-purpose",
    "origin",
    "referer",
    "accept-language",
    "cookie",
    "upgrade-insecure-requests",
    "dnt",
    "sec-gpc",
)

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))(?::[0-9]{1,5})?")

_PROVIDER = N_("your provider's gateway has this address, which many customers share (carrier-grade NAT)")
_EXCLUDED = N_("the operator of this server does not test {ip}")
NOT_GLOBAL = N_("{ip} is no address of the internet, so it cannot be reached from here")
OWN = N_("{ip} is this server's own address")
NOT_HERE = N_("{ip} is outside the private networks that this server tests")
UNKNOWN = N_("a proxy stands before this server and does not say who you are")


def refusal(visitor: Visitor, settings: Settings, is_own: Callable[[str], bool]) -> str | None:
    """Return why a visitor's address must not be tested, a message id with {ip}; None where it may be."""
    address = ip_address(visitor.ip)
    if visitor.unknown or is_trusted(address, settings):
        return UNKNOWN
    if settings.mode == "local":
        return None if address.is_loopback else NOT_HERE
    if address in METADATA or address.is_multicast or address.is_unspecified or address.is_loopback:
        return NOT_GLOBAL
    if settings.mode == "lan":
        if not any(address in network for network in settings.lan if network.version == address.version):
            return NOT_HERE
    elif address.version == 4 and address in _SHARED_SPACE:
        return _PROVIDER
    elif not is_global(address):
        return NOT_GLOBAL
    if _is_own(address, settings, is_own):
        return OWN
    if any(address in network for network in settings.never_networks if network.version == address.version):
        return _EXCLUDED
    return None


def _is_own(address: IPv4Address | IPv6Address, settings: Settings, is_own: Callable[[str], bool]) -> bool:
    return str(address) in settings.addresses or is_own(str(address))


def is_global(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to one host of the internet (IANA's special-purpose registries)."""
    if address.version == 6 and address not in _GLOBAL_IPV6:
        return False
    special = any(address in network for network in _NEVER if network.version == address.version)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


def answers_to(hosts: Sequence[str], settings: Settings, is_own: Callable[[str], bool]) -> bool:
    """Whether this server answers under the name of the header Host, of which there must be one.

    It answers under the names that its operator wrote down and under its addresses; a local server under localhost
    and loopback addresses. A page of elsewhere can have its own name resolve to this server's address (DNS
    rebinding) and then reads what is answered as its own; those names cannot be taken over so.
    """
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None:
        return False
    name = (found["ipv6"] or found["name"]).lower().rstrip(".")
    if name in (one.lower() for one in settings.hosts):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return settings.is_local and name == "localhost"
    if settings.is_local:
        return address.is_loopback
    return _is_own(address, settings, is_own)


def is_from_elsewhere(headers: Headers, scheme: str) -> bool:
    """Whether another site's page may have sent a request that changes something.

    Browsers say whose page asked (Sec-Fetch-Site), and before they did, its origin; both cannot be set by a page.
    What says neither, and bears no mark of a browser, is a program: nobody's page makes it ask.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return True
    origin = headers.get("origin")
    if origin is not None:
        return origin.lower() != f"{scheme}://{headers.get('host', '')}".lower()
    return site is None and is_browser(headers)


def is_browser(headers: Headers) -> bool:
    """Whether a request bears a mark that every browser leaves, and that no page can have it leave out."""
    agent = headers.get("user-agent", "")
    # PowerShell calls itself Mozilla too; a page that does so in its name has to ask first, and is not allowed to.
    named = agent.startswith(("Mozilla/", "Opera/")) and "PowerShell/" not in agent
    return named or any(name in headers for name in _BROWSERS)


def may_begin_by_itself(headers: Headers, scheme: str) -> bool:
    """Whether the page was opened by the person, not by another site's link: then a test may begin at once.

    Without encryption browsers do not say (Sec-Fetch-Site), so there it begins by itself only from an own page.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("none", "same-origin")
    return headers.get("referer", "").lower().startswith(f"{scheme}://{headers.get('host', '')}/".lower())
