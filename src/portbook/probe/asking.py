"""What a person asks to be tested, made into a question: names are looked up, and size and permission seen to.

The texts are taken apart by targets.py; the testing is testing.py's.
"""

from __future__ import annotations

from typing import NamedTuple

from portbook.errors import N_, BadQuestion
from portbook.probe.port_sets import TOP
from portbook.probe.reach import Limits
from portbook.probe.targets import addresses, check_permission, is_near, named, ports_in, size
from portbook.probe.testing import Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.probe.targets import Named, Target
    from portbook.probe.testing import ServiceName
    from portbook.registry.lookup import Registry

TRANSPORTS = ("tcp", "udp")

NEAR, FAR = 10000.0, 500.0
"""New connections a second: within this host and private networks, and where any target is elsewhere."""

MOST_TESTS = 1 << 22
"""Of one run: they are held in memory, in an order of their own."""

_MANY_NAMES = 500
_LOOKUPS = 16
"""Names that are looked up at once."""


class Asking(NamedTuple):
    """What is asked for, in a person's words.

    `transports` empty is TCP, and for the ports `main` of a host each one's own. `permitted` is that somebody has
    said that all this may be tested.
    """

    targets: Sequence[str]
    ports: str = "main"
    transports: Sequence[str] = ()
    families: Sequence[int] = (4, 6)
    identify: bool = True
    rate: float | None = None
    permitted: bool = False
    numeric: bool = False


def question(asking: Asking, registry: Registry) -> tuple[Question, list[BadQuestion]]:
    """Return what is to be tested, and what cannot be: a host without an address, where there are others.

    Raises BadQuestion where nothing is left, or too much.
    """
    wanted = [named(text) for text in asking.targets]
    if not wanted:
        raise BadQuestion(N_("what is to be tested? portbook test takes a host, host:port, a URL, or a block"))
    if not asking.permitted:
        check_permission(wanted)
    ports = {transport: _ports(asking.ports, transport, registry) for transport in _transports(asking, wanted)}
    _check_size(wanted, ports)
    targets, without = _addresses(wanted, asking.families)
    if not targets:
        raise without[0]
    whole = {target.ip for target in targets if target.port is None}
    own_transport = () if asking.transports or len(ports) < 2 else targets
    return (
        Question(
            targets,
            ports,
            asking.identify,
            _limits(asking, targets),
            _service_name(asking, ports, registry),
            registry.main_ports("tcp"),
            # A port that stands with its host is TCP's, whatever `main` brings for others.
            frozenset(
                (one.ip, one.port, "udp") for one in own_transport if one.port is not None and one.ip not in whole
            ),
        ),
        without,
    )


def _limits(asking: Asking, targets: Sequence[Target]) -> Limits:
    if asking.rate is not None:
        return Limits(rate=asking.rate)
    near = all(is_near(target.ip) for target in targets)
    return Limits(rate=NEAR if near else FAR, self_clocked=near)


def _service_name(asking: Asking, ports: dict[str, Sequence[int]], registry: Registry) -> ServiceName:
    """Return what gives a port's name; for many ports all are read at once, which then is quicker."""
    if asking.numeric:
        return lambda _port, _transport: None
    if max(map(len, ports.values())) < _MANY_NAMES:
        return registry.name_of
    names = {transport: registry.names(transport) for transport in ports}
    return lambda port, transport: names[transport].get(port)


def _transports(asking: Asking, wanted: Sequence[Named]) -> tuple[str, ...]:
    if not set(asking.transports) <= set(TRANSPORTS):
        raise BadQuestion(
            N_("--transport takes tcp, udp or tcp,udp, not {text}"), text=",".join(asking.transports) or '""'
        )
    if asking.transports:
        return tuple(dict.fromkeys(asking.transports))
    return TRANSPORTS if asking.ports == "main" and any(one.port is None for one in wanted) else ("tcp",)


def _ports(text: str, transport: str, registry: Registry) -> Sequence[int]:
    sets = {"main": registry.main_ports(transport), "top100": TOP[transport], "all": range(1, 65536)}
    return ports_in(text, sets)


def _check_size(wanted: Sequence[Named], ports: dict[str, Sequence[int]]) -> None:
    each = sum(map(len, ports.values()))
    count = sum(size([one]) * (each if one.port is None else len(ports)) for one in wanted)
    if count > MOST_TESTS:
        raise BadQuestion(
            N_(
                "{count} tests are too many for one run, which takes {most} at most: ask for fewer ports or addresses"
            ),
            count=count,
            most=MOST_TESTS,
        )


def _addresses(wanted: Sequence[Named], families: Sequence[int]) -> tuple[list[Target], list[BadQuestion]]:
    """Return every address with every port of its own once, and the errors of those that have none."""
    if len(wanted) > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_LOOKUPS) as pool:
            answers = list(pool.map(lambda one: _addresses_of(one, families), wanted))
    else:
        answers = [_addresses_of(one, families) for one in wanted]
    found: dict[tuple[str, str, int | None], Target] = {}
    without = []
    for answer in answers:
        if isinstance(answer, BadQuestion):
            without.append(answer)
        else:
            for target in answer:
                found.setdefault((target.host, target.ip, target.port), target)
    return list(found.values()), without


def _addresses_of(one: Named, families: Sequence[int]) -> list[Target] | BadQuestion:
    try:
        return addresses(one, families)
    except BadQuestion as error:
        return error
