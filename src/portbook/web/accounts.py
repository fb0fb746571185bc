"""The accounts of those who may sign in: their names, passwords, tokens for scripts and one-time links.

Nothing that is kept lets anybody in: passwords stand as passwords.py has them, and tokens and links, which are long
and random, as SHA-256. What a browser carries is sessions.py's; what an OpenID provider says, openid.py's.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from time import time
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request  # noqa: TC002 - read by the router, of what needs_sign_in is a dependency

from portbook.columns import Column, Table
from portbook.errors import N_, BadQuestion
from portbook.web.database import links, tokens, users
from portbook.web.passwords import fits, hashed, is_outdated
from portbook.web.refused import Refused
from portbook.web.sessions import session_of
from portbook.web.site import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from portbook.web.database import Database

COLUMNS = (
    Column("name", "text", N_("Name"), foreign=True),
    Column("by_password", "boolean", N_("Password")),
    Column("by_openid", "boolean", N_("OpenID Connect")),
    Column("tokens", "integer", N_("Tokens")),
    Column("made", "number", N_("Made"), unit="epoch"),
)
"""Of an account: whether it signs in by a password or by OpenID Connect, and how many tokens it has."""

LINK_SECONDS = 3600
MOST_CHARACTERS = 64
"""Of the name of an account or a token."""

_USED_SECONDS = 60
"""The time of a token's last use is kept this exactly, so that not every request writes."""

_KNOWN = "portbook.user"
_NO_ACCOUNT = N_("there is no account {name}; portbook serve user list shows those there are")
_TAKEN = N_("there is already an account {name}")
_LINK_GONE = N_("this link was used already, or is older than an hour; portbook serve user link prints a new one")


class User(NamedTuple):
    """An account that has signed in."""

    id: int
    name: str


class Session(NamedTuple):
    """What a browser is given at sign-in: the account, and the generation of sessions that are good for it."""

    user: User
    generation: int


class Token(NamedTuple):
    """A token for scripts, without its secret; times are seconds since the epoch."""

    id: int
    name: str
    made: float
    used: float | None


async def signed_in(request: Request) -> User | None:
    """Return the account of a request's bearer token (RFC 6750), else of its session; None for none that is good."""
    if _KNOWN not in request.scope:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            request.scope[_KNOWN] = await _by_token(request, token.strip())
        else:
            request.scope[_KNOWN] = await by_session(request)
    found: User | None = request.scope[_KNOWN]
    return found


async def needs_sign_in(request: Request) -> User:
    """Return the account of a request. Raises Refused (401) where there is none."""
    user = await signed_in(request)
    if user is None:
        raise _not_signed_in()
    return user


async def needs_session(request: Request) -> User:
    """Return the account that a person is signed in to: what a token must not do. Raises Refused (401)."""
    user = await by_session(request)
    if user is None:
        raise _not_signed_in()
    return user


async def by_session(request: Request) -> User | None:
    """Return the account of a request's session, None where there is none that is still good."""
    carried = session_of(request)
    if carried is None:
        return None
    asked = select(users).where(users.c.id == carried.user_id, users.c.generation == carried.generation)
    row = await _good(request, asked)
    return None if row is None else User(row.id, row.name)


async def _by_token(request: Request, token: str) -> User | None:
    asked = select(users, tokens.c.id.label("token"), tokens.c.used).join_from(users, tokens)
    row = await _good(request, asked.where(tokens.c.digest == _digest(token)))
    if row is None:
        return None
    now = time()
    if row.used is None or row.used < now - _USED_SECONDS:
        async with site_of(request).database.writing() as connection:
            await connection.execute(update(tokens).where(tokens.c.id == row.token).values(used=now))
    return User(row.id, row.name)


async def _good(request: Request, asked: Select[Any]) -> Row[Any] | None:
    """Return the row of an account that may still come in: a provider's accounts only while that provider is set."""
    site = site_of(request)
    async with site.database.reading() as connection:
        row: Row[Any] | None = (await connection.execute(asked)).one_or_none()
    if row is None or row.password is not None:
        return row
    openid = site.settings.openid
    return row if openid is not None and row.subject.startswith(f"{openid.issuer} ") else None


def _not_signed_in() -> Refused:
    return Refused(401, N_("sign in first"))


async def add(database: Database, name: str, password: str) -> User:
    """Make an account. Raises BadQuestion for a name that is none or taken, and for a password that is too short."""
    name, kept = known_as(name), await hashed(password)
    try:
        async with database.writing() as connection:
            return User(await _insert(connection, name, kept), name)
    except IntegrityError as error:
        raise BadQuestion(_TAKEN, name=name) from error


async def remove(database: Database, name: str) -> None:
    """Remove an account with all that is its own. Raises BadQuestion where there is none of that name."""
    name = folded(name)
    async with database.writing() as connection:
        if not (await connection.execute(delete(users).where(users.c.name == name))).rowcount:
            raise BadQuestion(_NO_ACCOUNT, name=name)


async def accounts(database: Database) -> Table:
    """Return all accounts as COLUMNS, by name."""
    held = select(func.count()).select_from(tokens).where(tokens.c.user_id == users.c.id).scalar_subquery()
    asked = select(
        users.c.name, users.c.password.is_not(None), users.c.subject.is_not(None), held, users.c.made
    ).order_by(users.c.name)
    async with database.reading() as connection:
        rows = (await connection.execute(asked)).all()
    return Table.from_rows(COLUMNS, ((name, bool(by), bool(openid), *rest) for name, by, openid, *rest in rows))


async def named(database: Database, name: str) -> User:
    """Return the account of a name. Raises BadQuestion where there is none."""
    name = folded(name)
    async with database.reading() as connection:
        found = await connection.scalar(select(users.c.id).where(users.c.name == name))
    if found is None:
        raise BadQuestion(_NO_ACCOUNT, name=name)
    return User(found, name)


async def sign_in(database: Database, name: str, password: str) -> Session | None:
    """Return a session for a name and its password, None where they do not fit.

    A name that nobody has costs the same work as one that somebody has, so that time tells neither from the other.
    """
    async with database.reading() as connection:
        row = (await connection.execute(select(users).where(users.c.name == folded(name)))).one_or_none()
    if not await fits(None if row is None else row.password, password) or row is None:
        return None
    if is_outdated(row.password):
        kept = await hashed(password)
        async with database.writing() as connection:
            same = (users.c.id == row.id) & (users.c.password == row.password)
            await connection.execute(update(users).where(same).values(password=kept))
    return Session(User(row.id, row.name), row.generation)


async def has_password(database: Database, user: User) -> bool:
    """Whether an account signs in by a password, and not by OpenID Connect alone."""
    async with database.reading() as connection:
        return await connection.scalar(select(users.c.password).where(users.c.id == user.id)) is not None


async def set_password(database: Database, user: User, password: str) -> Session:
    """Change the password of an account, which ends its sessions; return the one to go on with.

    Raises BadQuestion for a password that is too short.
    """
    kept = await hashed(password)
    async with database.writing() as connection:
        await connection.execute(update(users).where(users.c.id == user.id).values(password=kept))
        return await _next_generation(connection, user)


async def end_sessions(database: Database, user: User) -> None:
    """Make void every session of an account, in whatever browser."""
    async with database.writing() as connection:
        await _next_generation(connection, user)


async def _next_generation(connection: AsyncConnection, user: User) -> Session:
    raised = update(users).where(users.c.id == user.id).values(generation=users.c.generation + 1)
    row = (await connection.execute(raised.returning(users.c.generation))).one_or_none()
    if row is None:  # removed while its password was being hashed
        raise BadQuestion(_NO_ACCOUNT, name=user.name)
    return Session(user, row.generation)


async def vouched_for(database: Database, subject: str, name: str) -> Session:
    """Return a session for the account of an OpenID subject (issuer, space, subject), made at its first coming."""
    if len(name) > MOST_CHARACTERS:
        name = f"{name[:MOST_CHARACTERS]}..."
    apart = f"{name} {_digest(subject)[:8]}"  # a local name has no space, and a digest is this subject's
    for wanted in (folded(name), folded(apart), folded(apart)):  # at last, who came at once with this one has made it
        async with database.reading() as connection:
            row = (await connection.execute(select(users).where(users.c.subject == subject))).one_or_none()
        if row is not None:
            return Session(User(row.id, row.name), row.generation)
        try:
            async with database.writing() as connection:
                made = await _insert(connection, wanted, None, subject)
        except IntegrityError:
            continue  # the name is another's, or the subject came twice at once
        return Session(User(made, wanted), 0)
    raise Refused(503, N_("the account could not be made; try again"))


async def make_token(database: Database, user: User, name: str) -> str:
    """Return a new token for scripts, which is shown this once. Raises BadQuestion for a name that is none."""
    label = _label(name)
    token = f"portbook_{secrets.token_urlsafe(32)}"
    async with database.writing() as connection:
        await connection.execute(
            insert(tokens).values(user_id=user.id, name=label, digest=_digest(token), made=time())
        )
    return token


async def tokens_of(database: Database, user: User) -> list[Token]:
    """Return the tokens of an account, the newest first."""
    asked = select(tokens).where(tokens.c.user_id == user.id).order_by(tokens.c.made.desc(), tokens.c.id.desc())
    async with database.reading() as connection:
        rows = (await connection.execute(asked)).all()
    return [Token(row.id, row.name, row.made, row.used) for row in rows]


async def remove_token(database: Database, user: User, token: int) -> None:
    """Remove a token of an account. Raises Refused (404) for what is no token of its own."""
    async with database.writing() as connection:
        removed = delete(tokens).where(tokens.c.id == token, tokens.c.user_id == user.id)
        if not (await connection.execute(removed)).rowcount:
            raise Refused(404, N_("there is no such token"))


async def make_link(database: Database) -> str:
    """Return the secret of a new one-time link, by which an account can be made within the hour."""
    secret, now = secrets.token_urlsafe(32), time()
    async with database.writing() as connection:
        await connection.execute(delete(links).where(links.c.until <= now))
        await connection.execute(insert(links).values(digest=_digest(secret), until=now + LINK_SECONDS))
    return secret


async def first_link(database: Database) -> str | None:
    """Return the secret of a one-time link where there is no account yet, else None."""
    async with database.reading() as connection:
        if await connection.scalar(select(users.c.id).limit(1)) is not None:
            return None
    return await make_link(database)


async def check_link(database: Database, secret: str) -> None:
    """Raise Refused (404) where a one-time link is not good, or not any more."""
    async with database.reading() as connection:
        good = select(links.c.until).where(links.c.digest == _digest(secret), links.c.until > time())
        if await connection.scalar(good) is None:
            raise Refused(404, _LINK_GONE)


async def use_link(database: Database, secret: str, name: str, password: str) -> Session:
    """Make an account by a one-time link, which is void then; with the first account, all other links are.

    Raises Refused (404) for a link that is not good, and BadQuestion as `add` does: then the link is good still.
    """
    await check_link(database, secret)
    name, kept = known_as(name), await hashed(password)
    try:
        async with database.writing() as connection:
            good = delete(links).where(links.c.digest == _digest(secret), links.c.until > time())
            if not (await connection.execute(good)).rowcount:
                raise Refused(404, _LINK_GONE)
            if await connection.scalar(select(users.c.id).limit(1)) is None:
                await connection.execute(delete(links))
            return Session(User(await _insert(connection, name, kept), name), 0)
    except IntegrityError as error:
        raise BadQuestion(_TAKEN, name=name) from error


async def _insert(connection: AsyncConnection, name: str, kept: str | None, subject: str | None = None) -> int:
    row = insert(users).values(name=name, password=kept, subject=subject, generation=0, made=time())
    made: int = (await connection.execute(row.returning(users.c.id))).scalar_one()
    return made


def folded(name: str) -> str:
    """Return a name as accounts are known by it, whatever case and width it is typed in (Unicode TR 15, NFKC)."""
    made = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
    return made.replace("\0", "\N{REPLACEMENT CHARACTER}")  # which no database takes


def known_as(name: str) -> str:
    """Return the folded name of a new account. Raises BadQuestion for what is none."""
    made = folded(name)
    if not 0 < len(made) <= MOST_CHARACTERS or not name.strip().isprintable() or any(map(str.isspace, made)):
        raise BadQuestion(N_("a name has 1 to {most} characters without spaces"), most=MOST_CHARACTERS)
    return made


def _label(name: str) -> str:
    label = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(label) <= MOST_CHARACTERS or not label.isprintable():
        raise BadQuestion(N_("the name of a token has 1 to {most} characters"), most=MOST_CHARACTERS)
    return label


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
