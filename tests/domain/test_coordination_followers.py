"""Who follows the events has each of them, whatever happens in between."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    Conflict,
    CoordinationEvent,
    FallbackMemory,
    GuardedMemory,
    InvalidQuery,
    LocalMemory,
    Query,
    Unavailable,
)
from orchestra_memory.domain.coordination import Coordination
from orchestra_memory.domain.followers import MOST, Follower, Progress
from orchestra_memory.layers.fallback.conflicts import Conflicted
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.faults import FaultyMemory
from orchestra_memory.values import EPOCH

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
OVERLAP = timedelta(seconds=10)


def event(name: str, seconds: float | None = None) -> CoordinationEvent:
    at = None if seconds is None else NOON + timedelta(seconds=seconds)
    return CoordinationEvent(event_id=name, event_type="spawn", timestamp=NOON, committed_at=at)


async def tell(coordination: Coordination, *names: str) -> None:
    for name in names:
        await coordination.record(event(name))


async def handled(coordination: Coordination, consumer: str = "c", **arguments) -> list[str]:
    """All that `consumer` has not handled yet."""
    async with coordination.follow(consumer, wait=False, **arguments) as events:
        return [each.event_id async for each in events]


async def handled_until(coordination: Coordination, place: int) -> list[str]:
    """What a consumer was told up to the event, counted from 1, at which it failed."""
    seen: list[str] = []
    with suppress(ZeroDivisionError):
        async with coordination.follow("c", wait=False) as events:
            async for each in events:
                seen.append(each.event_id)
                _ = 1 / (place - len(seen))
    return seen


@pytest.fixture
def coordination(memory) -> Coordination:
    return Coordination(memory)


class TestEveryStack:
    async def test_a_new_consumer_has_all_events_in_the_order_of_their_commits(self, coordination):
        names = [f"e{number}" for number in range(9)]
        await tell(coordination, *names)
        found = await handled(coordination)
        assert sorted(found) == names

    async def test_commits_one_after_another_are_followed_in_that_order(self, coordination):
        for name in ("z", "a", "m"):
            await tell(coordination, name)
            assert name in await handled(coordination, name)
            # A store's clock may tick in milliseconds.
            await anyio.sleep(0.002)
        assert await handled(coordination) == ["z", "a", "m"]

    @pytest.mark.decided
    async def test_it_goes_on_where_the_consumer_was(self, memory, coordination):
        await tell(coordination, "a", "b")
        assert len(await handled(coordination)) == 2
        assert await handled(coordination) == []
        await tell(coordination, "c")
        assert await handled(Coordination(memory)) == ["c"]
        assert len(await handled(coordination, "another")) == 3

    @pytest.mark.decided
    async def test_what_was_not_handled_comes_again(self, coordination):
        await tell(coordination, "a")
        assert await handled_until(coordination, 1) == ["a"]
        assert await handled(coordination) == ["a"]

    @pytest.mark.decided
    async def test_leaving_the_loop_has_the_last_one_handled(self, coordination):
        await tell(coordination, *"abcde")
        async with coordination.follow("c", wait=False) as events:
            seen = []
            async for each in events:
                seen.append(each.event_id)
                if len(seen) == 2:
                    break
        rest = await handled(coordination)
        assert sorted(seen + rest) == list("abcde")

    @pytest.mark.decided
    async def test_an_error_leaves_the_ones_before_handled(self, coordination):
        await tell(coordination, *"abc")
        seen = await handled_until(coordination, 3)
        assert await handled(coordination) == seen[2:]

    async def test_who_waits_is_told_of_what_comes(self, coordination):
        with anyio.fail_after(30):
            async with (
                coordination.follow("c", every=0.01) as events,
                anyio.create_task_group() as group,
            ):
                group.start_soon(tell, coordination, "late")
                async for each in events:
                    assert each.event_id == "late"
                    break

    async def test_a_consumer_can_begin_later_than_at_the_first_event(self, coordination):
        await coordination.record(event("old", 0))
        await tell(coordination, "new")
        assert await handled(coordination, since=NOON + timedelta(days=1)) == ["new"]

    @pytest.mark.decided
    async def test_an_event_that_is_corrected_is_not_told_again(self, memory, coordination):
        await tell(coordination, "a")
        assert await handled(coordination) == ["a"]
        await memory.update(CoordinationEvent, "a", lambda each: each.evolve(success=True))
        assert await handled(coordination) == []


class TestBounds:
    @pytest.fixture
    def store(self, use_backend) -> FaultyMemory:
        use_backend("local")
        return FaultyMemory(LocalMemory())

    @pytest.fixture
    def coordination(self, store) -> Coordination:
        return Coordination(store)

    async def test_many_pages_come_whole(self, coordination, store):
        names = {f"e{number}" for number in range(650)}
        await store.put_many(event(name, seconds=hash(name) % 500) for name in names)
        found = await handled(coordination)
        assert len(found) == 650
        assert set(found) == names

    async def test_two_with_one_name_do_not_go_on_side_by_side(self, coordination):
        await tell(coordination, "a", "b")
        events = coordination.follow("c", wait=False)
        await events.__aenter__()
        assert await anext(events)
        assert len(await handled(coordination)) == 2
        with pytest.raises(Conflict, match="name"):
            await events.__aexit__(None, None, None)

    async def test_a_save_whose_answer_was_lost_is_no_conflict(self, coordination, store):
        await tell(coordination, "a")
        async with coordination.follow("c", wait=False) as events:
            store.lose_answers("write", times=1)
            assert [each.event_id async for each in events] == ["a"]
            await tell(coordination, "b")
        assert await handled(coordination) == ["b"]

    async def test_an_outage_is_waited_out_by_who_waits(self, coordination, store, caplog):
        await tell(coordination, "a")
        store.fail("find", times=3)
        with anyio.fail_after(30):
            async with coordination.follow("c", every=0.001) as events:
                assert (await anext(events)).event_id == "a"
        assert caplog.messages == ["events cannot be followed for now: the store is away"]

    async def test_an_outage_is_an_error_for_who_does_not_wait(self, coordination, store):
        store.fail("find")
        with pytest.raises(Unavailable):
            await handled(coordination)

    @pytest.mark.parametrize("wrong", [{"every": 0.0}, {"every": -1.0}, {"overlap": -0.1}])
    def test_spans_that_make_no_sense_are_refused(self, coordination, wrong):
        with pytest.raises(InvalidQuery, match=next(iter(wrong))):
            coordination.follow("c", **wrong)


class TestOutages:
    """What an outage held back, and what it left in doubt."""

    @pytest.fixture
    def inner(self, use_backend) -> LocalMemory:
        use_backend("local")
        return LocalMemory()

    @pytest.fixture
    def store(self, inner) -> FaultyMemory:
        return FaultyMemory(inner)

    @pytest.fixture
    async def memory(self, store) -> AsyncIterator[FallbackMemory]:
        never = Breaker(BreakerSettings(consecutive=10**9, least=10**9))
        guard = GuardedMemory(store, retries=Retries(attempts=1), breaker=never)
        async with FallbackMemory(guard, guard=guard) as memory:
            yield memory
            store.heal()

    async def test_a_replayed_event_is_told_late_although_it_happened_early(
        self, memory, store, inner
    ):
        coordination = Coordination(memory)
        happened = NOON - timedelta(hours=3)
        store.fail("write")
        early = CoordinationEvent(event_id="early", event_type="spawn", timestamp=happened)
        await coordination.record(early)
        # Another process has its store all the time.
        elsewhere = Coordination(inner)
        await tell(elsewhere, "later")
        assert await handled(elsewhere, overlap=0) == ["later"]
        store.heal()
        await memory.replay()
        assert await handled(elsewhere, overlap=0) == ["early"]
        (first, second) = (await elsewhere.recent()).records
        assert (first.event_id, second.event_id) == ("later", "early")
        assert second.timestamp == happened
        assert second.committed_at is not None
        assert first.committed_at is not None
        assert second.committed_at > first.committed_at

    async def test_an_event_in_doubt_is_there_once_and_no_conflict(self, memory, store):
        coordination = Coordination(memory)
        store.lose_answers("write", times=1)
        await tell(coordination, "doubtful")
        first = await store.get(CoordinationEvent, "doubtful")
        await memory.replay()
        assert await store.get(CoordinationEvent, "doubtful") == first
        assert [each async for each in store.scan(Query(Conflicted))] == []
        assert await handled(coordination) == ["doubtful"]


class TestProgress:
    """Where to look for more, without a store."""

    def test_it_begins_where_it_is_told(self):
        assert Progress(NOON, OVERLAP).start == NOON

    def test_it_looks_back_by_the_overlap_but_not_beyond_the_beginning(self):
        progress = Progress(NOON, OVERLAP)
        progress.handled(event("a", 4))
        assert progress.start == NOON
        progress.handled(event("b", 25))
        assert progress.start == NOON + timedelta(seconds=15)

    def test_an_event_that_shows_up_late_does_not_set_it_back(self):
        progress = Progress(NOON, OVERLAP)
        progress.handled(event("b", 25))
        progress.handled(event("a", 20))
        assert progress.position == NOON + timedelta(seconds=25)
        assert progress.new([event("a", 20), event("c", 20)]) == [event("c", 20)]

    def test_what_was_handled_is_known_after_it_was_stored(self):
        progress = Progress(NOON, OVERLAP)
        for number in range(30):
            progress.handled(event(f"e{number}", number))
        stored = progress.as_record("c", "me")
        again = Progress(datetime(1970, 1, 1, tzinfo=UTC), OVERLAP)
        again.load(stored)
        assert again.start == progress.start == NOON + timedelta(seconds=19)
        seen = [event(f"e{number}", number) for number in range(19, 30)]
        assert again.new([*seen, event("late", 21)]) == [event("late", 21)]

    @given(
        commits=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10)), max_size=30),
        looks=st.lists(st.tuples(st.integers(0, 70), st.booleans()), max_size=20),
    )
    def test_each_event_is_told_once_if_it_shows_up_within_the_overlap(self, commits, looks):
        """Each commit with how late it shows up; each look with whether a new process goes on."""
        told: list[str] = []
        progress = Progress(NOON, OVERLAP)
        for time, goes_on_elsewhere in [*sorted(looks), (70, False)]:
            shown = [
                event(f"e{number}", at)
                for number, (at, late) in enumerate(commits)
                if at + late <= time and NOON + timedelta(seconds=at) >= progress.start
            ]
            for each in progress.new(sorted(shown, key=lambda found: found.committed_at)):
                told.append(each.event_id)
                progress.handled(each)
            stored = progress.as_record("c", "me")
            if goes_on_elsewhere:
                progress = Progress(NOON, OVERLAP)
                progress.load(stored)
        assert sorted(told) == sorted(f"e{number}" for number in range(len(commits)))

    def test_what_is_stored_does_not_grow_with_what_was_handled(self):
        progress = Progress(NOON, OVERLAP)
        for number in range(1_000):
            progress.handled(event(f"e{number}", number))
        recent = progress.as_record("c", "me").recent
        assert isinstance(recent, list)
        assert len(recent) == 11

    def test_however_many_come_at_once_they_can_be_stored(self):
        """As after an import: more within the overlap than a record has room for."""
        progress = Progress(NOON, OVERLAP)
        many = [event(f"e{number}", number / 10_000) for number in range(30_000)]
        for each in many:
            progress.handled(each)
        again = Progress(EPOCH, OVERLAP)
        again.load(progress.as_record("c", "me"))
        shown = [each for each in many if each.committed_at >= again.start]
        assert 0 < len(shown) <= MOST
        assert again.new([*shown, event("next", 3)]) == [event("next", 3)]
        again.handled(event("much later", 60))
        assert again.start == NOON + timedelta(seconds=50)

    def test_of_the_time_it_has_come_to_it_knows_all(self):
        progress = Progress(NOON, OVERLAP)
        at_once = [event(f"e{number}", 1) for number in range(MOST + 2)]
        for each in at_once[:-1]:
            progress.handled(each)
        again = Progress(EPOCH, OVERLAP)
        again.load(progress.as_record("c", "me"))
        assert again.start == NOON + timedelta(seconds=1)
        assert again.new(at_once) == at_once[-1:]

    def test_entries_that_a_later_version_wrote_are_passed_over(self):
        progress = Progress(NOON, OVERLAP)
        known = {"id": "a", "at": 1}
        progress.load(Follower(consumer="c", position=NOON, recent=[known, {"id": 3}, "x"]))
        assert progress.new([event("a", 0), event("b", 0)]) == [event("b", 0)]
