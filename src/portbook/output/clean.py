"""Text that somebody else chose, made fit for a terminal, and how wide it stands there.

A process name or a banner may hold the escapes that move the cursor, letters that turn the reading direction
round and letters that nobody sees. Here they become visible; what a format does with the result is left to
it.
"""

from __future__ import annotations


def clean(text: str) -> str:
    r"""Return the text with everything that could act on a terminal, or hide in it, as a visible escape.

    Escaped as Python writes them (\x1b, \n, \u202e, \udcff) are the characters of Unicode's categories Other
    and Separator, the space excepted: controls (C0, DEL, C1), bidirectional and zero-width ones, line and
    paragraph separators, lone surrogates, private and unassigned ones. A backslash stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def display_width(text: str) -> int:
    """Return how many columns of a terminal cleaned text takes: two for wide East Asian characters and emoji.

    Combining characters take none.
    """
    if text.isascii() or all(map(_plain, text)):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _plain(character: str) -> bool:
    """Whether it is one column wide: Latin, Greek, Cyrillic and Armenian without their combining marks."""
    # So the headings of every language that the command line speaks are measured without importing rich.
    return character < "\u0300" or "\u0370" <= character < "\u0483" or "\u048a" <= character < "\u0591"
