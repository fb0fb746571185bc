"""`portbook serve`: the page and the API, until Ctrl-C."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from portbook.cli.arguments import Parser
from portbook.cli.context import ExitCode
from portbook.cli.main import split_verb
from portbook.cli.verbs import VERBS
from portbook.errors import N_, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portbook.cli.context import Context

_PARTS = {"user": "portbook.cli.serve_users", "check": "portbook.cli.serve_check"}
_NEEDED = ("fastapi", "uvicorn", "sqlalchemy", "limits", "redis", "pydantic_settings")


def parser(context: Context) -> Parser:
    """Return the parser of this verb."""
    _ = context.gettext
    made = Parser("serve", VERBS["serve"], context)
    made.epilog = _("portbook serve user makes and removes accounts (--help tells more)")
    made.add_argument("--listen", metavar=_("ADDRESS:PORT"), help=_("where to listen (127.0.0.1:8080)"))
    made.add_argument(
        "--mode",
        choices=("local", "lan", "public"),
        help=_("whose ports are tested: this host's own, private networks', or the internet's"),
    )
    made.add_argument(
        "--workers", type=int, metavar=_("N"), help=_("so many processes, which share a Valkey or Redis (1)")
    )
    made.add_argument("--config", metavar=_("FILE"), help=_("settings from a TOML file"))
    made.share(table=False)
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    part, rest = split_verb(arguments)
    if part in _PARTS:
        _check_packages()
        code: ExitCode = import_module(_PARTS[part]).run(rest, context)
        return code
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    _check_packages()
    from portbook.cli.serve_users import first_link
    from portbook.web.running import serve
    from portbook.web.settings import read_settings

    given: dict[str, Any] = {
        name: getattr(found, name) for name in ("listen", "mode", "workers") if getattr(found, name) is not None
    }
    settings = read_settings(found.config, given)
    context.say(N_("serving http://{listen}/ (Ctrl-C ends it)"), listen=settings.listen)
    link = first_link(settings)
    if link is not None:
        context.say(N_("there is no account yet; who opens this within an hour makes the first: {link}"), link=link)
    serve(settings, found.config, given)
    return ExitCode.YES


def _check_packages() -> None:
    if any(find_spec(name) is None for name in _NEEDED):
        raise Unavailable(N_("serve takes more packages: pip install 'portbook[serve]'"))
