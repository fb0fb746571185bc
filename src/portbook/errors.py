"""The errors that a question can end in.

Each says in one sentence what happened and what the reader can do. The sentence is a message id with named
values, so that a view can translate it before filling it in; nothing here knows a language.
"""

from __future__ import annotations


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "translate this later"
    """Mark a message for the translators and return it as it is."""
    return message


class PortbookError(Exception):
    """A question that could not be asked or answered (exit code 2).

    `message` is a message id with `{name}` fields, `values` what fills them.
    """

    def __init__(self, message: str, /, **values: object) -> None:
        self.message = message
        self.values = values
        super().__init__(message.format(**values))


class BadQuestion(PortbookError):
    """The arguments make no question: an unknown column, a port beyond 65535, a broken condition."""


class BadData(PortbookError):
    """A file or a reply is not what it should be."""


class Unavailable(PortbookError):
    """A system, or a reader's rights, that cannot answer the question at all."""


class Malformed(ValueError):
    """Foreign bytes that do not keep their format. The one error that a parser of bytes may raise."""
