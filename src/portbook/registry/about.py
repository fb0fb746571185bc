"""What there is to tell of a main port, in the reader's language.

It reads the texts beside it. Which ports are main, and what else a registry says of them, is left to lookup.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from portbook.errors import N_
from portbook.registry.lines import body

LANGUAGES = (
    *("en", "fr", "pt", "uk", "ar", "bg", "cs", "da", "de", "es", "fa", "fi", "he", "id", "it", "ja", "ko", "pl"),
    *("ro", "ru", "sv", "tr", "zh_Hant", "zh_Hans"),
)
"""The languages of the texts, as ISO 639-1 names them; Chinese with its script, as ISO 15924 does."""

HEADINGS = {
    "purpose": N_("What it is for"),
    "programs": N_("Programs"),
    "begins": N_("How a conversation begins"),
    "instead": N_("Take care"),
}
"""What stands above each part of a story."""

RANGES = {
    "system": N_("A System Port (RFC 6335: 0-1023), assigned by IANA with care; also called well-known."),
    "user": N_("A User Port (RFC 6335: 1024-49151), assigned by IANA on request; also called registered."),
    "dynamic": N_("A Dynamic Port (RFC 6335: 49152-65535), never assigned; also called private or ephemeral."),
}
"""What there is to tell of each range of ports."""


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

    `language` is a language tag or the name of a locale: uk, pt-PT, fr_FR.UTF-8, zh_Hant, zh-HK.
    """
    return abouts(language).get(port)


def abouts(language: str) -> dict[int, About]:
    """Return the stories of all main ports by port, in English where the language has none."""
    path = f"{os.path.dirname(__file__)}/about.{_spoken(language)}.tsv"
    with open(path, "rb") as file:
        lines = body(file.read()).decode().split("\n")[:-1]
    stories = {}
    for line in lines:
        port, purpose, programs, begins, instead = line.split("\t")
        stories[int(port)] = About(purpose, programs, begins, instead)
    return stories


def _spoken(language: str) -> str:
    """Return which of LANGUAGES a tag or a locale's name means, English where none."""
    tag = language.lower()
    if tag[2:3].isalpha():
        return "en"
    if tag[:2] != "zh":
        return tag[:2] if tag[:2] in LANGUAGES else "en"
    # What Chinese is written in is told by script, else by country (RFC 5646, section 2.2.3).
    parts = tag.replace("-", "_").replace(".", "_").split("_")
    traditional = "hans" not in parts and not {"hant", "tw", "hk", "mo"}.isdisjoint(parts)
    return "zh_Hant" if traditional else "zh_Hans"
