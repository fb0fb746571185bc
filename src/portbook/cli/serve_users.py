"""`portbook serve user`: the accounts of the page, made and removed from the command line of the server.

It works on the server's own database, whether the server runs or not. A password is typed at the terminal without
being shown, or is the first line of standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys

from portbook.cli.arguments import Output, Parser, show
from portbook.cli.context import ExitCode
from portbook.cli.main import split_verb
from portbook.errors import N_, BadQuestion, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeVar

    from portbook.cli.context import Context
    from portbook.web.database import Database
    from portbook.web.settings import Settings

    _Answer = TypeVar("_Answer")

ACTIONS = {
    "add": N_("make an account; its password is asked for, or read from standard input"),
    "list": N_("the accounts there are"),
    "password": N_("change the password of an account, which signs it out everywhere"),
    "token": N_("print a new token for scripts"),
    "link": N_("print a one-time link by which somebody makes an account within the hour"),
    "remove": N_("remove an account with all that is its own"),
}
"""What can be done with accounts."""

_SUMMARY = N_("the accounts of those who may sign in")


def parser(context: Context) -> Parser:
    """Return the parser of this part, with one below it for each of ACTIONS."""
    made = Parser("serve user", _SUMMARY, context)
    made.add_actions(ACTIONS, action_parser)
    made.share(table=False)
    return made


def action_parser(action: str, context: Context) -> Parser:
    """Return the parser of one of ACTIONS."""
    _ = context.gettext
    made = Parser(f"serve user {action}", ACTIONS[action], context)
    if action not in ("list", "link"):
        made.add_argument("name", metavar=_("NAME"), help=_("the name of the account"))
    if action == "token":
        made.add_argument("label", nargs="?", metavar=_("LABEL"), help=_("what the token is for"))
    made.add_argument("--config", metavar=_("FILE"), help=_("settings from a TOML file"))
    made.share(table=action == "list")
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    action, rest = split_verb(arguments)
    if action not in ACTIONS:
        if "--help" in arguments or "-h" in arguments:
            context.stdout.write(parser(context).format_help())
            return ExitCode.YES
        raise BadQuestion(
            N_("what is to be done? portbook serve user takes one of: {actions}"), actions=", ".join(ACTIONS)
        )
    found = action_parser(action, context).read(rest)
    if found is None:
        return ExitCode.YES
    from portbook.web.settings import read_settings

    return _ACTIONS[action](found, read_settings(found.config), context)


def _add(found: argparse.Namespace, settings: Settings, context: Context) -> ExitCode:
    from portbook.web import accounts

    name, password = accounts.known_as(found.name), _password(context)
    _with(settings, lambda database: accounts.add(database, name, password))
    context.say(N_("the account {name} is made"), name=name)
    return ExitCode.YES


def _list(found: argparse.Namespace, settings: Settings, context: Context) -> ExitCode:
    from portbook.web import accounts

    output = Output.of(found, accounts.COLUMNS)
    names = [column.name for column in accounts.COLUMNS]
    return show(output.arrange(_with(settings, accounts.accounts), output.shown(names, names)), output, context)


def _change(found: argparse.Namespace, settings: Settings, context: Context) -> ExitCode:
    from portbook.web import accounts

    user = _with(settings, lambda database: accounts.named(database, found.name))
    password = _password(context)
    _with(settings, lambda database: accounts.set_password(database, user, password))
    context.say(N_("the password of {name} is changed, and its sessions are ended"), name=user.name)
    return ExitCode.YES


def _token(found: argparse.Namespace, settings: Settings, context: Context) -> ExitCode:
    from portbook.web import accounts

    async def made(database: Database) -> str:
        user = await accounts.named(database, found.name)
        return await accounts.make_token(database, user, found.label or "portbook serve user")

    context.stdout.write(_with(settings, made) + "\n")
    return ExitCode.YES


def _link(_: argparse.Namespace, settings: Settings, context: Context) -> ExitCode:
    from portbook.web import accounts

    context.stdout.write(_address(settings, _with(settings, accounts.make_link)) + "\n")
    return ExitCode.YES


def _remove(found: argparse.Namespace, settings: Settings, context: Context) -> ExitCode:
    from portbook.web import accounts

    _with(settings, lambda database: accounts.remove(database, found.name))
    context.say(N_("the account {name} is removed"), name=accounts.folded(found.name))
    return ExitCode.YES


_ACTIONS: dict[str, Callable[[argparse.Namespace, Settings, Context], ExitCode]] = {
    "add": _add,
    "list": _list,
    "password": _change,
    "token": _token,
    "link": _link,
    "remove": _remove,
}


def first_link(settings: Settings) -> str | None:
    """Return the address of a one-time link where there is no account yet, else None. Raises Unavailable."""
    from portbook.web import accounts

    secret = _with(settings, accounts.first_link)
    return None if secret is None else _address(settings, secret)


def _address(settings: Settings, secret: str) -> str:
    """Return the address under which a one-time link is opened, as far as the settings tell it.

    Before a server that trusts a proxy stands one which takes HTTPS, under the first of its names.
    """
    if settings.hosts and settings.trusted_proxies:
        return f"https://{settings.hosts[0]}/setup/{secret}"
    ip, port = settings.listen
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared with, not listened on
    host = settings.hosts[0] if settings.hosts else everywhere.get(ip, f"[{ip}]" if ":" in ip else ip)
    return f"http://{host}:{port}/setup/{secret}"


def _with(settings: Settings, work: Callable[[Database], Awaitable[_Answer]]) -> _Answer:
    """Return what work on the server's database comes to. Raises Unavailable where it cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError

    from portbook.web.database import Database

    async def worked() -> _Answer:
        database = Database(settings)
        try:
            await database.prepare()
            return await work(database)
        finally:
            await database.close()

    _check_owner(settings)
    try:
        return asyncio.run(worked())
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise Unavailable(N_("the database cannot be used: {reason}"), reason=reason) from error


def _check_owner(settings: Settings) -> None:
    """Raise Unavailable where root would make a database that the server, as another user, could not write."""
    if settings.database is not None or os.geteuid() != 0 or not os.path.isdir(settings.data):
        return
    owner = os.stat(settings.data).st_uid
    if owner != 0 and not os.path.exists(os.path.join(settings.data, "portbook.sqlite")):
        raise Unavailable(N_("{folder} is another user's; run this as user {uid}"), folder=settings.data, uid=owner)


def _password(context: Context) -> str:
    """Return the password that is typed, or piped in. Raises BadQuestion for none, and for two that differ."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise BadQuestion(N_("the password is the first line of standard input; there is none"))
        return line
    from getpass import getpass

    try:
        password = getpass(f"{context.gettext('Password')}: ")
        again = getpass(f"{context.gettext('Password again')}: ")
    except EOFError as error:
        raise BadQuestion(N_("no password was typed")) from error
    if password != again:
        raise BadQuestion(N_("the two passwords differ"))
    return password
