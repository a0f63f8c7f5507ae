"""The state follows from the breaker, the waiting writes and the cache, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory.layers.fallback.states import Standing, State, state_of
from orchestra_memory.resilience import breaker

CLOSED, OPEN = breaker.State.CLOSED, breaker.State.OPEN
PRIMARY = st.sampled_from(breaker.State)
WAITING = st.integers(0, 3)


@pytest.mark.parametrize(
    ("primary", "waiting", "bypassed", "state"),
    [
        (CLOSED, 0, False, State.NORMAL),
        (CLOSED, 0, True, State.CACHE_BYPASSED),
        (CLOSED, 1, False, State.RECOVERING),
        (CLOSED, 1, True, State.RECOVERING),
        (OPEN, 0, False, State.DEGRADED),
        (OPEN, 1, True, State.DEGRADED),
        (breaker.State.HALF_OPEN, 0, False, State.DEGRADED),
        (breaker.State.DRAINING, 0, False, State.RECOVERING),
    ],
)
def test_the_state_is(primary: breaker.State, waiting: int, bypassed: bool, state: State) -> None:
    assert state_of(primary, waiting, bypassed=bypassed) is state


@given(PRIMARY, WAITING, st.booleans())
def test_it_is_normal_only_if_nothing_is_amiss(
    primary: breaker.State, waiting: int, bypassed: bool
) -> None:
    state = state_of(primary, waiting, bypassed=bypassed)
    assert (state is State.NORMAL) == (primary is CLOSED and not waiting and not bypassed)


@given(PRIMARY, WAITING, WAITING, st.booleans())
def test_more_that_waits_never_makes_it_better(
    primary: breaker.State, few: int, more: int, bypassed: bool
) -> None:
    order = list(State)
    before = state_of(primary, few, bypassed=bypassed)
    after = state_of(primary, few + more, bypassed=bypassed)
    assert order.index(after) >= order.index(before)


def test_a_standing_tells_since_when() -> None:
    standing = Standing(State.NORMAL, 1.0)
    assert standing.moved(State.NORMAL, 2.0) == standing
    degraded = standing.moved(State.DEGRADED, 3.0)
    assert degraded == Standing(State.DEGRADED, 3.0)
    assert degraded.moved(State.DEGRADED, 4.0).since == 3.0
