"""What agents promise, on every store and through every layer."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestra_memory import (
    AgentState,
    AgentStatus,
    Conflict,
    InvalidQuery,
    InvalidRecord,
    TaskStatus,
)
from orchestra_memory.domain.agents import Agents

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WHO = {"agent_type": "planner", "agent_id": "p1"}


@pytest.fixture
def agents(memory) -> Agents:
    return Agents(memory, history=5)


def state(agent_id: str = "p1", session_id: str = "s1", **fields) -> AgentState:
    return AgentState(agent_type="planner", agent_id=agent_id, session_id=session_id, **fields)


async def stored(agents: Agents, agent: AgentState) -> AgentState:
    found = await agents.load(agent.agent_type, agent.agent_id, agent.session_id)
    assert found is not None
    return found


def ids(page) -> list[str]:
    return [found.agent_id for found in page.records]


async def test_what_is_saved_is_loaded_again(agents):
    context = {"goal": "a bridge", "notes": [{"raw": b"\x00"}, ["deep", {"er": None}]]}
    saved = await agents.save(**WHO, session_id="s1", memory_context=context, tools_enabled=["web"])
    assert await agents.load("planner", "p1", "s1") == saved
    assert saved.memory_context == context
    assert await agents.load("planner", "p1", "s2") is None


async def test_saving_makes_an_agent_active_now(agents):
    saved = await agents.save(state(last_active=LONG_AGO, status="busy"))
    assert saved.last_active > LONG_AGO
    assert saved.started_at == saved.last_active
    again = await agents.save(saved.evolve(status="terminated"))
    assert again.started_at == saved.started_at
    assert again.terminated_at == again.last_active > saved.last_active
    assert (await agents.save(again)).terminated_at == again.terminated_at
    assert (await agents.save(again.evolve(status="idle"))).terminated_at is None


async def test_a_state_is_saved_with_what_its_fields_change(agents):
    saved = await agents.save(state(), status="busy", current_task="draw")
    assert (saved.status, saved.current_task) == ("busy", "draw")
    assert await stored(agents, saved) == saved


async def test_ids_that_look_alike_when_joined_are_different_agents(agents):
    await agents.save(agent_type="a_b", agent_id="c", session_id="s")
    await agents.save(agent_type="a", agent_id="b_c", session_id="s")
    assert ids(await agents.states("a", "b_c")) == ["b_c"]
    assert ids(await agents.states("a_b", "c")) == ["c"]


async def test_agents_of_one_tenant_are_none_of_anothers(memory):
    here, there = (Agents(memory.with_options(namespace=name)) for name in ("acme", "acme2"))
    saved = await here.save(state(status="error"))
    assert await there.resume("planner", "p1") is None
    assert ids(await there.list()) == ids(await Agents(memory).list()) == []
    assert await there.cleanup(days=0) == 0
    assert await stored(here, saved) == saved


async def test_a_status_is_set_with_its_task_and_leaves_the_rest(agents):
    saved = await agents.save(state(memory_context={"a": 1}, tools_enabled=["web"]))
    await agents.set_status(saved, AgentStatus.BUSY, task="draw")
    busy = await stored(agents, saved)
    assert (busy.status, busy.current_task, busy.task_status) == ("busy", "draw", "in_progress")
    assert busy.last_active > saved.last_active
    await agents.set_status(saved.key, "paused", task_status=TaskStatus.PENDING)
    paused = await stored(agents, saved)
    assert (paused.status, paused.current_task, paused.task_status) == ("paused", "draw", "pending")
    assert (paused.memory_context, paused.tools_enabled) == ({"a": 1}, ["web"])


async def test_the_time_of_its_end_goes_when_an_agent_comes_back(agents):
    saved = await agents.save(state())
    await agents.set_status(saved, AgentStatus.TERMINATED)
    ended = await stored(agents, saved)
    assert ended.terminated_at == ended.last_active
    await agents.set_status(saved, AgentStatus.IDLE)
    assert (await stored(agents, saved)).terminated_at is None


@pytest.mark.decided
async def test_what_is_not_stored_cannot_be_changed(agents):
    saved = await agents.save(state())
    for change in (
        agents.set_status("nobody", "busy"),
        agents.finish_task("nobody", "draw"),
        agents.count("nobody", tokens=1),
        agents.adopt(saved, "nobody"),
    ):
        with pytest.raises(Conflict):
            await change
    assert await stored(agents, saved) == saved


async def test_the_end_of_a_task_is_noted_and_counted(agents):
    saved = await agents.save(state(performance_metrics={"accuracy": 0.5}))
    await agents.set_status(saved, "busy", task="draw")
    await agents.finish_task(saved, "draw", seconds=2.5, result={"pages": [1, [2]]})
    await agents.finish_task(
        saved, "build", task_status=TaskStatus.FAILED, error="no wood", status="error"
    )
    found = await stored(agents, saved)
    assert (found.status, found.current_task, found.task_status) == ("error", None, "failed")
    first, second = found.task_history
    assert first["ended_at"] < second["ended_at"] == found.last_active
    assert {**first, "ended_at": None} == {
        "task": "draw",
        "status": "completed",
        "ended_at": None,
        "seconds": 2.5,
        "result": {"pages": [1, [2]]},
    }
    assert (second["status"], second["error"]) == ("failed", "no wood")
    assert found.performance_metrics == {
        "accuracy": 0.5,
        "tasks_completed": 1,
        "tasks_failed": 1,
        "task_seconds": 2.5,
        "tasks_timed": 1,
    }


async def test_only_an_end_can_end_a_task(agents):
    saved = await agents.save(state())
    with pytest.raises(InvalidRecord, match="task_status"):
        await agents.finish_task(saved, "draw", task_status=TaskStatus.PENDING)
    assert await stored(agents, saved) == saved


async def test_an_argument_that_there_is_not_is_no_silence(agents):
    saved = await agents.save(state())
    with pytest.raises(TypeError, match="second"):
        await agents.finish_task(saved, "draw", second=3.5)
    with pytest.raises(TypeError, match="pattern"):
        await agents.memories.learn("t", "a", pattern=[{"a": 1}])
    assert await stored(agents, saved) == saved


async def test_figures_of_ones_own_are_added_up(agents):
    saved = await agents.save(state())
    async with anyio.create_task_group() as counters:
        for _ in range(10):
            counters.start_soon(lambda: agents.count(saved, tokens=100, cost=0.5))
    assert (await stored(agents, saved)).performance_metrics == {"tokens": 1000, "cost": 5.0}
    with pytest.raises(InvalidRecord, match="performance_metrics"):
        await agents.count(saved, **{"a.b": 1})


async def test_a_task_block_notes_how_it_ended_by_itself(agents):
    saved = await agents.save(state())
    async with agents.task(saved, "draw"):
        busy = await stored(agents, saved)
        assert (busy.status, busy.current_task) == ("busy", "draw")
    with pytest.raises(ZeroDivisionError):
        async with agents.task(saved, "divide"):
            _ = 1 // 0
    with anyio.move_on_after(0.05):
        async with agents.task(saved, "wait"):
            await anyio.sleep_forever()
    found = await stored(agents, saved)
    assert (found.status, found.current_task) == ("idle", None)
    assert [(entry["task"], entry["status"]) for entry in found.task_history] == [
        ("draw", "completed"),
        ("divide", "failed"),
        ("wait", "cancelled"),
    ]
    assert found.task_history[1]["error"].startswith("ZeroDivisionError: ")
    assert found.performance_metrics["tasks_timed"] == 3


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [ValueError("\ud800"), Speechless()], ids=["no text", "none"])
async def test_a_task_has_failed_whatever_its_error_says(agents, error):
    saved = await agents.save(state())
    with pytest.raises(type(error)):
        async with agents.task(saved, "draw"):
            raise error
    found = await stored(agents, saved)
    assert (found.status, found.task_history[-1]["status"]) == ("idle", "failed")
    assert found.task_history[-1]["error"].startswith(type(error).__name__)


async def test_saving_keeps_the_newest_of_a_history(memory, agents):
    saved = await agents.save(state(task_history=[{"n": n} for n in range(9)]))
    assert saved.task_history == [{"n": n} for n in range(4, 9)]
    assert await stored(agents, saved) == saved
    assert (await Agents(memory, history=0).save(saved)).task_history == []


async def test_resuming_goes_on_in_the_last_session(agents):
    await agents.save(state(session_id="s1", memory_context={"n": 1}))
    last = await agents.save(state(session_id="s2", memory_context={"n": 2}, status="busy"))
    await agents.set_status(last, AgentStatus.TERMINATED)
    resumed = await agents.resume("planner", "p1")
    assert resumed is not None
    assert (resumed.session_id, resumed.memory_context) == ("s2", {"n": 2})
    assert (resumed.status, resumed.terminated_at) == ("active", None)
    assert await stored(agents, resumed) == resumed
    assert await agents.latest("planner", "p1") == resumed


async def test_resuming_in_another_session_carries_everything_over(agents):
    last = await agents.save(
        state(
            memory_context={"goal": "a bridge"},
            agent_config={"model": "m"},
            tools_enabled=["web"],
            parent_agent="boss",
            child_agents=["hand"],
            current_task="draw",
            performance_metrics={"accuracy": 0.5},
        )
    )
    await agents.finish_task(last, "measure", seconds=3)
    last = await stored(agents, last)
    resumed = await agents.resume("planner", "p1", "s2")
    assert resumed is not None
    assert await stored(agents, resumed) == resumed
    assert resumed.session_id == "s2"
    same = ("memory_context", "agent_config", "tools_enabled", "parent_agent", "child_agents")
    for name in (*same, "task_history", "current_task", "task_status"):
        assert getattr(resumed, name) == getattr(last, name)
    metrics = dict(resumed.performance_metrics)
    assert metrics.pop("carried") == {"tasks_completed": 1, "task_seconds": 3, "tasks_timed": 1}
    assert metrics == last.performance_metrics
    assert await stored(agents, last) == last
    assert await agents.resume("planner", "nobody") is None


async def test_resuming_twice_changes_nothing_but_the_times(agents):
    saved = await agents.save(state())
    await agents.finish_task(saved, "draw")
    first = await agents.resume("planner", "p1", "s2")
    again = await agents.resume("planner", "p1", "s2")
    assert again.evolve(last_active=first.last_active, started_at=first.started_at) == first


async def test_each_task_is_counted_once_over_all_sessions(agents):
    saved = await agents.save(state(session_id="s1"))
    for session in ("s1", "s2", "s1"):
        resumed = await agents.resume("planner", "p1", session)
        assert resumed is not None
        await agents.finish_task(resumed, "draw", seconds=2)
    states = (await agents.states("planner", "p1")).records
    assert [s.session_id for s in states] == ["s1", "s2"]
    metrics = [s.performance_metrics for s in states]
    assert metrics[0]["tasks_completed"] == 3
    for name, total in (("tasks_completed", 3), ("task_seconds", 6)):
        assert sum(m[name] - m.get("carried", {}).get(name, 0) for m in metrics) == total
    assert (await stored(agents, saved)).session_id == "s1"


async def test_active_agents_are_those_that_can_work(agents):
    for status in (*AgentStatus, "paused"):
        await agents.save(state(agent_id=status, status=status))
    await agents.save(state(agent_id="elsewhere", session_id="s2"))
    assert ids(await agents.active("s1")) == ["busy", "active", "idle"]
    first = await agents.active(page_size=3)
    rest = await agents.active(page_size=3, after=first.cursor)
    assert ids(first) + ids(rest) == ["elsewhere", "busy", "active", "idle"]


async def test_states_are_listed_by_session_and_status(agents):
    for name, session, status in (("a", "s1", "busy"), ("b", "s1", "error"), ("c", "s2", "error")):
        await agents.save(state(agent_id=name, session_id=session, status=status))
    assert ids(await agents.list(session_id="s1")) == ["b", "a"]
    assert ids(await agents.list(status=AgentStatus.ERROR)) == ["c", "b"]
    assert ids(await agents.list(session_id="s1", status="error")) == ["b"]
    assert ids(await agents.list()) == ["a", "b", "c"]


async def test_children_come_as_they_are_stored(agents):
    parent = await agents.save(state(agent_id="boss"))
    children = [await agents.save(state(agent_id=f"hand{n}")) for n in range(3)]
    for child in (*children, children[0]):
        await agents.adopt(parent, child.key)
    found = await agents.children(parent)
    assert [child.agent_id for child in found] == ["hand0", "hand1", "hand2"]
    assert {child.parent_agent for child in found} == {parent.key}
    await agents.set_status(children[1], "busy")
    assert [child.status for child in await agents.children(parent.key)] == ["idle", "busy", "idle"]
    assert await agents.children(children[0]) == ()
    assert await agents.children("nobody") == ()


async def test_children_that_are_gone_are_left_out(memory, agents):
    parent = await agents.save(state(agent_id="boss"))
    for name in ("a", "b"):
        await agents.adopt(parent, await agents.save(state(agent_id=name)))
    await memory.delete(AgentState, state(agent_id="a").key)
    assert [child.agent_id for child in await agents.children(parent)] == ["b"]


async def test_cleaning_up_takes_old_states_of_ended_agents_only(memory, agents):
    now = datetime.now(UTC)
    for days in (10, 40):
        for status in (*AgentStatus, "paused"):
            time = now - timedelta(days=days)
            await memory.put(state(agent_id=f"{status}{days}", status=status, last_active=time))
    assert await agents.cleanup(days=30, dry_run=True) == 2
    assert len((await agents.list()).records) == 12
    assert await agents.cleanup(days=30) == 2
    left = {found.agent_id for found in (await agents.list()).records}
    assert len(left) == 10
    assert {"terminated40", "error40"}.isdisjoint(left)
    assert await agents.cleanup() == 0


@pytest.mark.parametrize("stack", ["local", "sqlite", "firestore"])
async def test_cleaning_up_takes_any_number(memory, agents):
    await memory.put_many(
        state(agent_id=f"a{n}", status="terminated", last_active=LONG_AGO) for n in range(450)
    )
    assert await agents.cleanup() == 450


@pytest.mark.parametrize("days", [-1, float("nan"), 1e9])
@pytest.mark.parametrize("stack", ["local"])
async def test_days_must_be_some_that_have_been(agents, days):
    with pytest.raises(InvalidQuery, match="days"):
        await agents.cleanup(days=days)


@pytest.mark.parametrize("stack", ["local", "sqlite", "firestore", "cached"])
async def test_fifty_agents_at_once_lose_nothing(agents):
    async def work(number: int) -> None:
        agent = await agents.save(state(agent_id=f"a{number}"))
        await agents.adopt(boss, agent)
        async with agents.task(agent, "draw"):
            await agents.count(boss, tokens=2)
        await agents.finish_task(boss, f"draw {number}")

    boss = await agents.save(state(agent_id="boss"))
    async with anyio.create_task_group() as workers:
        for number in range(50):
            workers.start_soon(work, number)
    children = await agents.children(boss)
    assert {child.agent_id for child in children} == {f"a{n}" for n in range(50)}
    assert {child.performance_metrics["tasks_completed"] for child in children} == {1}
    found = await stored(agents, boss)
    assert found.performance_metrics == {"tokens": 100, "tasks_completed": 50}
    assert len({entry["task"] for entry in found.task_history}) == len(found.task_history) >= 5
