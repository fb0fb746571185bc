"""`portbook serve check`: what a server with these settings would do, and what of it is unsafe."""

from __future__ import annotations

from portbook.cli.arguments import Parser
from portbook.cli.context import ExitCode
from portbook.errors import N_, PortbookError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portbook.cli.context import Context


def parser(context: Context) -> Parser:
    """Return the parser of this part of the verb."""
    _ = context.gettext
    description = N_("what a server with these settings would do, and what is unsafe (exit code 1)")
    made = Parser("serve check", description, context)
    made.add_argument("--listen", metavar=_("ADDRESS:PORT"), help=_("where to listen (127.0.0.1:8080)"))
    made.add_argument(
        "--mode",
        choices=("local", "lan", "public"),
        help=_("whose ports are tested: this host's own, private networks', or the internet's"),
    )
    made.add_argument("--config", metavar=_("FILE"), help=_("settings from a TOML file"))
    made.share(table=False)
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    from portbook.web.checking import checked
    from portbook.web.settings import read_settings

    given: dict[str, Any] = {
        name: getattr(found, name) for name in ("listen", "mode") if getattr(found, name) is not None
    }
    told = checked(read_settings(found.config, given), found.config, context.environ)
    for one in told:
        said = PortbookError(one.message, **one.values)
        line = context.words(N_("unsafe: {what}") if one.unsafe else "{what}", {"what": said})
        context.stdout.write(f"{line}\n")
    if any(one.unsafe for one in told):
        return ExitCode.NO
    context.stdout.write(context.words(N_("nothing unsafe was found"), {}) + "\n")
    return ExitCode.YES
