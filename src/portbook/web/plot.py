"""The picture of a target's history: a band for each port that shows its state over time, and the round-trip time.

From checks to SVG (version 1.1) and nothing else; a state is told by its name, its pattern and its colour, which
targets.css gives. Where lines run from right to left, so does time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby, pairwise
from math import ceil, log10
from statistics import median
from typing import NamedTuple

from babel.dates import format_skeleton, format_time
from markupsafe import Markup, escape

from portbook.errors import N_
from portbook.web.doors import DOORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portbook.web.checks import Check
    from portbook.web.languages import Language

    Endpoint = tuple[str, int, str]

MOST_BANDS = 32
"""The ports that ever answered otherwise, and then the open ones, come first."""

_WIDTH, _MARGIN, _TOP = 900.0, 40.0, 12.0
_NARROWEST, _WIDEST = 64.0, 300.0
"""Of the names of the ports."""
_BAND, _BAR = 26.0, 18.0
_LINE_HEIGHT, _GAP, _AXIS = 90.0, 26.0, 42.0
_LEGEND, _PER_ROW = 24.0, 4
_LETTER = 8.5
"""The width of a letter at most, where it is to be known whether a word fits."""
_MOST_TICKS = 6
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    *(_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY, 3650 * _DAY),
)

_TITLE = N_("The answers of {host} over time")
_FROM_TO = N_("From {begin} to {end} (UTC)")
_RTT = N_("Round-trip time in milliseconds (median)")

_PATTERNS = {
    "closed": "M0 8L8 0M-2 2L2 -2M6 10L10 6",
    "rejected": "M0 0L8 8M0 8L8 0",
    "filtered": "M2 2h1M6 6h1",
    "open-filtered": "M1 4h3",
    "unreachable": "M0 2h8M0 6h8",
    "error": "M2 0v8M6 0v8",
}
"""What is drawn over the colour of a state, in squares of 8."""


class _Span(NamedTuple):
    """A port's state from one moment to another; None where nothing is known of it."""

    state: str | None
    begin: float
    end: float


class _Frame(NamedTuple):
    """Where things stand: moments to the right, or to the left."""

    begin: float
    end: float
    gutter: float
    mirrored: bool

    def x(self, moment: float) -> float:
        """Return where a moment is."""
        part = (moment - self.begin) / (self.end - self.begin)
        return self.at(self.gutter + part * (_WIDTH - self.gutter - _MARGIN))

    def at(self, x: float) -> float:
        """Return a distance from the side on which lines begin as one from the left."""
        return _WIDTH - x if self.mirrored else x

    @property
    def anchor(self) -> str:
        """Where a text is held that ends at the axis."""
        return "start" if self.mirrored else "end"


def history_plot(host: str, checks: Sequence[Check], language: Language) -> Markup:
    """Return the picture of these checks, the oldest first, as an SVG element; nothing for none."""
    if not checks:
        return Markup("")
    begins = [check.begun for check in checks]
    steps = [after - before for before, after in pairwise(begins)]
    end = begins[-1] + max(median(steps) if steps else 0.0, checks[-1].seconds, 1.0)
    bands = _bands(checks, end)
    shown = bands[:MOST_BANDS]
    several = len({endpoint[0] for endpoint, _ in bands}) > 1
    names = [_named(endpoint, several) for endpoint, _ in shown]
    gutter = min(_WIDEST, max(_NARROWEST, *(len(name) * _LETTER for name in names), 0.0)) + 8
    frame = _Frame(begins[0], end, gutter, language.direction == "rtl")
    bottom = _TOP + len(shown) * _BAND
    line_top = bottom + _GAP
    axis = line_top + _LINE_HEIGHT
    states = list(dict.fromkeys(span.state for _, spans in shown for span in spans if span.state is not None))
    height = axis + _AXIS + _LEGEND * ceil(len(states) / _PER_ROW) + 8
    said = {"begin": _moment(begins[0], language), "end": _moment(begins[-1], language)}
    pieces = [
        Markup(
            '<svg class="history" viewBox="0 0 {} {}" role="img" direction="ltr"'
            ' aria-labelledby="plot-title plot-about">'
            '<title id="plot-title">{}</title><desc id="plot-about">{}</desc>'
        ).format(_n(_WIDTH), _n(height), language.say(_TITLE, host=host), language.say(_FROM_TO, **said)),
        _patterns(states),
        *_ticks(frame, bottom, line_top, axis, language),
        *(
            piece
            for row, (name, (_, spans)) in enumerate(zip(names, shown, strict=True))
            for piece in _drawn(frame, _TOP + row * _BAND, name, spans, language)
        ),
        *_round_trips(frame, checks, line_top, language),
        *_legend(frame, axis + _AXIS, states, language),
    ]
    if len(bands) > len(shown):
        ngettext = language.plural
        more = ngettext("{count} more port is not drawn", "{count} more ports are not drawn", len(bands) - len(shown))
        pieces.append(_text(frame.at(_WIDTH - _MARGIN), bottom + 12, more, frame.anchor, "more"))
    return Markup("").join((*pieces, Markup("</svg>\n")))


def _bands(checks: Sequence[Check], end: float) -> list[tuple[Endpoint, list[_Span]]]:
    """Return each port with its states over time; those that say most come first."""
    states = [{(row["ip"], row["port"], row["transport"]): row["state"] for row in check.rows} for check in checks]
    ends = [*(check.begun for check in checks[1:]), end]
    found = []
    for endpoint in sorted({endpoint for known in states for endpoint in known}):
        said = [
            _Span(known.get(endpoint), check.begun, until)
            for known, check, until in zip(states, checks, ends, strict=True)
        ]
        together = (list(spans) for _, spans in groupby(said, key=lambda span: span.state))
        found.append((endpoint, [_Span(spans[0].state, spans[0].begin, spans[-1].end) for spans in together]))
    if len(found) <= MOST_BANDS:
        return found

    def rank(band: tuple[Endpoint, list[_Span]]) -> int:
        known = {span.state for span in band[1] if span.state is not None}
        return 0 if len(known) > 1 else 1 if "open" in known else 2

    return sorted(found, key=rank)


def _named(endpoint: Endpoint, several: bool) -> str:
    ip, port, transport = endpoint
    return f"{port}/{transport} {ip}" if several else f"{port}/{transport}"


def _drawn(frame: _Frame, top: float, name: str, spans: Sequence[_Span], language: Language) -> Iterator[Markup]:
    """Yield the band of one port: its name, and a bar for each time in which it was in one state."""
    yield _text(frame.at(frame.gutter - 8), top + 14, name, frame.anchor, "port")
    for span in spans:
        if span.state is None:
            continue
        word = language.plain(DOORS[span.state].name)
        left, right = sorted((frame.x(span.begin), frame.x(span.end)))
        box = Markup('x="{}" y="{}" width="{}" height="{}"').format(
            _n(left), _n(top), _n(max(right - left, 1.5)), _n(_BAR)
        )
        kind = span.state.replace("|", "-")
        told = _moment(span.begin, language)
        yield Markup('<g><title>{}</title><rect class="state {}" {}/>').format(f"{name}: {word}, {told}", kind, box)
        if kind in _PATTERNS:
            yield Markup('<rect fill="url(#plot-{})" {}/>').format(kind, box)
        if right - left > len(word) * _LETTER + 8:
            middle = (left + right) / 2
            half = len(word) * _LETTER / 2
            yield Markup('<rect class="label" x="{}" y="{}" width="{}" height="14" rx="2"/>').format(
                _n(middle - half), _n(top + 2), _n(2 * half)
            )
            yield _text(middle, top + 13, word, "middle", "word")
        yield Markup("</g>")


def _round_trips(frame: _Frame, checks: Sequence[Check], top: float, language: Language) -> Iterator[Markup]:
    """Yield the line of the round-trip times, broken where none is known, and its scale."""
    times = [(check.begun, [row["rtt_ms"] for row in check.rows if row["rtt_ms"] is not None]) for check in checks]
    points = [(begun, median(known) if known else None) for begun, known in times]
    most = _round_up(max((value for _, value in points if value is not None), default=1.0))
    yield _text(frame.at(frame.gutter), top - 8, language.plain(_RTT), _mirrored(frame.anchor), "axis")
    for part in (0.0, 0.5, 1.0):
        y = top + _LINE_HEIGHT * (1 - part)
        yield _text(frame.at(frame.gutter - 8), y + 4, language.number(most * part, 3), frame.anchor, "axis")
        yield _rule(frame.at(frame.gutter), y, frame.at(_WIDTH - _MARGIN), y)
    for known, group in groupby(points, key=lambda point: point[1] is not None):
        if not known:
            continue
        there = [
            (frame.x(begun), top + _LINE_HEIGHT * (1 - (value or 0.0) / most), begun, value) for begun, value in group
        ]
        line = " ".join(f"{_n(x)},{_n(y)}" for x, y, _, _ in there)
        yield Markup('<polyline class="rtt" points="{}"/>').format(line)
        for x, y, begun, value in there:
            told = f"{language.number(value or 0.0, 3)} ms, {_moment(begun, language)}"
            yield Markup('<circle class="rtt" cx="{}" cy="{}" r="2.5"><title>{}</title></circle>').format(
                _n(x), _n(y), told
            )


def _round_up(value: float) -> float:
    """Return the next number of 1, 2 or 5 times a power of ten, which a scale can end at."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (ceil(log10(value)) - 1)
    return float(next((step * power for step in (1, 2, 5, 10) if step * power >= value), 10 * power))


def _ticks(frame: _Frame, bands: float, line: float, axis: float, language: Language) -> Iterator[Markup]:
    """Yield the lines and the words of the axis of time, at round moments in UTC."""
    step = next((step for step in _STEPS if (frame.end - frame.begin) / step <= _MOST_TICKS), _STEPS[-1])
    at = ceil(frame.begin / step) * step
    moments = [at + step * number for number in range(_MOST_TICKS + 1) if at + step * number <= frame.end]
    day = None
    for tick in moments or (frame.begin,):
        x = frame.x(tick)
        yield _rule(x, _TOP, x, bands)
        yield _rule(x, line, x, axis)
        when = datetime.fromtimestamp(tick, UTC)
        if step < _DAY:
            yield _text(x, axis + 16, format_time(when, "short", tzinfo=UTC, locale=language.code), "middle", "axis")
        if when.date() != day:
            day = when.date()
            skeleton = "yMMM" if step > 30 * _DAY else "MMMd"
            words = format_skeleton(skeleton, when, tzinfo=UTC, locale=language.code)
            yield _text(x, axis + (32 if step < _DAY else 16), words, "middle", "axis")


def _legend(frame: _Frame, top: float, states: Sequence[str], language: Language) -> Iterator[Markup]:
    """Yield a sample of each state with its name."""
    for number, state in enumerate(states):
        x = frame.gutter + (number % _PER_ROW) * (_WIDTH - frame.gutter) / _PER_ROW
        y = top + number // _PER_ROW * _LEGEND
        kind = state.replace("|", "-")
        box = Markup('x="{}" y="{}" width="24" height="14"').format(_n(min(frame.at(x), frame.at(x + 24))), _n(y))
        yield Markup('<rect class="state {}" {}/>').format(kind, box)
        if kind in _PATTERNS:
            yield Markup('<rect fill="url(#plot-{})" {}/>').format(kind, box)
        name = language.plain(DOORS[state].name)
        yield _text(frame.at(x + 30), y + 12, name, _mirrored(frame.anchor), "axis")


def _patterns(states: Sequence[str]) -> Markup:
    drawn = (
        Markup(
            '<pattern id="plot-{}" width="8" height="8" patternUnits="userSpaceOnUse"><path class="pattern" d="{}"/>'
            "</pattern>"
        ).format(kind, _PATTERNS[kind])
        for kind in (state.replace("|", "-") for state in states)
        if kind in _PATTERNS
    )
    return Markup("<defs>{}</defs>").format(Markup("").join(drawn))


def _text(x: float, y: float, words: str, anchor: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, _n(x), _n(y), anchor, escape(words)
    )


def _rule(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="rule" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(_n(x1), _n(y1), _n(x2), _n(y2))


def _mirrored(anchor: str) -> str:
    return "end" if anchor == "start" else "start"


def _moment(seconds: float, language: Language) -> str:
    return language.time(datetime.fromtimestamp(seconds, UTC), "medium")


def _n(value: float) -> str:
    """Return a number of SVG, without digits that nobody sees."""
    return f"{value:.1f}".removesuffix(".0")
