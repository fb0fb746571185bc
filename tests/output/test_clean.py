from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from rich.cells import cell_len

from portbook.output.clean import clean, display_width

from .random_tables import texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx: master", "nginx: master"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x7f\x80\x9b", "\\x7f\\x80\\x9b"),
        ("\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"),
        ("\u200b\ufeff\u2028\u2029", "\\u200b\\ufeff\\u2028\\u2029"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("привіт 日本 é", "привіт 日本 é"),
        ("\\x1b", "\\x1b"),
    ],
)
def test_what_could_act_on_a_terminal_becomes_visible(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(texts)
def test_cleaned_text_is_encodable_and_harmless(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert {unicodedata.category(character) for character in cleaned}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert clean(cleaned) == cleaned


@given(texts)
def test_the_width_is_what_rich_measures(text: str) -> None:
    assert display_width(clean(text)) == cell_len(clean(text))


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("abc", 3), ("Адреса", 6), ("日本", 4), ("e\u0301", 1), ("и\u0306", 1), ("🐍", 2)]
)
def test_the_width_of_letters(text: str, width: int) -> None:
    assert display_width(text) == width
