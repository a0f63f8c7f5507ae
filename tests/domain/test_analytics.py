"""Figures are counted by the store, are right, and tell what they cost."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import (
    CoordinationEvent,
    CoordinationEventType,
    LocalMemory,
    MemoryItem,
    TaskStatus,
    Unavailable,
    UserSession,
)
from orchestra_memory.domain.agents import Agents
from orchestra_memory.domain.alerts import Thresholds, Vitals, fired
from orchestra_memory.domain.analytics import Analytics
from orchestra_memory.domain.buckets import Buckets, Timeline
from orchestra_memory.domain.coordination import Coordination
from orchestra_memory.domain.figures import Outcomes
from orchestra_memory.domain.shards import shard_of
from orchestra_memory.domain.system import System
from orchestra_memory.errors import InvalidQuery
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(number: int, kind=CoordinationEventType.HANDOFF, **fields) -> CoordinationEvent:
    event_id = f"e{number}"
    return CoordinationEvent(
        event_id=event_id,
        event_type=kind,
        shard=shard_of(event_id),
        **{"timestamp": NOON, **fields},
    )


async def test_an_agents_tasks_are_counted_once_over_all_its_sessions(memory):
    agents = Agents(memory)
    first = await agents.save(agent_type="worker", agent_id="w1", session_id="one")
    await agents.finish_task(first, "dig", seconds=2.0)
    second = await agents.resume("worker", "w1", "two")
    await agents.finish_task(second, "fill", seconds=4.0)
    await agents.finish_task(second, "rest", task_status=TaskStatus.FAILED)
    other = await agents.save(agent_type="worker", agent_id="w11", session_id="one")
    await agents.finish_task(other, "look", seconds=9.0)
    await Coordination(memory).fail(first, "no shovel")

    analytics = Analytics(memory)
    (row,) = (await analytics.agent("worker", "w1")).rows
    assert (row.states, row.completed, row.failed, row.errors) == (2, 2, 1, 1)
    assert (row.mean_seconds, row.success_rate) == (3.0, pytest.approx(2 / 3))
    each = await analytics.agents("worker")
    assert [(r.agent_id, r.completed) for r in each.rows] == [("w1", 2), ("w11", 1)]
    assert each.rows[0] == row
    (whole,) = (await analytics.agent_types()).rows
    assert (whole.agent_id, whole.states, whole.completed, whole.mean_seconds) == (None, 3, 3, 5.0)


async def test_an_agent_nobody_knows_has_figures_of_nothing():
    (row,) = (await Analytics(LocalMemory()).agent("worker", "nobody")).rows
    assert (row.states, row.completed, row.errors) == (0, 0, 0)
    assert (row.success_rate, row.mean_seconds) == (None, None)


async def test_outcomes_of_events_by_type_and_by_pair(memory):
    await memory.put_many(
        [
            event(1, success=True, duration_seconds=1.0, source_agent_id="a", target_agent_id="b"),
            event(2, success=True, duration_seconds=3.0, source_agent_id="a", target_agent_id="b"),
            event(3, success=False, source_agent_id="a", target_agent_id="c"),
            event(4, "parley", source_agent_id="b", target_agent_id="a"),
            event(5, "parley", source_agent_id="z"),
            event(6, "old", success=True, timestamp=NOON - timedelta(days=9)),
        ]
    )
    analytics = Analytics(memory)
    report = await analytics.coordination(start=NOON, end=NOON + timedelta(seconds=1))
    assert [(r.event_type, r.outcomes, r.mean_seconds) for r in report.rows] == [
        ("handoff", Outcomes(2, 1, 0), 2.0),
        ("parley", Outcomes(0, 0, 2), None),
    ]
    assert report.rows[0].outcomes.success_rate == pytest.approx(2 / 3)
    assert report.rows[1].outcomes.success_rate is None
    assert [r.event_type for r in (await analytics.coordination()).rows][-1] == "parley"
    assert len((await analytics.coordination()).rows) == 3

    pairs = await analytics.pairs()
    assert [(r.source_agent_id, r.target_agent_id, r.outcomes) for r in pairs.rows] == [
        ("a", "b", Outcomes(2, 0, 0)),
        ("a", "c", Outcomes(0, 1, 0)),
        ("b", "a", Outcomes(0, 0, 1)),
    ]
    assert pairs.complete
    assert [r.target_agent_id for r in (await analytics.pairs("a")).rows] == ["b", "c"]
    few = await analytics.pairs(limit=2)
    assert (len(few.rows), few.complete) == (2, False)
    assert (await analytics.pairs(limit=3)).complete


async def test_errors_by_kind_and_hour(memory):
    at = [NOON + timedelta(minutes=minutes) for minutes in (0, 59, 60, 200, 999)]
    await memory.put_many(
        [
            *(event(n, "error", success=False, error_kind="Slow", timestamp=at[n]) for n in (0, 1)),
            event(2, "error", success=False, error_kind="Slow", timestamp=at[3]),
            event(3, "handoff", success=False, error_kind="Lost", timestamp=at[2]),
            event(4, "error", success=False, timestamp=at[2]),
            event(5, "error", success=False, error_kind="Late", timestamp=at[4]),
        ]
    )
    report = await Analytics(memory).errors(start=NOON, end=NOON + timedelta(minutes=230))
    assert [(row.kind, row.total, row.counts) for row in report.kinds] == [
        ("Slow", 3, (2, 0, 0, 1)),
        ("Lost", 1, (0, 1, 0, 0)),
    ]
    assert (report.total, report.complete) == (5, True)
    assert (report.starts[1], report.end) == (
        NOON + timedelta(hours=1),
        at[0] + timedelta(0, 13800),
    )


async def test_the_system_and_what_is_stored(memory):
    await System(memory).count(total_agents_spawned=3)
    await Agents(memory).save(agent_type="t", agent_id="a", session_id="s", status="busy")
    await memory.put(MemoryItem(user_id="ann"))
    await memory.put(MemoryItem(user_id="ann", expiration=NOON - timedelta(days=1000)))
    report = await Analytics(memory).system()
    assert report.state.total_agents_spawned == 3
    assert (report.agents["busy"], report.agents["idle"]) == (1, 0)
    stored = await Analytics(memory).storage()
    assert (stored.records["memory_items"], stored.records["user_sessions"]) == (1, 0)
    assert stored.total == 3
    assert (await Analytics(memory).storage([UserSession])).records == {"user_sessions": 0}


async def test_figures_of_events_cost_less_than_a_hundredth_of_reading_them():
    memory = LocalMemory()
    kinds = list(CoordinationEventType)
    await memory.put_many(
        event(
            n,
            kinds[n % 5],
            success=n % 10 != 0,
            error_kind=f"Kind{n % 3}" if n % 10 == 0 else None,
            duration_seconds=1.0,
            source_agent_id=f"a{n % 4}",
            target_agent_id=f"b{n % 3}",
            timestamp=NOON + timedelta(seconds=n % 86_400),
        )
        for n in range(10_000)
    )
    analytics = Analytics(memory)
    types = await analytics.coordination()
    pairs = await analytics.pairs()
    errors = await analytics.errors(start=NOON, end=NOON + timedelta(days=1))
    assert sum(row.outcomes.total for row in types.rows) == 10_000
    assert sum(row.outcomes.total for row in pairs.rows) == 10_000
    assert sum(sum(row.counts) for row in errors.kinds) == errors.total == 1_000
    reads = [report.billed.reads for report in (types, pairs, errors)]
    # Each of the three would read all 10,000.
    assert 0 < sum(reads) < 300


async def test_the_store_has_as_long_for_each_question_as_is_said():
    class Timed(LocalMemory):
        def __init__(self):
            super().__init__()
            self.timeouts = set()

        async def find(self, query, *, options=DEFAULT):
            self.timeouts.add(options.timeout)
            return await super().find(query, options=options)

        async def aggregate(self, query, measures, *, options=DEFAULT):
            self.timeouts.add(options.timeout)
            return await super().aggregate(query, measures, options=options)

    memory = Timed()
    await memory.put(event(1, success=True, duration_seconds=1.0))
    await Analytics(memory).coordination()
    assert memory.timeouts == {60.0}
    memory.timeouts.clear()
    await Analytics(memory, timeout=600.0).coordination()
    assert memory.timeouts == {600.0}


async def test_an_outage_is_an_error_and_no_smaller_figure():
    store = FaultyMemory(LocalMemory())
    store.fail()
    analytics = Analytics(store)
    with pytest.raises(Unavailable):
        await analytics.coordination()
    with pytest.raises(Unavailable):
        await analytics.storage()


async def test_alerts_fire_for_what_is_beyond_its_threshold(memory):
    agents = Agents(memory)
    await agents.save(agent_type="t", agent_id="a", session_id="s", status="error")
    await memory.put_many(
        event(n, success=n % 2 == 0, timestamp=datetime.now(UTC)) for n in range(4)
    )
    quiet = await Analytics(memory).alerts()
    assert quiet.fired == ()
    assert (quiet.vitals.outcomes, quiet.vitals.failed_agents) == (Outcomes(2, 2, 0), 1)
    strict = Thresholds(errors=1, failure_rate=0.4, least_events=4, failed_agents=0)
    report = await Analytics(memory).alerts(strict)
    assert [alert.name for alert in report.fired] == ["failure_rate", "errors", "failed_agents"]
    assert report.billed.reads > 0


def test_thresholds_are_the_last_values_that_are_fine():
    limits = Thresholds(errors=2, failure_rate=0.5, least_events=4, failed_agents=1)
    assert fired(Vitals(Outcomes(2, 2), 1), limits) == ()
    assert [a.name for a in fired(Vitals(Outcomes(1, 2), 2), limits)] == ["failed_agents"]
    assert [a.name for a in fired(Vitals(Outcomes(1, 3), 1), limits)] == ["failure_rate", "errors"]
    (alert,) = fired(Vitals(Outcomes(), 0, stopped="smoke"), limits)
    assert (alert.name, "smoke" in alert.text) == ("emergency_stop", True)


@given(rows=st.lists(st.lists(st.integers(0, 9), min_size=7, max_size=7), max_size=4))
def test_halves_of_halves_find_every_bucket(rows):
    buckets = Buckets([sum(row) for row in rows], 7)
    asked = 0
    while halves := buckets.halves():
        asked += len(halves)
        buckets.tell([sum(rows[half.row][half.first : half.middle]) for half in halves])
    assert buckets.counts == rows
    assert asked <= 6 * sum(any(row) for row in rows)


def test_buckets_that_lost_some_meanwhile_have_no_negative_counts():
    buckets = Buckets([3], 2)
    buckets.tell([5])
    assert buckets.counts == [[3, 0]]


def test_a_timeline_has_a_bound_and_a_direction():
    assert len(Timeline(NOON, NOON + timedelta(minutes=61), timedelta(hours=1))) == 2
    for end, every in ((NOON, timedelta(1)), (NOON + timedelta(9), timedelta())):
        with pytest.raises(InvalidQuery):
            Timeline(NOON, end, every)
    with pytest.raises(InvalidQuery, match="1,000"):
        Timeline(NOON, NOON + timedelta(days=2), timedelta(minutes=1))
