from __future__ import annotations

import re

import pytest

from portbook.web.doors import DOORS, door, doors


def test_every_state_of_a_test_has_words() -> None:
    assert set(DOORS) == {"open", "closed", "rejected", "filtered", "open|filtered", "unreachable", "error"}


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "10.0.0.7", "fe80::1", "9.9.9.9", "2620:fe::fe"])
def test_the_words_of_a_door_are_whole_sentences_without_fields(ip: str) -> None:
    for state in DOORS:
        told = door(22, state, ip)
        for words in (told.meaning, told.advice):
            assert re.fullmatch(r"[A-Z].*(\.|: portbook who)", words), words
            assert not {"{", "}", "<"} & set(words)


def test_an_open_port_is_as_open_as_its_address_reaches() -> None:
    assert "internet" in door(22, "open", "9.9.9.9").meaning
    assert "network" in door(22, "open", "192.168.1.7").meaning
    assert "this host" in door(22, "open", "127.0.0.1").meaning
    assert "internet" not in door(22, "open", "::1").meaning


def test_providers_are_named_where_mail_is_filtered() -> None:
    assert "providers block port 25" in door(25, "filtered", "9.9.9.9").advice
    assert door(25, "closed", "9.9.9.9") == DOORS["closed"]
    assert door(26, "filtered", "9.9.9.9") == DOORS["filtered"]


def test_the_meanings_of_an_address_are_those_of_its_doors() -> None:
    told = doors("127.0.0.1")
    assert list(told) == list(DOORS)
    assert told["open"] == door(80, "open", "127.0.0.1")
