"""An answer that is asked for again and again: on a terminal in one place, in a pipe one after the other."""

from __future__ import annotations

import time

from portbook.cli.arguments import show
from portbook.cli.context import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.cli.arguments import Output
    from portbook.cli.context import Context
    from portbook.columns import Table
    from portbook.output.terminal import Color


def watch(answer: Callable[[], Table], output: Output, context: Context, seconds: float) -> ExitCode:
    """Show the answer every so many seconds until Ctrl-C ends it; on a terminal each takes the place of the last."""
    if not (context.on_terminal and output.format == "table" and output.path is None):
        try:
            while True:
                show(answer(), output, context)
                time.sleep(seconds)
        except KeyboardInterrupt:
            return ExitCode.YES
    from io import StringIO

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from portbook.output import terminal

    console = Console(file=context.stdout)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                text = StringIO()
                color: Color = "always" if terminal.coloured(context.color, context.stdout) else "never"
                terminal.show(answer(), text, color=color, width=console.width, gettext=context.gettext)
                live.update(Text.from_ansi(text.getvalue()), refresh=True)
                time.sleep(seconds)
        except KeyboardInterrupt:
            return ExitCode.YES
