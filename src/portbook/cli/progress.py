"""How far many tests have come: a bar with the time left, on standard error where that is a terminal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portbook.cli.context import Context

FEW = 40
"""As many tests as end before a bar could be read."""


class Progress:
    """A bar for the time of a `with` block, which gives the function to call after each test."""

    def __init__(self, context: Context, total: int, drawn: bool = True) -> None:
        """`drawn` false draws nothing: something else is written to the terminal meanwhile."""
        self.context = context
        self.total = total
        self.drawn = drawn and total > FEW and context.stderr.isatty()

    def __enter__(self) -> Callable[[], None]:
        if not self.drawn:
            return lambda: None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=self.context.stderr),
            transient=True,
        )
        self.bar.start()
        task = self.bar.add_task("", total=self.total)
        return lambda: self.bar.advance(task)

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            self.bar.stop()
