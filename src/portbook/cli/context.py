"""What a verb is given of the process that it runs in: its streams, its environment, the reader's language.

Everything that is printed goes through here, so that a test can stand in for the process.
"""

from __future__ import annotations

import sys
from enum import IntEnum

from portbook.errors import PortbookError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import gettext
    from collections.abc import Mapping
    from typing import TextIO

    from portbook.output.terminal import Color


class ExitCode(IntEnum):
    """What the process says of its answer when it ends."""

    YES = 0
    NO = 1
    NO_QUESTION = 2
    IN_PART = 3


class Context:
    """The process as a verb sees it."""

    def __init__(self, translations: gettext.NullTranslations, language: str, environ: Mapping[str, str]) -> None:
        self.translations = translations
        self.language = language
        self.environ = environ
        self.stdout: TextIO = sys.stdout
        self.stderr: TextIO = sys.stderr
        self.color: Color = "auto"

    def gettext(self, message: str) -> str:
        """Return the message in the reader's language."""
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return the message in the reader's language, in the form that a number takes there."""
        return self.translations.ngettext(one, many, count)

    def say(self, message: str, /, **values: object) -> None:
        """Write a note to standard error: a message id, and what fills it."""
        self.stderr.write(f"portbook: {self.words(message, values)}\n")

    def words(self, message: str, values: Mapping[str, object]) -> str:
        """Return a message id in the reader's language, filled; what fills it may be foreign text."""
        from portbook.output.clean import clean

        shown = {
            name: self.words(value.message, value.values) if isinstance(value, PortbookError) else clean(str(value))
            for name, value in values.items()
        }
        return self.gettext(message).format(**shown)

    @property
    def on_terminal(self) -> bool:
        """Whether standard output is a terminal."""
        return self.stdout.isatty()
