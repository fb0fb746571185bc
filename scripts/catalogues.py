"""Brings the catalogues of messages up to date with the code, and says what lacks a translation.

Messages are the arguments of gettext, ngettext, `_` and `N_` in src and scripts and in the page's templates, what
argparse itself says, and the texts of the scenarios that ship. The languages that only the page speaks have those
that a page can show. New ones are added empty, those that are gone are dropped. Ends with 1 where a translation is
missing; `--check` writes nothing; names of languages leave the others alone.
"""

from __future__ import annotations

import argparse
import ast
import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from portbook.lab.plan_file import all_shipped
from portbook.locale import FOLDER, LANGUAGES, page_languages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
KEYWORDS = {"gettext": 1, "ngettext": 2, "_": 1, "N_": 1}
"""The functions whose arguments are messages, and how many of them are."""

NEVER_ON_A_PAGE = (
    *("cli/", "lab/", "output/", "portable.py", "registry/update.py", "probe/asking.py", "probe/files.py"),
    *("web/checking.py", "web/database.py", "web/running.py", "web/settings.py", "web/store.py", "web/workers.py"),
)
"""Parts of the package whose messages only an operator at a terminal reads, not a visitor of the page."""


def messages(page: bool = False) -> Catalog:
    """Return the catalogue of all messages, or of those that a page can show, without translations."""
    found = Catalog(project="portbook", charset="utf-8", fuzzy=False)
    package = ROOT / "src" / "portbook"
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.html"), *package.rglob("templates/**/*.svg")]):
        if page and path.relative_to(package).as_posix().startswith(NEVER_ON_A_PAGE):
            continue
        for message in messages_in(path) if path.suffix == ".py" else messages_in_template(path):
            found.add(message, locations=[(path.relative_to(ROOT).as_posix(), 0)])
    if page:
        return found
    for path in sorted((ROOT / "scripts").rglob("*.py")):
        for message in messages_in(path):
            found.add(message, locations=[(path.relative_to(ROOT).as_posix(), 0)])
    for message in messages_in(Path(argparse.__file__)):
        found.add(message, locations=[("argparse", 0)])
    for scenario in all_shipped():
        for text in (scenario.title, scenario.story, *(step.text for step in scenario.steps)):
            found.add(text, locations=[(f"src/portbook/lab/scenarios/{scenario.name}.toml", 0)])
    return found


def messages_in(path: Path) -> Iterator[str | tuple[str, ...]]:
    """Yield the messages of one Python file: a text, or the singular and the plural.

    Read from the syntax tree, since Babel's extractor passes over those in f-strings.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        arguments = node.args[: KEYWORDS.get(str(name), 0)]
        texts = tuple(one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str))
        if texts and len(texts) == len(arguments):
            yield texts if len(texts) > 1 else texts[0]


def messages_in_template(path: Path) -> Iterator[str | tuple[str, ...]]:
    """Yield the messages of one template: a text, or the singular and the plural."""
    tree = Environment(autoescape=True).parse(path.read_text(encoding="utf-8"))
    for _, name, said in extract_from_ast(tree, tuple(KEYWORDS)):
        texts = tuple(text for text in (said if isinstance(said, tuple) else (said,)) if text is not None)
        texts = texts[: KEYWORDS[name]]
        if len(texts) == KEYWORDS[name]:
            yield texts if len(texts) > 1 else texts[0]


def wanted_of(language: str) -> Catalog:
    """Return the catalogue of the messages that a language must have."""
    return messages(page=language not in LANGUAGES)


def catalogue(language: str) -> Catalog:
    """Return the committed catalogue of a language, an empty one where there is none."""
    path = _path(language)
    if not path.exists():
        return Catalog(locale=language, project="portbook", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def lacking(language: str, wanted: Catalog) -> list[str]:
    """Return the messages that a language's catalogue has no whole translation of."""
    held = catalogue(language)
    missing = []
    for message in wanted:
        if not message.id:
            continue
        said = held.get(message.id if isinstance(message.id, str) else message.id[0])
        string = said.string if said is not None else None
        texts = (string,) if isinstance(string, str) else tuple(string or ())
        plural_forms = held.num_plurals if isinstance(message.id, tuple) else 1
        if said is None or said.fuzzy or len(texts) != plural_forms or not all(texts):
            missing.append(str(message.id))
    return missing


def bring_up_to_date(language: str, wanted: Catalog) -> None:
    """Write the catalogue of a language with exactly the messages that are wanted."""
    held = catalogue(language)
    held.update(wanted, no_fuzzy_matching=True)
    held.obsolete.clear()
    held.header_comment = f"# portbook's messages in {language}."
    text = BytesIO()
    write_po(text, held, width=100, sort_output=True, omit_header=False, include_lineno=False)
    lines = [
        line
        for line in text.getvalue().decode().split("\n")
        # Dates and names that change with every run would only be noise in a review.
        if not line.startswith(('"POT-Creation-Date', '"PO-Revision-Date', '"Last-Translator', '"Generated-By'))
    ]
    _path(language).parent.mkdir(parents=True, exist_ok=True)
    _path(language).write_text("\n".join(lines))


def _path(language: str) -> Path:
    return Path(FOLDER) / language / "LC_MESSAGES" / "portbook.po"


def main() -> int:
    """Update, or check, every catalogue, or those of the languages that are named."""
    named = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    complete = True
    for language in named or page_languages():
        if language == "en":
            continue
        wanted = wanted_of(language)
        if "--check" not in sys.argv[1:]:
            bring_up_to_date(language, wanted)
        missing = lacking(language, wanted)
        complete = complete and not missing
        print(f"{language}: {len(missing)} of {len(wanted)} messages lack a translation")
        for message in missing:
            print(f"  {message!r}")
    return int(not complete)


if __name__ == "__main__":
    sys.exit(main())
