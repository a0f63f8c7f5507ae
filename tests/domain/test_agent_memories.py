"""What is promised of that which agents learn, on every store and through every layer."""

from datetime import UTC, datetime

import anyio
import pytest

from orchestra_memory import AgentMemory, InvalidRecord
from orchestra_memory.domain.agents import Agents

pytestmark = pytest.mark.anyio

THEN = datetime(2026, 1, 1, tzinfo=UTC)
WHO = ("planner", "p1")


@pytest.fixture
def memories(memory):
    return Agents(memory).memories


async def learned(memories) -> AgentMemory:
    found = await memories.get(*WHO)
    assert found is not None
    return found


async def test_learning_begins_by_itself_and_adds_up(memories):
    assert await memories.get(*WHO) is None
    await memories.learn(*WHO, patterns=[{"when": "rain", "then": "wait"}])
    await memories.learn(
        *WHO,
        patterns=({"n": n} for n in range(2)),
        decisions=[{"chose": "steel"}],
        insights={"best hour": 9},
        activity=[{"did": "measure", "at": THEN}],
    )
    await memories.learn(*WHO, decisions=[{"chose": "wood"}], insights={"best hour": 7, "é/%": [1]})
    found = await learned(memories)
    assert found.learned_patterns == [{"when": "rain", "then": "wait"}, {"n": 0}, {"n": 1}]
    assert [decision["chose"] for decision in found.decision_history] == ["steel", "wood"]
    assert found.decision_history[0]["at"] < found.decision_history[1]["at"]
    assert found.recent_activity == [{"did": "measure", "at": THEN}]
    assert found.performance_insights == {"best hour": 7, "é/%": [1]}


async def test_a_pattern_is_learned_once_and_a_decision_as_often_as_it_is_made(memories):
    for _ in range(3):
        await memories.learn(*WHO, patterns=[{"a": 1}], decisions=[{"a": 1}])
    found = await learned(memories)
    assert (len(found.learned_patterns), len(found.decision_history)) == (1, 3)


async def test_nothing_is_not_learned(memories):
    with pytest.raises(InvalidRecord):
        await memories.learn(*WHO, decisions=[])
    assert await memories.get(*WHO) is None


async def test_memories_are_counted_by_type_and_importance(memories):
    async with anyio.create_task_group() as counters:
        for _ in range(10):
            counters.start_soon(lambda: memories.noted(*WHO, "fact", importance="high"))
            counters.start_soon(lambda: memories.noted(*WHO, "plan", count=2))
    found = await learned(memories)
    assert found.memory_count == 30
    assert found.memory_types_count == {"fact": 10, "plan": 20}
    assert found.importance_distribution == {"high": 10}
    assert found.last_memory_sync is not None


async def test_a_name_that_would_be_a_path_is_refused(memories):
    for refused in (
        memories.noted(*WHO, "a.b"),
        memories.noted(*WHO, "a", importance=""),
        memories.learn(*WHO, insights={"p.95": 1}),
    ):
        with pytest.raises(InvalidRecord, match=r"'\.'"):
            await refused
    assert await memories.get(*WHO) is None


async def test_what_is_saved_replaces_what_was_learned(memories):
    await memories.learn(*WHO, insights={"a": 1})
    whole = AgentMemory(agent_type="planner", agent_id="p1", learning_context={"b": 2})
    assert await memories.save(whole) == whole
    assert await memories.get(*WHO) == whole
