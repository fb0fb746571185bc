"""The data files themselves: their form, and what must be in them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from portbook.locale import page_languages
from portbook.registry import lookup
from portbook.registry.about import LANGUAGES, About, about, abouts
from portbook.registry.lines import TRANSPORTS, body, every_line, is_whole
from portbook.registry.lookup import open_registry

FOLDER = Path(lookup.__file__).parent
REGISTRY = open_registry(Path("/nonexistent"))
MAIN_PORTS = (
    *(20, 21, 22, 23, 25, 53, 67, 68, 80, 110, 119, 123, 143, 161, 194, 443, 465, 514, 993, 995),
    *(3306, 3389, 5060, 5432, 5900, 8080),
)
INVISIBLE = dict.fromkeys(map(ord, "\u00a0\u202f\u200c\u200e"))
"""Signs that are no fault in a text: the spaces of French, and what joins and turns letters in Persian."""

CATEGORIES = {
    "administration",
    "automation",
    "blockchain",
    "business",
    "cluster",
    "container",
    "data",
    "database",
    "development",
    "files",
    "games",
    "mail",
    "malware",
    "media",
    "messaging",
    "mining",
    "monitoring",
    "network",
    "peer-to-peer",
    "privacy",
    "proxy",
    "remote",
    "security",
    "telephony",
    "vpn",
    "web",
}


def test_the_embedded_assignments_are_whole() -> None:
    assert is_whole((FOLDER / "iana.tsv").read_bytes())


@pytest.mark.parametrize("file", ["iana", "unofficial", "main"])
def test_a_file_is_sorted_and_every_line_is_well_formed(file: str) -> None:
    lines = list(every_line(body((FOLDER / f"{file}.tsv").read_bytes())))
    assert [ports.start for ports, _ in lines] == sorted(ports.start for ports, _ in lines)
    for ports, (_, transports, name, description, *_) in lines:
        assert 0 <= ports.start < ports.stop <= 65536
        listed = transports.split(",")
        assert listed == sorted(set(listed), key=TRANSPORTS.index)
        assert re.fullmatch(r"[!-~]*", name)
        assert description == " ".join(description.split())
        assert description.isprintable()


def test_unofficial_uses_are_many_unique_and_not_iana_s() -> None:
    lines = list(every_line(REGISTRY.unofficial))
    assert len(lines) >= 170
    assert len({ports.start for ports, _ in lines}) >= 170
    seen = set()
    for ports, (_, transports, name, description, category) in lines:
        assert len(ports) == 1
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        assert description
        assert category in CATEGORIES
        for transport in transports.split(","):
            assert (ports.start, transport, name) not in seen
            seen.add((ports.start, transport, name))
            assigned = {s.service for s in REGISTRY.port(ports.start, transport) if s.assigned == "iana"}
            assert name not in assigned


def test_every_category_is_used() -> None:
    assert {fields[4] for _, fields in every_line(REGISTRY.unofficial)} == CATEGORIES


@pytest.mark.parametrize("port", [2181, 3000, 4200, 4444, 5173, 6443, 8000, 9092, 10250, 12345, 31337, 51820])
def test_the_ports_that_people_ask_about_have_an_unofficial_use(port: int) -> None:
    assert any(service.assigned == "unofficial" for service in REGISTRY.port(port))


@pytest.mark.parametrize("port", [2375, 2376, 2379, 2380, 5432, 6379, 11211, 27017])
def test_the_others_are_iana_s(port: int) -> None:
    assert REGISTRY.port(port, "tcp")[0].assigned == "iana"


def test_every_alias_leads_to_services_and_is_no_detour() -> None:
    lines = REGISTRY.aliases.decode().splitlines()
    assert lines == sorted(lines)
    aliases = [line.split("\t")[0] for line in lines]
    assert len(set(aliases)) == len(aliases)
    for line in lines:
        alias, names = line.split("\t")
        assert alias == alias.casefold()
        for name in names.split(","):
            assert name != alias
            own = [service for service in REGISTRY.named(name) if service.service == name]
            assert own, f"{alias} leads to {name}, which is nothing"


def test_the_main_ports_are_all_there() -> None:
    assert tuple(ports.start for ports, _ in every_line(REGISTRY.main)) == MAIN_PORTS


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_main_port_has_its_story(language: str) -> None:
    assert tuple(abouts(language)) == MAIN_PORTS
    for port in MAIN_PORTS:
        story = about(port, language)
        assert story is not None
        for text in (story.purpose, story.programs, story.begins, story.instead):
            assert text == text.strip()
            # A Chinese, Japanese or Korean sentence takes half as many characters.
            assert len(text) > (25 if language in ("ja", "ko", "zh_Hans", "zh_Hant") else 40)
            assert text.endswith("。" if language in ("ja", "zh_Hans", "zh_Hant") else ".")
            assert text.translate(INVISIBLE).isprintable()


def test_the_texts_are_those_of_the_page_s_languages() -> None:
    assert tuple(page_languages()) == LANGUAGES
    assert {path.name for path in FOLDER.glob("about.*.tsv")} == {f"about.{code}.tsv" for code in LANGUAGES}


def test_no_two_languages_tell_the_same_text() -> None:
    for port in MAIN_PORTS:
        stories = [about(port, language) for language in LANGUAGES]
        # Programs are named alike everywhere.
        for field in ("purpose", "begins", "instead"):
            assert len({getattr(story, field) for story in stories}) == len(LANGUAGES)


def numbers_of(port: int, language: str) -> Counter[str]:
    story = about(port, language)
    assert story is not None
    return Counter(re.findall(r"\d+(?:\.\d+)*", f"{story.purpose} {story.begins} {story.instead}"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_languages_tell_the_same_facts(language: str) -> None:
    # Korean writes numbers in digits that the others have in words.
    in_words = {"2", "3", "8", "16"} if language == "ko" else set()
    for port in MAIN_PORTS:
        english, told = numbers_of(port, "en"), numbers_of(port, language)
        assert not english - told, f"port {port}: {english - told}"
        assert set(told - english) <= in_words, f"port {port}: {told - english}"


def test_ukrainian_is_written_in_its_own_letters() -> None:
    for story in abouts("uk").values():
        assert not re.search("[ыэъё]", story.purpose + story.programs + story.begins + story.instead)
        assert re.search("[іїєґ]", story.begins)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("fr_FR.UTF-8", "fr"),
        ("pt-BR", "pt"),
        ("UK", "uk"),
        ("en", "en"),
        ("de_AT", "de"),
        ("zh_Hant", "zh_Hant"),
        ("zh_Hans", "zh_Hans"),
        ("zh", "zh_Hans"),
        ("zh-TW", "zh_Hant"),
        ("zh_HK.UTF-8", "zh_Hant"),
        ("zh-Hans-HK", "zh_Hans"),
        ("zhx", "en"),
        ("nl", "en"),
        ("", "en"),
        ("C", "en"),
        ("fry", "en"),
        ("../", "en"),
        ("uk\0", "uk"),
    ],
)
def test_a_language_without_texts_falls_back_to_english(language: str, told: str) -> None:
    assert about(22, language) == abouts(told)[22]


def test_other_ports_have_no_story() -> None:
    assert about(24, "en") is None
    assert isinstance(about(443, "fr"), About)
