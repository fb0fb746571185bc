"""The picture of a history: well-formed, complete, the same in every language, and mirrored where lines are."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portbook.web.checks import Check
from portbook.web.doors import DOORS
from portbook.web.languages import languages
from portbook.web.plot import MOST_BANDS, history_plot
from portbook.web.runs import NAMES

BEGUN = 1_790_000_000.0


def row(port: int, state: str, rtt_ms: float | None = None, ip: str = "192.0.2.7") -> dict[str, Any]:
    known = {"ip": ip, "port": port, "transport": "tcp", "state": state, "rtt_ms": rtt_ms}
    return {**dict.fromkeys(NAMES), **known}


def check(number: int, *rows: dict[str, Any], every: float = 3600) -> Check:
    return Check(number, 1, BEGUN + number * every, 2.0, False, (), rows, None, None)


def drawn(checks: list[Check], code: str = "en", host: str = "www.example.org") -> ElementTree.Element:
    return ElementTree.fromstring(history_plot(host, checks, languages()[code]))


def texts(svg: ElementTree.Element, kind: str) -> list[str]:
    return [one.text or "" for one in svg.iter("text") if one.get("class") == kind]


def bars(svg: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """Return the bars of a state in the bands, in the order of their x."""
    found = [rect for group in svg.iter("g") for rect in group.iter("rect") if rect.get("class") == f"state {kind}"]
    return sorted(found, key=lambda rect: float(rect.get("x", "")))


def test_nothing_is_drawn_of_no_history() -> None:
    assert history_plot("www.example.org", [], languages()["en"]) == ""


def test_a_band_for_each_port_with_a_bar_for_each_state() -> None:
    history = [
        check(0, row(22, "open", 10.0), row(80, "closed", 12.0)),
        check(1, row(22, "open", 10.0), row(80, "open", 12.0)),
        check(2, row(22, "open", 10.0), row(80, "filtered")),
    ]
    svg = drawn(history)
    assert texts(svg, "port") == ["22/tcp", "80/tcp"]
    first, second = sorted(bars(svg, "open"), key=lambda rect: float(rect.get("y", "")))
    assert float(first.get("width", "")) == pytest.approx(3 * float(second.get("width", "")), abs=0.3)
    assert len(bars(svg, "closed")) == 1
    assert len(bars(svg, "filtered")) == 1
    # Not by colour alone: a pattern over it, the word in it, and a legend.
    assert [rect.get("fill") for rect in svg.iter("rect") if rect.get("fill")].count("url(#plot-closed)") == 2
    assert {"plot-closed", "plot-filtered"} == {pattern.get("id") for pattern in svg.iter("pattern")}
    assert texts(svg, "word").count("open") == 2
    assert {"open", "closed", "filtered"} <= set(texts(svg, "axis"))
    assert svg.find("title") is not None
    assert svg.get("aria-labelledby") == "plot-title plot-about"


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    history = [check(0, row(22, "open", 10.0)), check(1), check(2, row(22, "open", 10.0))]
    svg = drawn(history)
    assert len(bars(svg, "open")) == 2
    assert len(list(svg.iter("polyline"))) == 2


def test_the_line_is_the_median_round_trip_time() -> None:
    svg = drawn([check(0, row(22, "open", 10.0), row(80, "open", 30.0), row(443, "closed", 14.0))])
    (circle,) = svg.iter("circle")
    assert (circle.findtext("title") or "").startswith("14 ms")


def test_addresses_are_named_where_there_are_several() -> None:
    svg = drawn([check(0, row(22, "open"), row(22, "open", ip="2001:db8::7"))])
    assert texts(svg, "port") == ["22/tcp 192.0.2.7", "22/tcp 2001:db8::7"]


def test_of_many_ports_those_are_drawn_that_changed_or_are_open() -> None:
    many = [row(port, "closed") for port in range(1, 101)]
    first = check(0, *many, row(1000, "open"), row(2000, "closed"))
    second = check(1, *many, row(1000, "open"), row(2000, "filtered"))
    svg = drawn([first, second])
    names = texts(svg, "port")
    assert len(names) == MOST_BANDS
    assert names[:2] == ["2000/tcp", "1000/tcp"]
    assert texts(svg, "more") == [f"{102 - MOST_BANDS} more ports are not drawn"]


def test_time_runs_as_lines_do() -> None:
    history = [check(0, row(22, "open", 1.0)), check(1, row(22, "closed", 1.0))]
    (left_open,), (left_closed,) = (bars(drawn(history), kind) for kind in ("open", "closed"))
    (right_open,), (right_closed,) = (bars(drawn(history, "ar"), kind) for kind in ("open", "closed"))
    assert float(left_open.get("x", "")) < float(left_closed.get("x", ""))
    assert float(right_open.get("x", "")) > float(right_closed.get("x", ""))


@pytest.mark.parametrize("code", list(languages()))
def test_every_language_writes_its_own_axis(code: str) -> None:
    history = [check(n, row(22, "open", 1234.5), every=86400) for n in range(10)]
    svg = drawn(history, code)
    assert all(text.strip() for text in texts(svg, "axis"))
    assert len(texts(svg, "axis")) >= 6


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 65535), st.sampled_from(list(DOORS)), st.none() | st.floats(0, 1e7)),
            max_size=50,
            unique_by=lambda one: one[0],
        ),
        min_size=1,
        max_size=8,
    ),
    st.floats(0.001, 3e7),
    st.sampled_from(["en", "ar", "ja"]),
)
def test_any_history_is_well_formed_and_stays_in_its_frame(
    history: list[list[tuple[int, str, float | None]]], every: float, code: str
) -> None:
    checks = [check(n, *(row(*one) for one in rows), every=every) for n, rows in enumerate(history)]
    text = history_plot("<b>&\"'", checks, languages()[code])
    assert "<b>" not in text
    assert "style=" not in text
    assert not re.search(r"\b(nan|inf)\b", text)
    svg = ElementTree.fromstring(text)
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    for rect in svg.iter("rect"):
        left, top = float(rect.get("x", "")), float(rect.get("y", ""))
        assert -1 <= left <= left + float(rect.get("width", "")) <= width + 2
        assert 0 <= top <= top + float(rect.get("height", "")) <= height
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.get("cx", "")) <= width
        assert 0 <= float(circle.get("cy", "")) <= height
