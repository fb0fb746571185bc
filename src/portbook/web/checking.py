"""What a server with given settings would do, and what of it is unsafe, in sentences for its operator.

Nothing is sent and nothing is changed: the settings, the files they name and this host's own limits are looked at.
"""

from __future__ import annotations

import os
import socket
import stat
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from limits import parse_many
from sqlalchemy import make_url

from portbook.columns import pack_address
from portbook.endpoint import reach
from portbook.errors import N_
from portbook.probe.connecting import is_own
from portbook.probe.files import room_for_files
from portbook.web.guard import METADATA, is_global
from portbook.web.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Sentences = Iterator[tuple[str, dict[str, object]]]

_SECRET = 32
"""Characters from which on nobody guesses what signs the sessions."""
_WIDE = {4: 24, 6: 48}
"""Proxies stand in networks of this many bits or more, by IP version."""
_MANY_PORTS, _MANY_TESTS_AN_HOUR = 1024, 1000
_ELSEWHERE = {4: "198.51.100.1", 6: "2001:db8::1"}
"""Addresses for documentation, which no host has (RFC 5737, RFC 3849): only asked about, never sent to."""
_NO_SETTINGS = ("PORTBOOK_PURE",)
"""What else the environment says to portbook."""


class Said(NamedTuple):
    """One sentence: a message id, what fills it, and whether it tells of something unsafe."""

    message: str
    values: Mapping[str, object]
    unsafe: bool


def checked(settings: Settings, path: str | None, environ: Mapping[str, str]) -> list[Said]:
    """Return what a server with these settings, read from a file or not, would do, and then what is unsafe."""
    does = [Said(message, values, False) for message, values in _does(settings)]
    parts = (
        _who_is_asking(settings),
        _what_is_tested(settings),
        _what_is_secret(settings, path),
        _what_is_shown(settings),
        _what_this_host_gives(settings),
        _what_is_not_read(environ),
    )
    return does + [Said(message, values, True) for part in parts for message, values in part]


def _does(settings: Settings) -> Sentences:
    mode = {
        "local": N_("it listens on {listen} and tests the ports of this host, for whoever sits at it"),
        "lan": N_("it listens on {listen} and tests its visitors from the private networks {networks}"),
        "public": N_("it listens on {listen} and tests its visitors from the whole internet"),
    }[settings.mode or "local"]
    yield mode, {"listen": settings.listen, "networks": _list(settings.lan)}
    if settings.hosts:
        yield N_("it answers under the names {names}, and under its addresses"), {"names": _list(settings.hosts)}
    else:
        yield N_("it answers under its addresses and under no name; hosts gives it names"), {}
    if settings.trusted_proxies:
        said = N_("it believes {header} from the proxies {networks}, and from nobody else")
        yield said, {"header": settings.forwarded_header, "networks": _list(settings.trusted_proxies)}
    else:
        yield N_("it believes no header about who a visitor is"), {}
    quotas = settings.quotas
    yield (
        N_("an address may have {address} tests of {ports} ports at most, its network {network}, all together {all}"),
        {"address": quotas.address, "ports": quotas.ports, "network": quotas.network, "all": quotas.all},
    )
    if settings.never_test or settings.never_networks:
        never = _list((*settings.never_test, *settings.never_networks))
        yield N_("it never tests {what}"), {"what": never}
    if settings.targets:
        yield N_("signed-in people may test {hosts}"), {"hosts": _list(settings.targets)}
    kept = make_url(settings.database_url).render_as_string(hide_password=True)
    yield N_("accounts, targets and history are kept in {database}"), {"database": kept}
    if settings.shared is not None:
        shared = urlsplit(settings.shared)
        where = shared._replace(netloc=shared.netloc.rpartition("@")[2]).geturl()
        yield (
            N_("{count} worker processes, and others, share what they count at {where}"),
            {"count": settings.workers, "where": where},
        )


def _who_is_asking(settings: Settings) -> Sentences:
    """Tell where a visitor can seem to be somebody else, or nobody."""
    for network in settings.trusted_proxies:
        if network.prefixlen < _WIDE[network.version]:
            said = N_("whoever is in {network} can claim any address: name the proxies alone in trusted_proxies")
            yield said, {"network": network}
    loopback = reach(pack_address(settings.listen.ip)) == "loopback"
    if settings.mode != "local" and loopback and not settings.trusted_proxies:
        yield N_("only this host reaches {listen}: name the proxy before it in trusted_proxies"), _listens(settings)
    if settings.mode == "local" and settings.trusted_proxies:
        yield N_("behind a proxy a local server shows this host to strangers: take the mode public or lan"), {}
    if settings.mode == "local" and not loopback:
        yield N_("others can reach {listen}, while the mode is local"), _listens(settings)
    for origin in settings.other_family:
        host = urlsplit(origin).hostname or ""
        if host not in (one.lower() for one in settings.hosts):
            yield (
                N_("other_family names {origin}, under which this server does not answer: add it to hosts"),
                {"origin": origin},
            )
    if any("*" in name or "/" in name or ":" in name for name in settings.hosts):
        yield N_("hosts takes names as they are, without *, scheme or port"), {}


def _what_is_tested(settings: Settings) -> Sentences:
    """Tell where more is tested than a visitor's own address, or too much of it."""
    quotas = settings.quotas
    if settings.mode != "local":
        if quotas.ports > _MANY_PORTS:
            yield N_("{ports} ports for one test make this server a port scanner"), {"ports": quotas.ports}
        often = max(one.amount * 3600 / one.get_expiry() for one in parse_many(quotas.address))
        if often > _MANY_TESTS_AN_HOUR:
            yield N_("{rate} tests for one address are so many that they burden it"), {"rate": quotas.address}
    if settings.mode == "public":
        if settings.contact is None:
            yield N_("nobody can complain: set contact to a mail address or a page"), {}
        for version in _unknown_families(settings):
            yield (
                N_("behind a gateway this server cannot know its own address (IPv{version}): set addresses"),
                {"version": version},
            )
    for item in (*settings.targets, *settings.webhooks):
        try:
            network = ip_network(item, strict=False)
        except ValueError:
            continue
        inside = network.is_loopback or network.is_link_local or any(one in network for one in METADATA)
        if network.prefixlen == 0 or inside:
            yield N_("{network} lets signed-in people reach services meant for this host alone"), {"network": network}


def _unknown_families(settings: Settings) -> Iterator[int]:
    """Yield the IP versions in which this host goes to the internet from an address that is none of it."""
    known = {ip_address(text).version for text in settings.addresses}
    for version in (4, 6):
        ip = _goes_from(version)
        if version not in known and ip is not None and not is_global(ip_address(ip)):
            yield version


def _goes_from(version: int) -> str | None:
    """Return the address from which this host goes to the internet, None where no route leads there."""
    try:
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.connect((_ELSEWHERE[version], 9))  # of a datagram socket: only the route is looked up
            return str(made.getsockname()[0])
    except OSError:
        return None


def _what_is_secret(settings: Settings, path: str | None) -> Sentences:
    """Tell where others can read or guess what must stay secret."""
    if settings.secret is not None and len(settings.secret) < _SECRET:
        yield N_("secret can be guessed: take {count} random characters, or none to have it made"), {"count": _SECRET}
    password = make_url(settings.database_url).password is not None
    if path is not None and (settings.secret or settings.openid or password) and _others_may(path):
        yield N_("others on this host may read {file}, which holds secrets"), {"file": path}
    if os.path.isdir(settings.data) and _others_may(settings.data):
        yield N_("others on this host may look into {folder}, which holds accounts"), {"folder": settings.data}
    holder = settings.data
    while not os.path.exists(holder):
        holder = os.path.dirname(holder) or "."
    if not (os.path.isdir(holder) and os.access(holder, os.W_OK | os.X_OK)):
        yield N_("{folder} cannot be written, so nothing can be kept"), {"folder": settings.data}
    if settings.mode != "local" and not settings.trusted_proxies:
        yield N_("passwords and sessions cross the network unencrypted: put a proxy that speaks HTTPS before it"), {}
    if settings.shared is not None:
        shared = urlsplit(settings.shared)
        near = shared.scheme in ("unix", "redis+unix") or shared.hostname in ("localhost", "127.0.0.1", "::1")
        if not near and shared.password is None:
            yield (
                N_("the store at {host} asks for no password, so others can change what is counted"),
                {"host": shared.hostname},
            )
    openid = settings.openid
    if openid is not None and not openid.allowed:
        yield N_("openid.allowed is empty, so nobody can sign in with {name}"), {"name": openid.name}


def _others_may(path: str) -> bool:
    try:
        return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077)
    except OSError:
        return False


def _what_is_shown(settings: Settings) -> Sentences:
    if settings.metrics == "all" and settings.mode == "public":
        yield N_("anybody can read /metrics: set metrics to local"), {}
    if settings.logs.addresses == "full" and settings.mode == "public":
        yield N_("whole addresses of visitors stand in the log, which are personal data"), {}


def _what_this_host_gives(settings: Settings) -> Sentences:
    """Tell what of this host, or of how the server is started, makes it unsafe or wrong."""
    if os.geteuid() == 0 and settings.mode != "local":
        yield N_("it runs as root, which it never needs"), {}
    needed = settings.connections.all + settings.quotas.at_once
    room = room_for_files()
    if room < needed:
        yield (
            N_("{needed} connections are allowed and {room} files can be open: raise the limit, or lower the quotas"),
            {"needed": needed, "room": room},
        )
    if any(is_own(address) for address in _ELSEWHERE.values()):
        yield N_("this host lets programs take any address (ip_nonlocal_bind), so it cannot tell its own"), {}


def _what_is_not_read(environ: Mapping[str, str]) -> Sentences:
    for name in sorted(environ):
        if name.upper().startswith("PORTBOOK_") and name not in _NO_SETTINGS:
            field = name.upper().removeprefix("PORTBOOK_").partition("__")[0].lower()
            if field not in Settings.model_fields:
                yield N_("{name} of the environment is no setting"), {"name": name}


def _list(items: object) -> str:
    assert isinstance(items, tuple)
    return ", ".join(map(str, items))


def _listens(settings: Settings) -> dict[str, object]:
    return {"listen": settings.listen}
