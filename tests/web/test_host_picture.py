from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from portbook.output.clean import display_width
from portbook.web.host_picture import MOST_FLOWS, Flow, Picture, cut, picture

WEB = Flow("nginx", "https", "198.51.100.7", 3, 5_000_000)
DATABASE = Flow("app", "postgresql", "198.51.100.8", 1, 400)
NAMES = Flow(None, "domain", "198.51.100.7", 1, 0)

flows = st.builds(
    Flow,
    st.none() | st.text(max_size=200),
    st.text(min_size=1, max_size=40),
    st.ip_addresses().map(str),
    st.integers(1, 10_000),
    st.integers(0, 2**63),
)


def ends(made: Picture, place: int) -> tuple[float, float, float, float]:
    """Return where a line begins and ends: x, y, x, y."""
    numbers = [float(number) for number in re.findall(r"-?[\d.e+]+", made.lines[place].path)]
    assert len(numbers) == 8
    return numbers[0], numbers[1], numbers[6], numbers[7]


def test_what_talks_here_is_on_the_left_and_its_peers_on_the_right() -> None:
    made = picture([DATABASE, WEB])
    own = [box for box in made.boxes if box.x < made.width / 2]
    peers = [box for box in made.boxes if box.x > made.width / 2]
    assert [(box.upper, box.lower) for box in own] == [("nginx", "https"), ("app", "postgresql")]
    assert {box.upper for box in peers} == {"198.51.100.7", "198.51.100.8"}


def test_it_is_mirrored_for_those_who_read_from_right_to_left() -> None:
    usual, mirrored = picture([WEB, DATABASE]), picture([WEB, DATABASE], mirrored=True)
    for one, other in zip(usual.boxes, mirrored.boxes, strict=True):
        assert one.x + usual.box_width == usual.width - other.x
        assert one._replace(x=0) == other._replace(x=0)
    for place in range(len(usual.lines)):
        begin, end = ends(usual, place)[::2]
        assert (usual.width - begin, usual.width - end) == ends(mirrored, place)[::2]


def test_one_peer_of_two_services_is_one_box() -> None:
    made = picture([WEB, NAMES])
    assert sorted(box.upper for box in made.boxes) == ["198.51.100.7", "domain", "nginx"]
    assert len(made.lines) == 2


def test_more_said_is_a_thicker_line_and_what_nobody_counts_is_told_apart() -> None:
    made = picture([NAMES, DATABASE, WEB])
    assert [line.flow.service for line in made.lines] == ["https", "postgresql", "domain"]
    assert made.lines[0].thickness > made.lines[1].thickness > made.lines[2].thickness > 0
    assert [line.known for line in made.lines] == [True, True, False]


def test_the_largest_are_drawn_and_the_rest_is_counted() -> None:
    many = [Flow("app", str(port), "198.51.100.9", 2, port) for port in range(1, 101)]
    made = picture(many)
    assert [line.flow.volume for line in made.lines] == list(range(100, 100 - MOST_FLOWS, -1))
    assert made.left_out == 2 * (100 - MOST_FLOWS)


def test_nothing_is_no_picture() -> None:
    assert picture([]) == Picture((), (), 10, 0)


def test_a_hostile_name_is_cut_and_cleaned() -> None:
    made = picture([Flow("\x1b[31m\u202e" + "x" * 1_000_000, "https\n", "198.51.100.7", 1, 1)])
    assert made.boxes[0].upper.startswith("\\x1b[31m\\u202e")
    assert made.boxes[0].lower == "https\\n"
    assert made.lines[0].flow.process is not None
    assert len(made.lines[0].flow.process) <= 80


@given(st.text(max_size=300))
def test_a_cut_text_is_no_wider_than_asked(text: str) -> None:
    shown = cut(text, 25)
    assert display_width(shown) <= 25
    assert shown.isprintable()


@given(st.lists(flows, max_size=60), st.booleans())
def test_every_line_joins_two_boxes_within_the_picture(given_flows: list[Flow], mirrored: bool) -> None:
    made = picture(given_flows, mirrored)
    sides = {(box.x, box.y + made.box_height / 2) for box in made.boxes}
    sides |= {(box.x + made.box_width, box.y + made.box_height / 2) for box in made.boxes}
    for place, line in enumerate(made.lines):
        begin_x, begin_y, end_x, end_y = ends(made, place)
        assert {(begin_x, begin_y), (end_x, end_y)} <= sides
        assert 0 < line.thickness <= 9
    for box in made.boxes:
        assert box.x >= 0
        assert box.x + made.box_width <= made.width
        assert box.y >= 0
        assert box.y + made.box_height <= made.height
    drawn = {(line.flow.peer, line.flow.conversations, line.flow.volume) for line in made.lines}
    assert len(made.lines) == min(len(given_flows), MOST_FLOWS)
    assert drawn <= {(flow.peer, flow.conversations, flow.volume) for flow in given_flows}
    shown = sum(line.flow.conversations for line in made.lines)
    assert shown + made.left_out == sum(flow.conversations for flow in given_flows)
