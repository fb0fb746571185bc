"""Elements of BER are written and read, and read no further than they reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import Malformed
from portbook.protocols.ber import INTEGER, OCTETS, SEQUENCE, children, element, integer, read


@given(st.binary(max_size=70000 // 100), st.binary(max_size=5))
def test_what_is_written_is_read(content: bytes, behind: bytes) -> None:
    made = element(OCTETS, content)
    assert read(made + behind) == (OCTETS[0], content, len(made))


@pytest.mark.parametrize("length", [0, 127, 128, 255, 256, 65535])
def test_every_form_of_length(length: int) -> None:
    made = element(SEQUENCE, bytes(length))
    assert read(made) == (SEQUENCE[0], bytes(length), len(made))
    with pytest.raises(Malformed):
        read(made[:-1])


@pytest.mark.parametrize(
    ("number", "written"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (65507, "020300ffe3")]
)
def test_integers(number: int, written: str) -> None:
    assert integer(number) == bytes.fromhex(written)


def test_children_follow_each_other() -> None:
    assert children(integer(1) + element(OCTETS, b"x")) == [(INTEGER[0], b"\1"), (OCTETS[0], b"x")]
    with pytest.raises(Malformed):
        children(integer(1) + b"\x04")


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x80", b"\x30\x85\0\0\0\0\1", b"\x30\x84\xff", b"\x1f\x01\x00"])
def test_what_is_not_whole_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)
