"""The languages that portbook speaks: which one a reader wants, and the catalogue of its messages.

English is the language of the message ids, so it has no catalogue. The page speaks more languages than the command
line; which one a visitor reads is left to it.
"""

from __future__ import annotations

import gettext
import os

from portbook.errors import N_, BadQuestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES = ("en", "fr", "pt", "uk")
FOLDER = os.path.dirname(__file__)
_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def page_languages() -> dict[str, str]:
    """Return the codes of the languages that the page speaks, with the direction of each: ltr or rtl."""
    with open(f"{FOLDER}/languages.tsv", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return {code: direction for code, _, direction in rows}


def choose(environ: Mapping[str, str], wanted: str | None = None) -> str:
    """Return the language of a reader: the one that is `wanted`, else the first that the environment asks for.

    The variables count in the order of gettext. Raises BadQuestion for a wanted language that there is not.
    """
    if wanted is not None:
        language = _language(wanted)
        if language not in LANGUAGES:
            raise BadQuestion(
                N_("portbook does not speak {language}; it speaks {languages}"),
                language=wanted,
                languages=", ".join(LANGUAGES),
            )
        return language
    for variable in _VARIABLES:
        value = environ.get(variable)
        if value:
            asked = [_language(name) for name in value.split(":")] if variable == "LANGUAGE" else [_language(value)]
            known = next((language for language in asked if language in LANGUAGES), None)
            if known or variable != "LANGUAGE":
                return known or "en"
    return "en"


def translations(language: str) -> gettext.NullTranslations:
    """Return the catalogue of one of LANGUAGES; message ids stay as they are where there is none."""
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation("portbook", FOLDER, [language], fallback=True)


def _language(name: str) -> str:
    return name.replace("-", "_").partition(".")[0].partition("_")[0].lower()
