"""Lists that grow without being read are cut back, whatever else happens to them."""

import pytest

from orchestra_memory import AgentMemory, AgentState, InvalidRecord, LocalMemory, Patch, Ref
from orchestra_memory.domain.agents import Agents
from orchestra_memory.domain.bounded import CHANCE, ENTRIES, MAX_BYTES, Bounded, excess
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio

BOSS = AgentState(agent_type="planner", agent_id="boss", session_id="s")
REF = Ref(AgentState, BOSS.key)
ADDED = [{"n": 9}]


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


def test_of_large_entries_fewer_are_kept():
    large = [{"n": n, "result": "x" * (MAX_BYTES // 4)} for n in range(9)]
    state = BOSS.evolve(task_history=large)
    assert excess(state, {"task_history": 100}) == {"task_history": large[:6]}


async def test_a_cut_leaves_the_newest(memory):
    await memory.put(with_history(9))
    await Bounded(memory, {"task_history": 4}, draw=always).grown(REF, ADDED)
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
    await Bounded(memory, {"task_history": 2}, draw=always).grown(REF, ADDED)
    (found,) = (await LocalMemory.read(memory, [REF])).records
    assert [entry["n"] for entry in found.task_history] == [7, 8, "new"]


@pytest.mark.parametrize("draw", [CHANCE * 1.1, 0.999])
async def test_most_additions_cost_nothing_more(draw):
    memory = FaultyMemory(LocalMemory())
    await Bounded(memory, {"task_history": 2}, draw=lambda: draw).grown(REF, ADDED)
    assert not memory.calls


async def test_a_store_that_fails_now_is_no_failure_of_what_was_written():
    memory = FaultyMemory(LocalMemory())
    await memory.put(with_history(9))
    for verb in ("read", "write"):
        memory.fail(verb)
        await Bounded(memory, {"task_history": 2}, draw=always).grown(REF, ADDED)
        memory.heal()
    assert len((await memory.get(AgentState, BOSS.key)).task_history) == 9


async def test_a_record_that_is_gone_is_left_alone():
    await Bounded(LocalMemory(), {"task_history": 2}, draw=always).grown(REF, ADDED)


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


async def test_a_history_of_large_results_leaves_room_for_the_next(memory):
    agents = Agents(memory)
    boss = await agents.save(BOSS)
    for number in range(40):
        await agents.finish_task(boss, f"task {number}", result="x" * 60_000)
    found = await memory.get(AgentState, boss.key)
    assert found.task_history[-1]["task"] == "task 39"
    assert found.performance_metrics["tasks_completed"] == 40


async def test_many_entries_at_once_are_cut_back_at_once(memory):
    memories = Agents(memory).memories
    await memories.learn("planner", "boss", patterns=[{"n": n} for n in range(20 * ENTRIES)])
    found = await memory.get(AgentMemory, AgentMemory.key_of("planner", "boss"))
    assert [entry["n"] for entry in found.learned_patterns] == [*range(19 * ENTRIES, 20 * ENTRIES)]


async def test_an_entry_that_leaves_no_room_for_others_is_refused():
    agents = Agents(memory := LocalMemory())
    boss = await agents.save(BOSS)
    for entry in (
        agents.finish_task(boss, "draw", result="x" * 150_000),
        agents.memories.learn("planner", "boss", decisions=[{"why": "x" * 150_000}]),
    ):
        with pytest.raises(InvalidRecord, match="record of its own"):
            await entry
    assert (await memory.get(AgentState, boss.key)).task_history == []
