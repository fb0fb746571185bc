from __future__ import annotations

import pytest

from portbook.columns import pack_address
from portbook.conversation import community_id, local_serves

PUBLISHED = [  # of the Community ID specification's test data (github.com/corelight/community-id-spec, baseline)
    ("tcp", ("128.232.110.120", 34855), ("66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("udp", ("192.168.1.52", 54585), ("8.8.8.8", 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    ("sctp", ("192.168.170.8", 7), ("192.168.170.56", 7), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
]


@pytest.mark.parametrize(("transport", "one", "other", "expected"), PUBLISHED)
def test_community_ids_are_those_published(
    transport: str, one: tuple[str, int], other: tuple[str, int], expected: str
) -> None:
    ends = [(pack_address(ip), port) for ip, port in (one, other)]
    assert community_id(transport, *ends) == community_id(transport, *reversed(ends)) == expected


def test_the_rule_of_the_vocabulary() -> None:
    assert local_serves(60000, 443, (True, False), {443})
    assert not local_serves(443, 60000, (False, True), {443})
    assert local_serves(443, 80, (False, False), {443})
    assert not local_serves(60001, 60000, (True, True), {443})
    assert local_serves(60000, 60000, (False, False), set())
