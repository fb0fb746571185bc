"""Full-text search: what comes first, and that no question breaks it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.registry.lookup import open_registry
from portbook.registry.search import Index, search

REGISTRY = open_registry(Path("/nonexistent"))


def names(words: str, language: str = "en", limit: int = 50) -> list[str | None]:
    return list(dict.fromkeys(service.service for service in search(REGISTRY, words, language, limit)))


def test_mail_finds_the_ports_of_mail_first() -> None:
    assert {"smtp", "submissions", "imap", "imaps", "pop3", "pop3s"} <= set(names("mail")[:8])


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("postgres", "postgresql"),
        ("postgresql database", "postgresql"),
        ("dns", "domain"),
        ("kafka", "kafka"),
        ("minecr", "minecraft"),
        ("remote desktop", "ms-wbt-server"),
        ("remote framebuffer", "rfb"),
        ("web server", "http"),
        ("usenet", "nntp"),
        ("kubernetes", "kube-apiserver"),
        ("WIREGUARD", "wireguard"),
        ("docker registry", "web-dev-5000"),
        ("multicast dns", "mdns"),
        ("gopher", "gopher"),
    ],
)
def test_the_best_match_comes_first(words: str, first: str) -> None:
    assert names(words)[0] == first


@pytest.mark.parametrize(
    ("words", "language", "found"),
    [
        ("courrier", "fr", "smtp"),
        ("imprimantes", "fr", "snmp"),
        ("chiffree", "fr", "ssh"),
        ("correio", "pt", "smtp"),
        ("telefones", "pt", "sip"),
        ("пошта", "uk", "smtp"),
        ("годинники", "uk", "ntp"),
    ],
)
def test_the_readers_language_is_searched(words: str, language: str, found: str) -> None:
    assert found in names(words, language)


def test_only_the_readers_language_is_searched() -> None:
    assert "smtp" not in names("courrier", "en")


def test_all_words_are_required_first() -> None:
    assert names("netbus backdoor")[0] == "netbus"
    assert "subseven" not in names("netbus backdoor")


def test_any_word_will_do_where_nothing_has_them_all() -> None:
    assert "gopher" in names("gopher zzzzzz")


def test_a_category_finds_its_ports() -> None:
    assert {"netbus", "cobalt-strike"} <= set(names("malware", limit=60))


def test_each_transport_is_one_result_and_none_comes_twice() -> None:
    services = search(REGISTRY, "dns", "en", 200)
    assert [(s.port, s.transport) for s in services[:2]] == [(53, "tcp"), (53, "udp")]
    assert len(services) == len(set(services))


def test_what_is_reserved_is_not_found() -> None:
    assert all(service.service for service in search(REGISTRY, "reserved", "en", 500))


def test_the_limit_is_kept() -> None:
    everything = search(REGISTRY, "server", "en", 1000)
    assert len(everything) > 300
    assert search(REGISTRY, "server", "en", 7) == everything[:7]
    assert search(REGISTRY, "server", "en", 0) == []


@pytest.mark.parametrize(
    "words",
    [
        *("", " ", '"', "'", "*", "a OR", "NOT", "AND AND", "NEAR(", "NEAR(mail, 3)", "name:", "- -", "(", "^"),
        *("\0", "mail\0", '"mail', "mail*", "\ud800", "col : x", "{a b}:c", "--", "；", "_"),
        *("a" * 100_000, "x " * 100_000, "(" * 5000),
    ],
)
def test_hostile_questions_are_only_words(words: str) -> None:
    search(REGISTRY, words, "en", 5)


def test_operators_do_not_operate() -> None:
    assert names("mail NOT smtp")[0] == names("mail not smtp")[0]
    assert names('"mail"') != []
    assert names("-mail") != []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["en", "uk", "zz", ""]))
def test_no_text_breaks_it(words: str, language: str) -> None:
    for service in search(REGISTRY, words, language, 20):
        assert 0 <= service.port <= 65535


def test_an_index_answers_again_and_again_as_the_search_does() -> None:
    with closing(Index(REGISTRY, "uk")) as index:
        for words in ("пошта", "kafka", "", "пошта", "%"):
            assert index.find(words) == search(REGISTRY, words, "uk")
        assert len(index.find("server", 3)) == 3
