"""The languages of the command line: whole and faithful catalogues, and which one a reader gets."""

from __future__ import annotations

import re
import runpy
import string
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.plurals import get_plural
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from portbook import locale
from portbook.cli.lab import ACTIONS
from portbook.cli.main import main
from portbook.cli.verbs import VERBS
from portbook.errors import BadQuestion

CATALOGUES = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "catalogues.py"))
TRANSLATED = ("fr", "pt", "uk")
ON_THE_PAGE = tuple(language for language in locale.page_languages() if language not in ("en", *TRANSLATED))
EVERY = (*TRANSLATED, *ON_THE_PAGE)
ENDS = (".", "。", "।")
"""How a sentence ends."""
ARGPARSE_IS_THE_ONE_TRANSLATED = sys.version_info[:2] == (3, 11)

SAME_EVERYWHERE = {
    "ALPN",
    "TLS",
    "Community ID",
    "Cookie",
    "IPv4",
    "IPv6",
    "Inode",
    "N",
    "OpenID Connect",
    "RTT",
    "SCTP",
    "TCP",
    "UID",
}
SAME = {
    "fr": {
        *(
            "ACTION",
            "Minimum",
            "PORTS",
            "Version",
            "Client",
            "Congestion",
            "Conversations",
            "Description",
            "Interface",
            "Local",
            "PORT",
            "Port",
        ),
        *("Destination", "Pages", "Pause", "Port {port}", "Ports", "Signature", "Source", "Test", "Type", "Webhook"),
        *("client", "port", "port {port}", "socket"),
        *("Retransmissions", "Service", "Transport", "{count} conversation", "{count} conversations"),
    },
    "pt": {"Interface", "Local", "Tokens", "Webhook", "router", "socket"},
    "uk": set[str](),
}
"""What is written alike in English: names that no language translates, and words that the languages share."""

METAVARS = (
    "ACTION",
    "COMMAND",
    "FILE",
    "HOST",
    "NAME",
    "LANGUAGE",
    "PORT",
    "QUERY",
    "SECONDS",
    "STATE",
    "VERB",
    "COLUMN",
)
KEPT = re.compile(
    rf"portbook (?:{'|'.join(VERBS)})(?: (?:--[a-z-]+(?: all)?|\{{\w+\}}|\d+))*"  # commands
    r"|https?://\S+"  # addresses of pages
    r"|(?<![\w-])--?[a-z][a-z-]*"  # options
    r"|\w+_\w+"  # names of the kernel, the environment and argparse
    r"|~?(?:/\.?[a-z]+)+"  # paths
    r"|\b[A-Z][A-Z0-9-]*[A-Z0-9]\b"  # standards, protocols, variables; the words for an argument too
    r"|[0-9a-f]+(?:::?[0-9a-f]+)+|\d+(?:\.\d+){3}:\d+"  # addresses
    r"|:?\b\d+/[a-z]+|:?\b\d+(?:[.-]\d+)*"  # ports, ranges and other numbers
    r"|\b(?:auto|dccp|https|netlink|netstat|parquet|portbook|root|sctp|service,peer|ss|tcp|udp)\b"
)
"""What a translation repeats as it is: what a reader types, and names."""


def wanted(language: str) -> list[Message]:
    """Return the messages that must be translated: argparse's too, for the version that they were taken from."""
    every = [message for message in CATALOGUES["wanted_of"](language) if message.id]
    return [message for message in every if ARGPARSE_IS_THE_ONE_TRANSLATED or not is_argparse(message)]


def is_argparse(message: Message) -> bool:
    """Whether nothing but argparse says it."""
    return {path for path, _ in message.locations} == {"argparse"}


def originals(message: Message) -> tuple[str, ...]:
    """Return the English forms of a message."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def forms(message: Message) -> tuple[str, ...]:
    """Return the translated forms of a message."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


def translated(language: str) -> Iterator[tuple[Message, str, str]]:
    """Yield each message of a catalogue with each form of its translation and the English that it stands for."""
    for message in CATALOGUES["catalogue"](language):
        if message.id:
            for number, form in enumerate(forms(message)):
                yield message, originals(message)[0 if number == 0 else -1], form


def fields(text: str, percent: bool) -> Counter[str]:
    """Return the fields of a message with how often each stands in it: argparse's %, and ours in braces."""
    if percent:
        return Counter(re.findall(r"%(?:\(\w+\))?\w", text))
    return Counter(str(name) for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the catalogues as they are now compiled, whatever was compiled before."""
    for language in EVERY:
        target = tmp_path / language / "LC_MESSAGES" / "portbook.mo"
        target.parent.mkdir(parents=True)
        with target.open("wb") as file:
            write_mo(file, CATALOGUES["catalogue"](language))
    monkeypatch.setattr(locale, "FOLDER", str(tmp_path))


def test_messages_of_a_template_are_found(tmp_path: Path) -> None:
    source = tmp_path / "page.html"
    source.write_text(
        '<p title="{{ _("in an attribute") }}">{{ _("with {name}", name=who) }}</p>{% if _("asked") %}{% endif %}'
        '{{ ngettext("one", "many", 3) }}{{ _(variable) }}{{ other("no message") }}'
    )
    found = set(CATALOGUES["messages_in_template"](source))
    assert found == {"in an attribute", "with {name}", "asked", ("one", "many")}


def test_messages_are_found_wherever_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "print(f\"{_('in braces')}\")\n"
        'context.ngettext("one", "many", count)\n'
        'raise Error(N_("marked {name}"), name="no message")\n'
        'gettext(variable); other("no message"); gettext.translation("no message")\n'
    )
    assert set(CATALOGUES["messages_in"](source)) == {"in braces", ("one", "many"), "marked {name}"}


@pytest.mark.parametrize("language", EVERY)
def test_every_message_is_translated(language: str) -> None:
    assert CATALOGUES["lacking"](language, wanted(language)) == []


@pytest.mark.parametrize("language", EVERY)
def test_what_lacks_a_translation_is_found(language: str) -> None:
    found = Catalog()
    found.add("a sentence that portbook never says")
    found.add(("{count} such thing", "{count} such things"))
    assert len(CATALOGUES["lacking"](language, found)) == 2


@pytest.mark.parametrize("language", EVERY)
def test_nothing_is_translated_that_nobody_says(language: str) -> None:
    said = {originals(message)[0] for message in wanted(language)}
    held = {
        originals(message)[0]
        for message, _, _ in translated(language)
        if ARGPARSE_IS_THE_ONE_TRANSLATED or not is_argparse(message)
    }
    assert held - said == set()


@pytest.mark.parametrize("language", EVERY)
def test_the_catalogue_is_sound(language: str) -> None:
    path = Path(CATALOGUES["ROOT"]) / "src" / "portbook" / "locale" / language / "LC_MESSAGES" / "portbook.po"
    with path.open("rb") as file:
        catalogue = read_po(file, abort_invalid=True)
    plural = get_plural(language)
    assert str(catalogue.locale) == language
    assert catalogue.charset == "utf-8"
    assert (catalogue.num_plurals, catalogue.plural_expr) == (plural.num_plurals, plural.plural_expr)
    assert [error for _, errors in catalogue.check() for error in errors] == []
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []
    assert not catalogue.obsolete


@pytest.mark.parametrize("language", EVERY)
def test_fields_are_those_of_the_message(language: str) -> None:
    for message, original, form in translated(language):
        percent = is_argparse(message)
        assert fields(form, percent) == fields(original, percent), form


@pytest.mark.parametrize("language", TRANSLATED)
def test_only_names_and_shared_words_stay_english(language: str) -> None:
    same = {form for _, original, form in translated(language) if form == original}
    assert same == SAME_EVERYWHERE | SAME[language]


@pytest.mark.parametrize("language", ON_THE_PAGE)
def test_no_sentence_stays_english(language: str) -> None:
    same = [form for _, original, form in translated(language) if form == original]
    assert [form for form in same if len(re.findall(r"[a-z]{2,}", KEPT.sub("", form))) > 3] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_a_reader_types_stays_as_it_is(language: str) -> None:
    said = {original: form for _, original, form in translated(language)}
    metavars = {name: said.get(name, said["COLUMN[:desc]"].partition("[")[0]) for name in METAVARS}
    for original, form in said.items():
        if original.isupper() and original != "COLUMN[:desc]":
            continue  # a heading of the manual, or itself the word for an argument
        for token, count in Counter(KEPT.findall(original)).items():
            kept = re.findall(rf"(?<![\w-]){re.escape(metavars.get(token, token))}(?!\w)", form)
            assert len(kept) >= count, (token, form)


@pytest.mark.parametrize("language", EVERY)
def test_a_translation_stands_where_its_message_stood(language: str) -> None:
    for message, original, form in translated(language):
        assert form.count("\n") == original.count("\n"), form
        assert form.endswith((" ", "\n")) == original.endswith((" ", "\n")), form
        assert form.endswith(ENDS) == original.endswith("."), form
        assert form == form.lstrip(" "), form
        assert "  " not in form
        if is_argparse(message) and original.strip() not in ("options", "positional arguments", "usage:"):
            # It becomes a value in an error of one line, where what cannot be printed is shown escaped.
            assert form.replace("\n", "").isprintable(), form


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("language", EVERY)
def test_the_compiled_catalogue_speaks(language: str) -> None:
    spoken = locale.translations(language)
    for message in CATALOGUES["catalogue"](language):
        if isinstance(message.id, str):
            if message.id:
                assert spoken.gettext(message.id) == message.string
        else:
            heard = {spoken.ngettext(message.id[0], message.id[1], count) for count in range(200)}
            assert heard == set(message.string)
    assert spoken.gettext("a sentence that portbook never says") == "a sentence that portbook never says"


@pytest.mark.usefixtures("compiled")
def test_english_is_said_as_it_is_written() -> None:
    spoken = locale.translations("en")
    assert spoken.gettext("Recv queue") == "Recv queue"
    assert spoken.ngettext("{count} conversation", "{count} conversations", 2) == "{count} conversations"


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("fr", {"{count} conversation": (0, 1), "{count} conversations": (2, 11, 21)}),
        ("pt", {"{count} conversa": (1,), "{count} conversas": (0, 2, 11, 21)}),
        (
            "uk",
            {
                "{count} розмова": (1, 21, 101),
                "{count} розмови": (2, 3, 4, 22, 104),
                "{count} розмов": (0, 5, 11, 12, 14, 19, 20, 25, 111, 112),
            },
        ),
    ],
)
def test_a_number_takes_its_form(language: str, said: dict[str, tuple[int, ...]]) -> None:
    spoken = locale.translations(language)
    for form, counts in said.items():
        for count in counts:
            assert spoken.ngettext("{count} conversation", "{count} conversations", count) == form


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_is_in_one_language(
    language: str, verb: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no sentence is broken over lines
    arguments = [*([verb] if verb else []), "--help", "--lang"]
    assert main([*arguments, "en"], {}) == 0
    english = {part for line in capsys.readouterr().out.splitlines() for part in parts(line)}
    assert main([*arguments, language], {}) == 0
    shown = {part for line in capsys.readouterr().out.splitlines() for part in parts(line)}
    assert len(shown) > 10
    assert english & shown <= SAME_EVERYWHERE | SAME[language] | {*VERBS, *ACTIONS}


def parts(line: str) -> list[str]:
    """Return the sentences of a line of help: not the options, nor the arguments that they take."""
    return [part for part in re.split(r"\s{2,}", line) if part and not part.startswith("-")]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("language", locale.LANGUAGES)
@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_fits_a_terminal(
    language: str, verb: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*([verb] if verb else []), "--help", "--lang", language], {}) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("fr", "portbook: argument --sort : un argument attendu (voir\xa0: portbook who --help)\n"),
        ("pt", "portbook: argumento --sort: é preciso um argumento (ver: portbook who --help)\n"),
        ("uk", "portbook: аргумент --sort: потрібен один аргумент (див.: portbook who --help)\n"),
    ],
)
def test_an_error_is_said_in_the_readers_language(
    language: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["who", "--lang", language, "--sort"], {}) == 2
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "fr"}, "fr"),
        ({"LANG": "fr_CA.UTF-8"}, "fr"),
        ({"LANG": "fr_FR@euro"}, "fr"),
        ({"LANG": "pt-BR"}, "pt"),
        ({"LANG": "pt_PT.ISO-8859-1"}, "pt"),
        ({"LANG": "uk_UA"}, "uk"),
        ({"LANG": "UK_ua"}, "uk"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": ""}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "fry_NL"}, "en"),
        ({"LANG": "fr_FR", "LC_MESSAGES": "pt_BR"}, "pt"),
        ({"LANG": "fr_FR", "LC_MESSAGES": "pt_BR", "LC_ALL": "uk_UA"}, "uk"),
        ({"LANG": "fr_FR", "LC_MESSAGES": "pt_BR", "LC_ALL": "uk_UA", "LANGUAGE": "en"}, "en"),
        ({"LANG": "fr_FR", "LC_MESSAGES": "pt_BR", "LC_ALL": "", "LANGUAGE": ""}, "pt"),
        ({"LANG": "fr_FR", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "fr_FR", "LC_MESSAGES": "POSIX"}, "en"),
        ({"LANG": "fr_FR", "LC_ALL": "de_DE"}, "en"),
        ({"LANG": "fr_FR", "LC_CTYPE": "uk_UA", "LC_NUMERIC": "pt_PT"}, "fr"),
        ({"LANGUAGE": "de:uk_UA:fr", "LANG": "pt_BR"}, "uk"),
        ({"LANGUAGE": "pt_BR:pt:en", "LANG": "fr_FR"}, "pt"),
        ({"LANGUAGE": "::fr", "LANG": "pt_BR"}, "fr"),
        ({"LANGUAGE": "de:nl", "LANG": "fr_FR"}, "fr"),
        ({"LANG": "de:fr"}, "en"),  # only LANGUAGE is a list
    ],
)
def test_the_environment_says_the_language(environ: dict[str, str], language: str) -> None:
    assert locale.choose(environ) == language


@pytest.mark.parametrize(("wanted", "language"), [("fr", "fr"), ("pt-BR", "pt"), ("uk_UA.UTF-8", "uk"), ("EN", "en")])
def test_the_language_that_is_asked_for_comes_first(wanted: str, language: str) -> None:
    for other in locale.LANGUAGES:
        assert locale.choose({"LANGUAGE": other, "LC_ALL": other}, wanted) == language


@pytest.mark.parametrize("wanted", ["de", "", "C", "fr:pt", "../fr", "french"])
def test_a_language_that_there_is_not_is_a_bad_question(wanted: str) -> None:
    with pytest.raises(BadQuestion) as raised:
        locale.choose({"LANG": "fr_FR"}, wanted)
    assert raised.value.values == {"language": wanted, "languages": "en, fr, pt, uk"}


@given(st.dictionaries(st.sampled_from(["LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"]), st.text()))
def test_any_environment_has_a_language(environ: dict[str, str]) -> None:
    assert locale.choose(environ) in locale.LANGUAGES
