"""What is written is what is found again, port by port, and damage is noticed."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.registry.lines import TRANSPORTS, body, comment, compose, every_line, is_whole, lines_within

NAME = st.sampled_from(["", "a", "b"])
FACT = st.tuples(NAME, st.sampled_from(["", "Reserved", "Ein Höcker"]), st.sampled_from(["", "RFC 1"]))
PORT = st.one_of(st.integers(0, 40), st.integers(65500, 65535))
FACTS = st.dictionaries(
    st.tuples(PORT, st.sampled_from(TRANSPORTS)), st.lists(FACT, min_size=1, max_size=3), max_size=40
)


@settings(deadline=None)
@given(FACTS)
def test_every_fact_is_found_again(facts: dict[tuple[int, str], list[tuple[str, str, str]]]) -> None:
    lines = body(compose(facts, "a test", "2026-01-02"))
    for port in [*range(42), *range(65499, 65536)]:
        found: dict[str, list[tuple[str, str, str]]] = {}
        for _, transports, name, description, *reference in lines_within(lines, range(port, port + 1)).get(port, ()):
            for transport in transports.split(","):
                found.setdefault(transport, []).append((name, description, "".join(reference)))
        expected = {transport: set(said) for (number, transport), said in facts.items() if number == port}
        assert {transport: set(said) for transport, said in found.items()} == expected


@settings(deadline=None)
@given(FACTS, st.integers(0, 45), st.integers(0, 45))
def test_a_range_of_ports_is_found_as_each_of_them(
    facts: dict[tuple[int, str], list[tuple[str, str, str]]], first: int, last: int
) -> None:
    lines = body(compose(facts, "a test", "2026-01-02"))
    expected: dict[int, list[list[str]]] = {}
    for port in range(first, last + 1):
        expected |= lines_within(lines, range(port, port + 1))
    assert lines_within(lines, range(first, last + 1)) == expected


@settings(deadline=None)
@given(FACTS)
def test_lines_are_sorted_and_ranges_never_overlap_in_part(
    facts: dict[tuple[int, str], list[tuple[str, str, str]]],
) -> None:
    spans = [ports for ports, _ in every_line(body(compose(facts, "a test", "2026-01-02")))]
    for before, after in pairwise(spans):
        assert before == after or before.stop <= after.start


def test_neighbours_of_which_the_same_is_said_share_a_line() -> None:
    facts = {(port, transport): [("x", "X", "")] for port in (5, 6, 7, 9) for transport in ("tcp", "udp")}
    assert body(compose(facts, "", "")) == b"5-7\ttcp,udp\tx\tX\n9\ttcp,udp\tx\tX\n"


def test_the_order_of_what_is_said_is_kept() -> None:
    facts = {(80, "udp"): [("http", "", ""), ("www", "", "")], (80, "tcp"): [("http", "", ""), ("www", "", "")]}
    assert body(compose(facts, "", "")) == b"80\ttcp,udp\thttp\t\n80\ttcp,udp\twww\t\n"


def test_the_comments_say_where_it_is_from() -> None:
    data = compose({(1, "tcp"): [("a", "date: never", "")]}, "here: and there", "2026-01-02")
    assert comment(data, "source") == "here: and there"
    assert comment(data, "date") == "2026-01-02"
    assert comment(data, "colour") == ""
    assert comment(b"", "date") == ""


def test_a_file_may_hold_nothing() -> None:
    data = compose({}, "", "")
    assert is_whole(data)
    assert body(data) == b""
    assert lines_within(body(data), range(65536)) == {}
    assert body(b"# only a comment") == b""
    assert body(b"") == b""


@settings(deadline=None)
@given(FACTS, st.data())
def test_any_damage_is_noticed(facts: dict[tuple[int, str], list[tuple[str, str, str]]], data: st.DataObject) -> None:
    whole = compose(facts, "a test", "2026-01-02")
    assert is_whole(whole)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert not is_whole(whole[:cut])
    flipped = bytearray(whole)
    flipped[cut] ^= 1 << data.draw(st.integers(0, 7))
    assert not is_whole(bytes(flipped))
