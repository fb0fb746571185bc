"""The pace as figures: what a bucket gives, how the rate follows the losses, how far silence is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.probe.pace import DOUBT, Bucket, Pace, syn_tries

steps = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 300)), max_size=60)
fates = st.lists(st.booleans(), max_size=200)


@given(st.floats(1, 1e5), st.floats(1, 500), steps)
def test_a_bucket_gives_no_more_than_rate_and_depth_allow(
    rate: float, depth: float, wanted: list[tuple[float, int]]
) -> None:
    bucket = Bucket(rate, depth)
    now, given_out = 0.0, 0
    for pause, most in wanted:
        now += pause
        taken = bucket.take(now, most)
        assert 0 <= taken <= most
        given_out += taken
        assert given_out <= depth + now * rate + 1e-3


@given(st.floats(1, 1e5), st.floats(1, 500))
def test_the_next_token_is_there_after_the_wait(rate: float, depth: float) -> None:
    bucket = Bucket(rate, depth)
    while bucket.take(0.0, 1000):
        pass
    assert 0 < bucket.wait() <= 1 / rate
    assert bucket.take(bucket.wait() * 1.001 + 1e-9, 1) == 1


@given(st.floats(1, 500), st.integers(0, 1000))
def test_what_is_given_back_never_overflows(depth: float, count: int) -> None:
    bucket = Bucket(1.0, depth)
    bucket.give(count)
    assert bucket.take(0.0, 10_000) == int(min(depth, 1 + count))


@given(st.floats(1, 1e5), fates)
def test_the_rate_stays_within_its_bounds(most: float, answered: list[bool]) -> None:
    pace = Pace(most, most)
    for moment, fate in enumerate(answered):
        before = pace.rate
        (pace.answered if fate else pace.lost)(float(moment))
        assert min(20.0, most) <= pace.rate <= most
        assert (pace.rate >= before) if fate else (pace.rate <= before)
        assert pace.loss is not None
        assert 0 <= pace.loss <= 1


def test_one_loss_halves_nothing_and_many_do_once_a_second() -> None:
    pace = Pace(1000.0, 1000.0)
    for moment in (2.0, 2.1, 2.2):
        pace.lost(moment)
        assert pace.rate == 1000
    pace.lost(2.3)
    pace.lost(2.4)
    assert pace.rate == 500
    pace.lost(3.4)
    assert pace.rate == 250
    for step in range(200):
        pace.answered(4.0 + step)
    assert pace.rate == 1000


def test_tries_are_saved_only_where_canaries_show_that_nothing_is_lost() -> None:
    pace = Pace(1000.0, 1000.0)
    assert pace.needed_tries() == 4
    for step in range(19):
        pace.answered(step * 0.1)
    assert pace.needed_tries() == 4
    pace.answered(2.0)
    assert pace.needed_tries() == 3
    pace.lost(2.1)
    assert pace.needed_tries() == 4


def test_without_a_canary_silence_is_all_that_is_known() -> None:
    assert Pace(1000.0, 1000.0).doubt(4, 0.0) == 0


@given(fates, st.integers(0, 200))
def test_doubt_goes_by_the_highest_loss_since_then(answered: list[bool], since: int) -> None:
    pace, losses = Pace(1000.0, 1000.0), []
    for moment, fate in enumerate(answered):
        (pace.answered if fate else pace.lost)(float(moment))
        assert pace.loss is not None
        losses.append(pace.loss)
    if not losses:
        return
    # The loss of the moment counts too, which was measured before.
    highest = max(losses[min(since, len(losses) - 1) :])
    told = pace.doubt(1, float(since))
    assert told >= highest
    # Of few canaries more is feared than was seen; where very many were lost silence means nothing.
    most = max(*losses, 0.05 if len(losses) < 5 else 0.0)
    assert told == 1.0 if highest > 0.15 else told <= (1.0 if most > 0.15 else most)
    assert pace.doubt(4, float(since)) == pytest.approx(told**2)


@given(fates)
def test_doubt_ends_after_a_few_looks_at_any_loss_that_the_pace_allows(answered: list[bool]) -> None:
    pace = Pace(1000.0, 1000.0)
    for moment, fate in enumerate(answered):
        (pace.answered if fate else pace.lost)(float(moment))
    one = min(pace.doubt(4, 1e6), 0.15**2)
    assert one**4 <= DOUBT


@given(st.floats(0, 300), st.floats(0, 300))
def test_more_time_is_never_fewer_tries(one: float, other: float) -> None:
    assert syn_tries(min(one, other)) <= syn_tries(max(one, other))


@pytest.mark.parametrize(
    ("seconds", "tries"),
    [(0.0, 1), (0.999, 1), (1.0, 2), (3.2, 4), (4.0, 5), (5.0, 6), (6.9, 6), (7.0, 7), (10.9, 7), (11.0, 8)],
)
def test_the_times_of_the_syns(seconds: float, tries: int) -> None:
    assert syn_tries(seconds) == tries
