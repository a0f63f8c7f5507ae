"""How much is under way at once, as the store takes it."""

from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import Overloaded
from orchestra_memory.resilience import concurrency
from orchestra_memory.resilience.concurrency import LEAST, MOST, SLOW, START, Allowance, Concurrency

PATIENT = settings(deadline=None)
TOOK = st.floats(1e-4, 100)
ALLOWED = st.floats(LEAST, MOST)
REQUESTS = st.lists(st.tuples(st.booleans(), st.floats(0, 1_000), TOOK), max_size=60)
"""Whether it was answered, when it began, and how long it took."""


def ended(allowance: Allowance, answered: bool, began: float, took: float) -> None:
    tell = allowance.answered if answered else allowance.refused
    tell(began, began + took)


@PATIENT
@given(REQUESTS)
def test_it_stays_between_one_and_eight(requests) -> None:
    allowance = Allowance()
    for answered, began, took in sorted(requests, key=lambda request: request[1] + request[2]):
        ended(allowance, answered, began, took)
        assert LEAST <= allowance.allowed <= MOST


@PATIENT
@given(ALLOWED, TOOK)
def test_a_quick_answer_allows_more_and_never_more_than_one_more(allowed, took) -> None:
    allowance = Allowance(allowed, quickest=took)
    allowance.answered(0, took)
    assert allowed < allowance.allowed <= allowed + 1 or allowance.allowed == MOST


@PATIENT
@given(ALLOWED, TOOK, st.floats(1.1, 1_000))
def test_a_slow_answer_allows_somewhat_less_and_a_refusal_half(allowed, took, times) -> None:
    slow, refused = Allowance(allowed, quickest=took), Allowance(allowed, quickest=took)
    slow.answered(0, took * SLOW * times)
    refused.refused(0, took)
    assert slow.allowed == max(LEAST, allowed * 0.9)
    assert refused.allowed == max(LEAST, allowed * 0.5)


@PATIENT
@given(ALLOWED, st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=40))
def test_it_is_halved_once_for_all_that_were_under_way_together(allowed, others) -> None:
    allowance = Allowance(allowed)
    allowance.refused(0.0, 10.0)
    once = allowance.allowed
    for began, took in others:
        # All of them began before the first refusal was known.
        allowance.refused(min(began, 9.999), 10.0 + took)
    assert allowance.allowed == once == max(LEAST, allowed / 2)
    allowance.refused(10.0, 11.0)
    assert allowance.allowed == max(LEAST, once / 2)


@PATIENT
@given(REQUESTS)
def test_it_is_lowered_at_most_once_in_a_round_trip(requests) -> None:
    allowance, known = Allowance(), float("-inf")
    for answered, began, took in sorted(requests, key=lambda request: request[1] + request[2]):
        before = replace(allowance)
        ended(allowance, answered, began, took)
        if allowance.allowed < before.allowed:
            assert began >= known
            known = began + took


@PATIENT
@given(st.lists(TOOK, min_size=1, max_size=40))
def test_the_quickest_answer_is_remembered_and_slowly_forgotten(times) -> None:
    allowance = Allowance()
    for took in times:
        before = allowance.quickest
        allowance.answered(0, took)
        assert allowance.quickest <= min(took, before * 1.01)
    assert allowance.quickest >= min(times)


def test_a_network_that_became_slower_is_taken_as_it_is_after_a_while() -> None:
    allowance = Allowance(quickest=0.01)
    for turn in range(1_000):
        allowance.answered(turn, turn + 0.1)
    assert allowance.allowed == MOST


def test_refusals_bring_it_to_one_and_answers_back_to_eight() -> None:
    allowance = Allowance()
    for turn in range(5):
        allowance.refused(turn, turn + 0.5)
    assert allowance.allowed == LEAST
    answers = 0
    while allowance.allowed < MOST:
        allowance.answered(100 + answers, 100 + answers + 0.1)
        answers += 1
    assert answers < 50


class Load:
    """Work under way beneath a :class:`Concurrency`."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.released = anyio.Event()

    async def begin(self, group: TaskGroup, limits: Concurrency, count: int = 20) -> None:
        """Begin so much work, and wait until nothing more of it is let in."""
        for _ in range(count):
            group.start_soon(self._work, limits)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()

    async def _work(self, limits: Concurrency) -> None:
        async with limits.slot():
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await self.released.wait()
            finally:
                self.now -= 1


class Ticking:
    """A clock on which everything takes a second."""

    def __init__(self) -> None:
        self._now = 0

    def monotonic(self) -> float:
        self._now += 1
        return float(self._now)


@pytest.fixture
def ticking(monkeypatch) -> None:
    monkeypatch.setattr(concurrency, "time", Ticking())


async def answered(limits: Concurrency, *, telling: bool = True) -> None:
    """Many requests, one after another, all answered equally quickly."""
    for _ in range(60):
        async with limits.slot(telling=telling):
            pass


@pytest.mark.anyio
async def test_it_lets_in_as_many_as_are_allowed() -> None:
    limits, load = Concurrency(), Load()
    async with anyio.create_task_group() as group:
        await load.begin(group, limits)
        assert load.now == START == limits.allowed
        load.released.set()
    assert START < limits.allowed <= MOST
    assert load.most <= MOST


@pytest.mark.anyio
@pytest.mark.usefixtures("ticking")
async def test_who_waits_is_let_in_as_more_is_allowed() -> None:
    limits, load = Concurrency(), Load()
    await answered(limits)
    async with anyio.create_task_group() as group:
        await load.begin(group, limits)
        assert load.now == MOST
        group.cancel_scope.cancel()
    assert load.now == 0
    assert limits.allowed == MOST


@pytest.mark.anyio
async def test_refusals_leave_one_at_a_time() -> None:
    limits = Concurrency()
    for _ in range(10):
        with pytest.raises(Overloaded):
            async with limits.slot():
                raise Overloaded("too much")
    assert limits.allowed == LEAST
    load = Load()
    async with anyio.create_task_group() as group:
        await load.begin(group, limits, 5)
        assert load.now == 1
        load.released.set()


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [ValueError, ConnectionError, KeyError])
async def test_other_failures_say_nothing_about_load(failure: Callable[[], Exception]) -> None:
    limits = Concurrency()
    for _ in range(10):
        with pytest.raises(failure):
            async with limits.slot():
                raise failure()
    assert limits.allowed == START


@pytest.mark.anyio
@pytest.mark.usefixtures("ticking")
async def test_a_small_request_is_no_measure() -> None:
    limits = Concurrency()
    await answered(limits, telling=False)
    assert limits.allowed == START


@pytest.mark.anyio
async def test_who_is_cancelled_while_waiting_or_working_takes_no_place() -> None:
    limits, load = Concurrency(), Load()
    async with anyio.create_task_group() as group:
        await load.begin(group, limits)
        group.cancel_scope.cancel()
    again = Load()
    async with anyio.create_task_group() as group:
        await again.begin(group, limits)
        assert again.now == START
        again.released.set()
