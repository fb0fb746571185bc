"""An answer that is asked for again and again: on a terminal in one place, in a pipe one after the other."""

from __future__ import annotations

import time

from portbook.cli.arguments import show
from portbook.cli.context import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from portbook.cli.arguments import Output
    from portbook.cli.context import Context
    from portbook.columns import Table
    from portbook.output.terminal import Color


def watch(answer: Callable[[], Table], output: Output, context: Context, seconds: float) -> ExitCode:
    """Show the answer every so many seconds until Ctrl-C ends it; on a terminal each takes the place of the last."""
    try:
        if context.on_terminal and output.format == "table" and output.path is None:
            _watch_in_place(answer, context, seconds)
        while True:
            show(answer(), output, context)
            time.sleep(seconds)
    except KeyboardInterrupt:
        return ExitCode.YES


def _watch_in_place(answer: Callable[[], Table], context: Context, seconds: float) -> NoReturn:
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    from portbook.output import terminal

    console = Console(file=context.stdout)
    color: Color = "always" if terminal.coloured(context.color, context.stdout) else "never"
    try:
        console.set_alt_screen(True)
        console.show_cursor(False)
        while True:
            text = StringIO()
            terminal.show(answer(), text, color=color, width=console.width, gettext=context.gettext)
            console.update_screen(Text.from_ansi(text.getvalue()))
            time.sleep(seconds)
    finally:
        # Whatever Ctrl-C came in the middle of: the reader gets the screen back.
        console.show_cursor(True)
        console.set_alt_screen(False)
