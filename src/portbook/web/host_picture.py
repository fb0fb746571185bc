"""The picture of who talks with whom: where its boxes and lines stand, from flows to coordinates, and nothing else.

What of this host talks stands on the side where a line of text begins, its peers on the other; the more was said, the
thicker the line. The template draws what is placed here.
"""

from __future__ import annotations

from math import log1p
from typing import NamedTuple

from portbook.output.clean import clean, display_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_FLOWS = 20

WIDTH = 560
"""Of the picture, in its own units: about a pixel each."""

_BOX_WIDTH, _BOX_HEIGHT, _STEP = 200, 40, 50
_MARGIN = 5
_LETTERS = 25
"""Columns of text that a box holds."""
_LONGEST = 80
"""Columns of a text that stands beside the picture."""
_THINNEST, _THICKEST = 1.0, 9.0


class Flow(NamedTuple):
    """Conversations of one process of this host in one service with one peer; `volume` is in bytes, both ways."""

    process: str | None
    service: str
    peer: str
    conversations: int
    volume: int


class Box(NamedTuple):
    """A box with its upper left corner and its two lines of text, cut to what it holds."""

    x: float
    y: float
    upper: str
    lower: str


class Line(NamedTuple):
    """A line between two boxes: a path as SVG has it, its thickness, and its flow, with clean texts.

    `known` is whether anybody knows how much was said: of datagrams the kernel does not count it.
    """

    path: str
    thickness: float
    known: bool
    flow: Flow


class Picture(NamedTuple):
    """The boxes and lines, the height of it all, and how many conversations are not in it."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    height: float
    left_out: int
    width: int = WIDTH
    box_width: int = _BOX_WIDTH
    box_height: int = _BOX_HEIGHT


def picture(flows: Iterable[Flow], mirrored: bool = False, most: int = MOST_FLOWS) -> Picture:
    """Return the picture of the largest `most` flows; `mirrored` for those who read from right to left."""
    ordered = sorted(flows, key=lambda flow: (-flow.volume, -flow.conversations, *map(str, flow[:3])))
    drawn, rest = ordered[:most], ordered[most:]
    here = list(dict.fromkeys((flow.process, flow.service) for flow in drawn))
    places = {one: place for place, one in enumerate(here)}
    there = _uncrossed(drawn, places)
    rows = max(len(here), len(there))
    height = 2 * _MARGIN + max(rows * _STEP - (_STEP - _BOX_HEIGHT), 0)
    own_x, peer_x = _MARGIN, WIDTH - _MARGIN - _BOX_WIDTH
    if mirrored:
        own_x, peer_x = peer_x, own_x
    own_y = {one: _MARGIN + _offset(place, len(here), rows) for place, one in enumerate(here)}
    peer_y = {peer: _MARGIN + _offset(place, len(there), rows) for place, peer in enumerate(there)}
    boxes = [
        Box(own_x, y, *(cut(process), cut(service)) if process else (cut(service), ""))
        for (process, service), y in own_y.items()
    ]
    boxes += [Box(peer_x, y, cut(peer), "") for peer, y in peer_y.items()]
    largest = max((flow.volume for flow in drawn), default=0)
    inner = (own_x, peer_x + _BOX_WIDTH) if mirrored else (own_x + _BOX_WIDTH, peer_x)
    lines = [
        Line(
            _path(inner, own_y[flow.process, flow.service], peer_y[flow.peer]),
            _thickness(flow.volume, largest),
            flow.volume > 0,
            flow._replace(
                process=None if flow.process is None else cut(flow.process, _LONGEST),
                service=cut(flow.service, _LONGEST),
                peer=cut(flow.peer, _LONGEST),
            ),
        )
        for flow in drawn
    ]
    return Picture(tuple(boxes), tuple(lines), height, sum(flow.conversations for flow in rest))


def _uncrossed(flows: Sequence[Flow], places: Mapping[tuple[str | None, str], int]) -> list[str]:
    """Return the peers in the order of the boxes they are joined to, so that few lines cross."""
    joined: dict[str, list[int]] = {}
    for flow in flows:
        joined.setdefault(flow.peer, []).append(places[flow.process, flow.service])
    return sorted(joined, key=lambda peer: sum(joined[peer]) / len(joined[peer]))


def _offset(place: int, count: int, rows: int) -> float:
    """Return how far down a box stands; the shorter side stands in the middle."""
    return place * _STEP + (rows - count) * _STEP / 2


def _path(ends: tuple[float, float], own_y: float, peer_y: float) -> str:
    middle = (ends[0] + ends[1]) / 2
    own, peer = own_y + _BOX_HEIGHT / 2, peer_y + _BOX_HEIGHT / 2
    return f"M{ends[0]:g} {own:g}C{middle:g} {own:g} {middle:g} {peer:g} {ends[1]:g} {peer:g}"


def _thickness(volume: int, largest: int) -> float:
    """Return the thickness of a line: volumes differ by powers, so it grows by their logarithm."""
    if not largest:
        return _THINNEST
    return round(_THINNEST + (_THICKEST - _THINNEST) * log1p(volume) / log1p(largest), 1)


def cut(text: str, letters: int = _LETTERS) -> str:
    """Return clean text no wider than so many columns, what is too long with an ellipsis."""
    shown = clean(text[: 4 * letters])
    if display_width(shown) <= letters and len(text) <= 4 * letters:
        return shown
    while display_width(shown) > letters - 1:
        shown = shown[:-1]
    return shown + "…"
