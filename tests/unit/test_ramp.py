"""How fast traffic to new collections may grow."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory.resilience.ramp import GROWTH, PERIOD, RATE, Ramp

YEAR = 365 * 86_400.0
CLOCKS = st.floats(0, 1e6)
OPERATIONS = st.integers(1, 400)
PATIENT = settings(deadline=None)


def bound(seconds: float) -> float:
    """Operations that may have begun so many seconds after the first, by the rule's own words."""
    begun, rate = 0.0, RATE
    while seconds > PERIOD:
        begun, rate, seconds = begun + rate * PERIOD, rate * GROWTH, seconds - PERIOD
    return begun + rate * seconds


@PATIENT
@given(CLOCKS)
def test_it_begins_with_five_hundred_operations_a_second(now) -> None:
    assert Ramp().rate(now) == 500
    assert Ramp(began=now).rate(now + PERIOD / 2) == 500


@pytest.mark.parametrize(
    ("minutes", "rate"), [(4.9, 500), (5.1, 750), (10.1, 1_125), (60.1, 64_873)]
)
def test_it_grows_by_half_every_five_minutes(minutes: float, rate: int) -> None:
    assert Ramp(began=100.0).rate(100.0 + minutes * 60) == pytest.approx(rate, abs=1)


@PATIENT
@given(CLOCKS, st.floats(0, 100 * YEAR), st.floats(0, 100 * YEAR))
def test_it_never_shrinks_and_never_ends(began, earlier, later) -> None:
    ramp = Ramp(began=began)
    earlier, later = sorted((earlier, later))
    assert RATE <= ramp.rate(began + earlier) <= ramp.rate(began + later) < math.inf


@PATIENT
@given(CLOCKS, st.lists(st.tuples(st.floats(0, 200), OPERATIONS), min_size=1, max_size=60))
def test_no_more_begin_than_the_rule_allows(clock, asked) -> None:
    ramp, first, begun = Ramp(), clock, 0
    for gap, operations in asked:
        clock += gap
        pause = ramp.pause(operations, clock)
        assert pause >= 0
        # Those before it have begun by then; this chunk begins as a whole.
        assert begun <= bound(clock + pause - first) + 1e-3
        begun += operations


@PATIENT
@given(CLOCKS, st.lists(OPERATIONS, min_size=2, max_size=30))
def test_what_is_asked_at_once_begins_one_after_another_at_the_rate(clock, chunks) -> None:
    ramp = Ramp()
    starts = [ramp.pause(operations, clock) for operations in chunks]
    assert starts[0] == 0
    for n, operations in enumerate(chunks[:-1]):
        assert starts[n + 1] - starts[n] == pytest.approx(operations / RATE, abs=1e-6)


@PATIENT
@given(CLOCKS, OPERATIONS, st.floats(0, 1e4))
def test_who_comes_when_all_is_free_waits_not_at_all(clock, operations, idle) -> None:
    ramp = Ramp()
    ramp.pause(operations, clock)
    assert ramp.pause(operations, clock + operations / RATE + 1e-3 + idle) == 0


def test_time_that_nobody_used_is_not_saved_up() -> None:
    ramp = Ramp()
    ramp.pause(400, 0.0)
    assert ramp.pause(400, 100.0) == 0
    assert ramp.pause(400, 100.0) == pytest.approx(400 / RATE)
