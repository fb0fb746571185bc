"""The error queue's bytes, as written here after linux/errqueue.h and as the kernel writes them."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.errors import Malformed
from portbook.wire.error_queue import IP_RECVERR, IPV6_RECVERR, SOL_IP, SOL_IPV6, IcmpError, icmp_error

LOCAL, ICMP, ICMPV6, TIMESTAMPING = 1, 2, 3, 4
LEVELS = st.sampled_from([(SOL_IP, IP_RECVERR), (SOL_IPV6, IPV6_RECVERR)])
byte = st.integers(0, 255)


def offender(ip: IPv4Address | IPv6Address) -> bytes:
    """Return a struct sockaddr_in or sockaddr_in6 with an address and no port."""
    if isinstance(ip, IPv4Address):
        return struct.pack("=H2x4s8x", socket.AF_INET, ip.packed)
    return struct.pack("=H2xI16sI", socket.AF_INET6, 0, ip.packed, 0)


def extended(origin: int, icmp_type: int, code: int, number: int = errno.ECONNREFUSED) -> bytes:
    return struct.pack("=IBBBBII", number, origin, icmp_type, code, 0, 0, 0)


@given(st.sampled_from([ICMP, ICMPV6]), byte, byte, st.ip_addresses(), LEVELS, st.binary(max_size=8))
def test_type_code_and_sender_are_read(
    origin: int, icmp_type: int, code: int, sender: IPv4Address | IPv6Address, level: tuple[int, int], more: bytes
) -> None:
    found = icmp_error(*level, extended(origin, icmp_type, code) + offender(sender) + more)
    assert found is not None
    assert found[:3] == (errno.ECONNREFUSED, icmp_type, code)
    assert found.sender is not None
    mapped = getattr(sender, "ipv4_mapped", None)
    assert ip_address(found.sender) == (mapped or sender)


@given(st.sampled_from([0, LOCAL, TIMESTAMPING, 255]), LEVELS)
def test_what_no_other_host_said_is_no_icmp_error(origin: int, level: tuple[int, int]) -> None:
    assert icmp_error(*level, extended(origin, 3, 3) + offender(IPv4Address("192.0.2.1"))) is None


@pytest.mark.parametrize("level", [(SOL_IP, 8), (SOL_IPV6, IP_RECVERR), (SOL_IP, IPV6_RECVERR), (1, 29)])
def test_other_control_messages_are_left_alone(level: tuple[int, int]) -> None:
    assert icmp_error(*level, b"") is None


@pytest.mark.parametrize(
    "address", [b"", b"\2", offender(IPv4Address(1))[:7], offender(IPv6Address(1))[:23], bytes(28)]
)
def test_an_error_without_a_sender(address: bytes) -> None:
    assert icmp_error(SOL_IP, IP_RECVERR, extended(ICMP, 3, 13) + address) == IcmpError(111, 3, 13, None)


@given(st.integers(0, 15), LEVELS)
def test_an_error_that_is_cut_short_is_malformed(length: int, level: tuple[int, int]) -> None:
    with pytest.raises(Malformed):
        icmp_error(*level, extended(ICMP, 3, 3)[:length])


@given(LEVELS, st.binary(max_size=64))
def test_any_bytes_are_an_error_none_or_malformed(level: tuple[int, int], data: bytes) -> None:
    try:
        found = icmp_error(*level, data)
    except Malformed:
        assert len(data) < 16
        return
    assert found is None or found.sender is None or ip_address(found.sender)


@pytest.mark.parametrize(
    ("ip", "level", "option", "told"),
    [("127.0.0.1", SOL_IP, IP_RECVERR, (3, 3)), ("::1", SOL_IPV6, IPV6_RECVERR, (1, 4))],
)
def test_the_kernel_writes_the_same(ip: str, level: int, option: int, told: tuple[int, int]) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        asking = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        pytest.skip("this host has no such family")
    with asking, socket.socket(family, socket.SOCK_DGRAM) as taken:
        taken.bind((ip, 0))
        address = taken.getsockname()
        taken.close()  # so that nobody listens there
        asking.setsockopt(level, option, 1)
        asking.connect(address)
        asking.send(b"?")
        _, control, _, _ = asking.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    assert [icmp_error(*message) for message in control] == [IcmpError(errno.ECONNREFUSED, *told, ip)]
