"""What there is to tell of a main port, in the reader's language.

It reads the texts beside it. Which ports are main, and what else a registry says of them, is left to lookup.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from portbook.registry.lines import body

LANGUAGES = ("en", "fr", "pt", "uk")
"""The languages of the texts, as ISO 639-1 names them."""


class About(NamedTuple):
    """The story of a port: what its service is for, which programs use it, how a conversation begins.

    `instead` is what to use where the service is unsafe, or what to take care of.
    """

    purpose: str
    programs: str
    begins: str
    instead: str


def about(port: int, language: str) -> About | None:
    """Return the story of a main port, in English where there is none in this language; None for other ports.

    `language` is a language tag or the name of a locale: uk, pt-PT, fr_FR.UTF-8.
    """
    return abouts(language).get(port)


def abouts(language: str) -> dict[int, About]:
    """Return the stories of all main ports by port, in English where the language has none."""
    spoken = language[:2].lower()
    known = spoken in LANGUAGES and not language[2:3].isalpha()
    path = f"{os.path.dirname(__file__)}/about.{spoken if known else 'en'}.tsv"
    with open(path, "rb") as file:
        lines = body(file.read()).decode().split("\n")[:-1]
    stories = {}
    for line in lines:
        port, purpose, programs, begins, instead = line.split("\t")
        stories[int(port)] = About(purpose, programs, begins, instead)
    return stories
