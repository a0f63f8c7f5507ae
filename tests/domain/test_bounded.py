"""Lists that grow without being read are cut back, whatever else happens to them."""

import pytest

from orchestra_memory import AgentState, LocalMemory, Patch, Ref
from orchestra_memory.domain.agents import Agents
from orchestra_memory.domain.bounded import CHANCE, Bounded, excess
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio

BOSS = AgentState(agent_type="planner", agent_id="boss", session_id="s")
REF = Ref(AgentState, BOSS.key)


def always() -> float:
    return 0.0


def with_history(count: int) -> AgentState:
    return BOSS.evolve(task_history=[{"n": n} for n in range(count)])


def test_what_is_too_much_is_the_oldest():
    state = with_history(5)
    assert excess(state, {"task_history": 3, "tools_enabled": 3}) == {
        "task_history": [{"n": 0}, {"n": 1}]
    }
    assert excess(state, {"task_history": 5}) == {}
    assert excess(state, {"task_history": 0}) == {"task_history": state.task_history}


async def test_a_cut_leaves_the_newest(memory):
    await memory.put(with_history(9))
    await Bounded(memory, {"task_history": 4}, draw=always).grown(REF)
    found = await memory.get(AgentState, BOSS.key)
    assert [entry["n"] for entry in found.task_history] == [5, 6, 7, 8]


async def test_what_is_added_while_a_list_is_cut_stays():
    class Late(LocalMemory):
        """Somebody adds an entry between the read and the cut."""

        async def read(self, refs, **options):
            found = await super().read(refs, **options)
            await super().write([Patch(REF, add={"task_history": [{"n": "new"}]})])
            return found

    memory = Late()
    await memory.put(with_history(9))
    await Bounded(memory, {"task_history": 2}, draw=always).grown(REF)
    (found,) = (await LocalMemory.read(memory, [REF])).records
    assert [entry["n"] for entry in found.task_history] == [7, 8, "new"]


@pytest.mark.parametrize("draw", [CHANCE, 0.999])
async def test_most_additions_cost_nothing_more(draw):
    memory = FaultyMemory(LocalMemory())
    await Bounded(memory, {"task_history": 2}, draw=lambda: draw).grown(REF)
    assert not memory.calls


async def test_a_store_that_fails_now_is_no_failure_of_what_was_written():
    memory = FaultyMemory(LocalMemory())
    await memory.put(with_history(9))
    for verb in ("read", "write"):
        memory.fail(verb)
        await Bounded(memory, {"task_history": 2}, draw=always).grown(REF)
        memory.heal()
    assert len((await memory.get(AgentState, BOSS.key)).task_history) == 9


async def test_a_record_that_is_gone_is_left_alone():
    await Bounded(LocalMemory(), {"task_history": 2}, draw=always).grown(REF)


async def test_a_history_of_many_tasks_stays_short():
    memory = LocalMemory()
    agents = Agents(memory, history=10)
    boss = await agents.save(BOSS)
    longest = 0
    for number in range(1_000):
        await agents.finish_task(boss, f"task {number}")
        if number % 50 == 0:
            found = await memory.get(AgentState, boss.key)
            longest = max(longest, len(found.task_history))
    found = await memory.get(AgentState, boss.key)
    assert found.task_history[-1]["task"] == "task 999"
    assert found.performance_metrics["tasks_completed"] == 1_000
    # That none of 700 additions in a row is followed by a cut happens once in 4 billion times.
    assert longest < 10 + 700
