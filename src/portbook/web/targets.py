"""The hosts that a signed-in person has tested: which they may name, what they named, and a test of one of them.

What a test came to is checks.py's, when it is repeated schedule.py's, whom to tell of a change webhooks.py's.
"""

from __future__ import annotations

import secrets
from random import random
from time import time
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from portbook.errors import N_, BadQuestion
from portbook.web.allowed import Allowed, allowed_addresses, host_name
from portbook.web.database import targets
from portbook.web.mine import Wish, wished_ports
from portbook.web.refused import Refused
from portbook.web.runs import Asked
from portbook.web.webhooks import check_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Row

    from portbook.web.accounts import User
    from portbook.web.runs import Begun
    from portbook.web.site import Site

SHORTEST, LONGEST = 5 * 60, 30 * 24 * 3600
"""Seconds between two tests of a target."""
MOST_TARGETS = 100
"""Of one person."""
_SOON = 10.0
"""Seconds within which a target that is to be repeated is tested first."""
_LONGEST_PORTS = 400

NOBODY = N_("the operator of this server allows no targets")
_UNKNOWN = N_("you have no such target")
_TOO_MANY = N_("you have {most} targets; remove one before you add another")
_TWICE = N_("you have this target already")
_EVERY = N_("a test can be repeated every 5 minutes to every 30 days, not every {seconds} seconds")


class WatchedTarget(NamedTuple):
    """A host that a person named, the ports in words, and whom to tell (a URL) of a change; times in seconds.

    `every` is None for a target that is tested by hand only. `secret` signs what the webhook is told.
    """

    id: int
    user_id: int
    host: str
    ports: str
    transports: tuple[str, ...]
    every: float | None
    webhook: str | None
    secret: str
    due: float | None
    made: float


class WishedTarget(NamedTuple):
    """What a person asks for; no transports are each port's own."""

    host: str
    ports: str = "main"
    transports: Sequence[str] = ()
    every: float | None = None
    webhook: str | None = None


_COLUMNS = [targets.c[name] for name in WatchedTarget._fields]


def watched(row: Row[Any]) -> WatchedTarget:
    """Return a row of the table as what it means."""
    values = row._asdict()
    values["transports"] = tuple(filter(None, values["transports"].split(",")))
    return WatchedTarget(**values)


async def targets_of(site: Site, user: User) -> list[WatchedTarget]:
    """Return the targets of a person, by host."""
    wanted = select(*_COLUMNS).where(targets.c.user_id == user.id).order_by(targets.c.host, targets.c.id)
    async with site.database.reading() as connection:
        return [watched(row) for row in await connection.execute(wanted)]


async def target_of(site: Site, user: User, number: int) -> WatchedTarget:
    """Return one target of a person. Raises Refused (404) for a number that is none of theirs."""
    found = await target_numbered(site, number)
    if found is None or found.user_id != user.id:
        raise Refused(404, _UNKNOWN)
    return found


async def target_numbered(site: Site, number: int) -> WatchedTarget | None:
    """Return a target, whosever it is, None where there is none any more."""
    if not 0 < number < 2**63:
        return None
    async with site.database.reading() as connection:
        row = (await connection.execute(select(*_COLUMNS).where(targets.c.id == number))).first()
    return None if row is None else watched(row)


async def add(site: Site, user: User, wish: WishedTarget) -> WatchedTarget:
    """Keep a target, and have it tested soon where it is to be repeated.

    Raises BadQuestion for what makes no target, Refused for what is not allowed.
    """
    if not site.settings.targets:
        raise Refused(403, NOBODY)
    host = host_name(wish.host)
    ports = ",".join(part.strip() for part in wish.ports.split(","))
    if len(ports) > _LONGEST_PORTS:
        raise BadQuestion(N_("this list of ports is too long to be kept"))
    transports = tuple(dict.fromkeys(wish.transports))
    wished_ports(Wish(ports, transports), site)
    values = _repeated(site, wish.every, wish.webhook)
    await allowed_addresses(host, Allowed.of(site.settings.targets), site.is_own)
    made = insert(targets).values(
        user_id=user.id,
        host=host,
        ports=ports,
        transports=",".join(transports),
        secret=secrets.token_hex(32),
        made=time(),
        **values,
    )
    async with site.database.reading() as connection:
        count = await connection.scalar(select(func.count()).where(targets.c.user_id == user.id))
    if count is not None and count >= MOST_TARGETS:
        raise Refused(409, _TOO_MANY, most=MOST_TARGETS)
    try:
        async with site.database.writing() as connection:
            row = (await connection.execute(made.returning(*_COLUMNS))).one()
    except IntegrityError as error:
        raise Refused(409, _TWICE) from error
    return watched(row)


async def change(site: Site, target: WatchedTarget, every: float | None, webhook: str | None) -> None:
    """Have a target tested so often, and tell this webhook of what changes. Raises as `add`."""
    values = _repeated(site, every, webhook)
    async with site.database.writing() as connection:
        await connection.execute(update(targets).where(targets.c.id == target.id).values(**values))


def _repeated(site: Site, every: float | None, webhook: str | None) -> dict[str, object]:
    if every is not None and not SHORTEST <= every <= LONGEST:
        raise BadQuestion(_EVERY, seconds=every)
    return {
        "every": every,
        "due": None if every is None else time() + random() * _SOON,  # noqa: S311 - nobody's secret
        "webhook": check_url(webhook, Allowed.of(site.settings.webhooks)) if webhook else None,
    }


async def remove(site: Site, target: WatchedTarget) -> None:
    """Forget a target and its history."""
    async with site.database.writing() as connection:
        await connection.execute(delete(targets).where(targets.c.id == target.id))


async def begin_test(site: Site, target: WatchedTarget, by_hand: bool = True) -> Begun:
    """Begin a test of every address that the target has now, or return the one that is under way.

    Raises NoAddress for a name without addresses, BadQuestion where it cannot be looked up, Refused where the
    operator does not allow it (any more), or where it was tested too often by hand.
    """
    ports = wished_ports(Wish(target.ports, target.transports), site)
    addresses = await allowed_addresses(target.host, Allowed.of(site.settings.targets), site.is_own)
    if by_hand:
        for ip in addresses:
            await site.quotas.test(ip)
    asked = Asked(addresses[0], ports, target=target.host, other=addresses[1:])
    return await site.runs.begin(asked, flight=f"target {target.id}")
