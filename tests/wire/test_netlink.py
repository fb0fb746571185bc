from __future__ import annotations

import errno
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import Malformed
from portbook.wire import netlink

from .dumps import attribute, message


def test_a_buffer_is_cut_into_its_messages() -> None:
    buffer = message(20, b"abcde", 2) + message(3, bytes(4))
    found = [(kind, flags, bytes(payload)) for kind, flags, payload in netlink.messages(memoryview(buffer))]
    assert found == [(20, 2, b"abcde"), (3, 0, bytes(4))]


def test_the_last_message_needs_no_padding() -> None:
    buffer = message(20, b"abcde")[:-3]
    assert [bytes(payload) for _, _, payload in netlink.messages(memoryview(buffer))] == [b"abcde"]


@pytest.mark.parametrize("length", [0, 15, 37, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        list(netlink.messages(memoryview(message(20, bytes(20), length=length))))


def test_every_attribute_is_found_and_flags_are_not_part_of_its_type() -> None:
    payload = attribute(4, b"cubic\0") + attribute(0x8000 | 2, b"") + attribute(0x4000 | 21, b"12345678")
    found = [(kind, bytes(value)) for kind, value in netlink.attributes(memoryview(payload))]
    assert found == [(4, b"cubic\0"), (2, b""), (21, b"12345678")]


@pytest.mark.parametrize("length", [0, 3, 9])
def test_an_attribute_longer_than_its_message_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        list(netlink.attributes(memoryview(struct.pack("=HHI", length, 1, 0))))


@given(st.binary(max_size=80))
def test_any_bytes_are_cut_or_malformed(data: bytes) -> None:
    for cut in (netlink.messages, netlink.attributes):
        try:
            list(cut(memoryview(data)))
        except Malformed:
            continue
    with suppress(Malformed):
        assert 0 <= netlink.refusal(memoryview(data)) < 4096


def test_a_refusal_is_an_errno() -> None:
    assert netlink.refusal(memoryview(struct.pack("=i", -errno.ENOENT))) == errno.ENOENT
    assert netlink.refusal(memoryview(bytes(4))) == 0
    for code in (1, -4096, -(1 << 31)):
        with pytest.raises(Malformed):
            netlink.refusal(memoryview(struct.pack("=i", code)))


def test_a_request_is_a_message_that_asks_for_a_dump() -> None:
    [(kind, flags, payload)] = netlink.messages(memoryview(netlink.request(20, b"abcd", 7)))
    assert (kind, flags, bytes(payload)) == (20, 0x301, b"abcd")
