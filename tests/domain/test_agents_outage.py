"""What agents can still do while the store is away, and what it costs when it is not."""

import pytest

from orchestra_memory import (
    AgentState,
    Breaker,
    BreakerSettings,
    FallbackMemory,
    GuardedMemory,
    LocalMemory,
    Unavailable,
)
from orchestra_memory.domain.agents import Agents
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio


@pytest.fixture
def store() -> FaultyMemory:
    return FaultyMemory(LocalMemory())


@pytest.fixture
async def degrading(store):
    never = Breaker(BreakerSettings(consecutive=10**9, least=10**9))
    guard = GuardedMemory(store, retries=Retries(attempts=1), breaker=never)
    async with FallbackMemory(guard, guard=guard) as memory:
        yield memory
        store.heal()


async def test_agents_work_on_while_the_store_is_away(store, degrading):
    agents = Agents(degrading)
    store.fail()
    boss = await agents.save(agent_type="t", agent_id="boss", session_id="s")
    hand = await agents.save(agent_type="t", agent_id="hand", session_id="s")
    await agents.adopt(boss, hand)
    async with agents.task(hand, "dig"):
        await agents.count(hand, tokens=3)
    await agents.memories.learn("t", "hand", decisions=[{"chose": "here"}])
    (seen,) = await agents.children(boss)
    resumed = await agents.resume("t", "hand", "later")
    assert resumed.performance_metrics["tasks_completed"] == 1

    store.heal()
    await degrading.replay()
    kept = Agents(store)
    assert await kept.children(boss) == (seen,)
    assert seen.performance_metrics["tokens"] == 3
    assert [entry["task"] for entry in seen.task_history] == ["dig"]
    assert await kept.load("t", "hand", "later") == resumed
    assert (await kept.memories.get("t", "hand")).decision_history[0]["chose"] == "here"


async def test_an_agent_that_nobody_knows_of_is_not_said_to_be_none(store, degrading):
    await Agents(store).save(agent_type="t", agent_id="a", session_id="s")
    store.fail()
    agents = Agents(degrading)
    for question in (agents.load("t", "a", "s"), agents.latest("t", "a"), agents.resume("t", "a")):
        with pytest.raises(Unavailable):
            await question
    page = await agents.active("s")
    assert not page.complete


async def test_a_session_that_was_there_after_all_is_not_written_over(store, degrading):
    there = await Agents(store).save(
        agent_type="t", agent_id="a", session_id="s1", memory_context={"of": "s1"}
    )
    agents = Agents(degrading)
    store.fail()
    await agents.save(agent_type="t", agent_id="a", session_id="s2", memory_context={"of": "s2"})
    resumed = await agents.resume("t", "a", "s1")
    assert resumed.memory_context == {"of": "s2"}
    store.heal()
    await degrading.replay()
    found = await Agents(store).load("t", "a", "s1")
    assert found.memory_context == there.memory_context
    assert found.last_active == resumed.last_active


async def test_what_a_task_raised_is_raised_even_if_it_cannot_be_noted(store, caplog):
    agents = Agents(store)
    agent = await agents.save(agent_type="t", agent_id="a", session_id="s")

    async def divide() -> None:
        async with agents.task(agent, "divide"):
            store.fail()
            _ = 1 // 0

    with pytest.raises(ZeroDivisionError):
        await divide()
    assert "could not be noted" in caplog.text


async def test_changes_are_one_write_and_read_nothing(store):
    agents = Agents(store)
    agent = await agents.save(agent_type="t", agent_id="a", session_id="s")
    for change in (
        agents.set_status(agent, "busy", task="dig"),
        agents.count(agent, tokens=1),
        agents.adopt(agent, agent),
        agents.memories.noted("t", "a", "fact"),
    ):
        store.calls.clear()
        await change
        assert store.calls == {"write": 1}


async def test_finding_agents_by_key_asks_no_query(store):
    agents = Agents(store)
    agent = await agents.save(agent_type="t", agent_id="a", session_id="s")
    child = await agents.save(agent_type="t", agent_id="b", session_id="s")
    await agents.adopt(agent, child)
    store.calls.clear()
    assert len(await agents.children(agent)) == 1
    assert await agents.load("t", "a", "s") is not None
    assert set(store.calls) == {"read"}
    assert AgentState.key_of("t", "a", "s") == agent.key
