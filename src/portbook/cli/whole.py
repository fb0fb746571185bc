"""The whole command line as one parser, for those who describe it: the manual page and the shells' completions."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module

from portbook.cli import overview
from portbook.cli.verbs import VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.cli.arguments import Parser
    from portbook.cli.context import Context


def whole_parser(context: Context) -> Parser:
    """Return the parser of `portbook` with every verb below it, in the reader's language."""
    whole = overview.parser(context)
    whole.usage = whole.epilog = None
    verbs = whole.add_subparsers(
        title=context.gettext("verbs"), metavar=context.gettext("VERB"), parser_class=ArgumentParser
    )
    for verb, summary in VERBS.items():
        parser = import_module(f"portbook.cli.{verb}").parser(context)
        verbs.add_parser(
            verb,
            parents=[parser],
            help=context.gettext(summary),
            description=context.gettext(summary),
            add_help=False,
        )
    return whole
