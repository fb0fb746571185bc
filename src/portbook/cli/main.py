"""The command line as a whole: which verb is meant, in which language, and how the process ends.

Only the module of the verb that is asked for is imported.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from portbook import __version__, locale
from portbook.cli.context import Context, ExitCode
from portbook.cli.verbs import VERBS
from portbook.errors import N_, BadQuestion, PortbookError
from portbook.output.formats import deliver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WITH_VALUE = ("--lang", "--color", "--completion")


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    environ = os.environ if environ is None else environ
    context = Context(locale.translations("en"), "en", environ)
    try:
        language = locale.choose(environ, _option(arguments, "--lang"))
        context = Context(locale.translations(language), language, environ)
        return _run(arguments, context)
    except PortbookError as error:
        context.say(error.message, **error.values)
        return ExitCode.NO_QUESTION
    except BrokenPipeError:
        # Whoever read has enough; the interpreter must not find out again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.YES


def _run(arguments: list[str], context: Context) -> int:
    verb, rest = split_verb(arguments)
    # What stands behind -- is a command for another program.
    if "--version" in rest[: rest.index("--") if "--" in rest else None]:
        context.stdout.write(version() + "\n")
        deliver((), context.stdout)
        return ExitCode.YES
    if verb is None:
        module = import_module("portbook.cli.overview")
    elif verb in VERBS:
        module = import_module(f"portbook.cli.{verb}")
    else:
        raise BadQuestion(
            N_("there is no verb {verb}; there are: {verbs} (portbook what {verb} looks it up)"),
            verb=verb,
            verbs=", ".join(VERBS),
        )
    code: int = module.run(rest, context)
    deliver((), context.stdout)  # what is still in the buffer: a full disk or a closed pipe is told as such
    return code


def split_verb(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the verb, None for none, and the other arguments; options that stand before it are moved behind it."""
    before: list[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)
        before.append(option)
        if option in _WITH_VALUE and rest:
            before.append(rest.pop(0))
    if not rest:
        return None, before
    return rest[0], before + rest[1:]


def _option(arguments: Sequence[str], name: str) -> str | None:
    """Return the value of an option before the parser of any verb has seen it: its messages need the language."""
    for place, argument in enumerate(arguments):
        if argument == "--":
            return None
        if argument == name and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(name + "="):
            return argument.partition("=")[2]
    return None


def version() -> str:
    """Return the version, and which compiled parts run."""
    from portbook.compiled import running

    parts = running()
    compiled = sum(parts.values())
    state = "all" if compiled == len(parts) else "none" if not compiled else f"{compiled} of {len(parts)}"
    return f"portbook {__version__} (compiled parts: {state}; Python {sys.version.split()[0]})"
