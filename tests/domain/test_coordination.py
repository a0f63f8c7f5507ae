"""What happens between agents, told and asked for, on every stack."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestra_memory import (
    AgentState,
    AgentStatus,
    ConfigurationError,
    Conflict,
    CoordinationEvent,
    CoordinationEventType,
    InvalidRecord,
    LocalMemory,
    MeteredMemory,
    Query,
    TaskStatus,
)
from orchestra_memory.domain.coordination import Coordination
from orchestra_memory.domain.system import System
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def agent(name: str, kind: str = "worker") -> AgentState:
    return AgentState(agent_type=kind, agent_id=name, session_id="s1")


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.fixture
def coordination(memory) -> Coordination:
    return Coordination(memory)


async def all_events(memory) -> list[CoordinationEvent]:
    return [event async for event in memory.scan(Query(CoordinationEvent))]


class TestSpawning:
    async def test_a_spawn_is_an_event_a_state_and_a_place_in_the_parents_list(
        self, memory, coordination
    ):
        boss = await coordination.spawn(agent("boss", "planner"))
        child = await coordination.spawn(
            agent("w_1"), parent=boss, task_context={"task_id": "t1"}, context={"why": "load"}
        )
        assert child.parent_agent == boss.key
        assert await memory.get(AgentState, child.key) == child
        stored = await memory.get(AgentState, boss.key)
        assert stored is not None
        assert stored.child_agents == [child.key]
        (event,) = (await coordination.recent(target_agent_id="w_1")).records
        assert event.event_type is CoordinationEventType.SPAWN
        assert (event.source_agent_type, event.source_agent_id) == ("planner", "boss")
        assert (event.target_agent_type, event.target_agent_id) == ("worker", "w_1")
        assert (event.task_context, event.context) == ({"task_id": "t1"}, {"why": "load"})
        assert event.success is True
        assert event.committed_at is not None

    async def test_spawns_and_ends_are_counted(self, memory, coordination):
        one, two = [await coordination.spawn(agent(name)) for name in "ab"]
        await coordination.terminate(one)
        await coordination.fail(two, ValueError("no"))
        state = await System(memory).get()
        assert (state.total_agents_spawned, state.current_agent_count) == (2, 1)
        assert state.error_counts == {"ValueError": 1}

    async def test_counting_can_be_left_out(self, memory):
        await Coordination(memory, counted=False).spawn(agent("a"))
        assert (await System(memory).get()).total_agents_spawned == 0

    @pytest.mark.decided
    async def test_without_its_parent_nothing_of_a_spawn_is_stored(self, memory, coordination):
        with pytest.raises(Conflict):
            await coordination.spawn(agent("orphan"), parent=agent("nobody"))
        assert await memory.get(AgentState, agent("orphan").key) is None
        assert await all_events(memory) == []
        assert (await System(memory).get()).total_agents_spawned == 0

    async def test_a_parent_can_be_given_by_its_key(self, coordination):
        boss = await coordination.spawn(agent("boss"))
        child = await coordination.spawn(agent("a"), parent=boss.key)
        assert child.parent_agent == boss.key

    async def test_what_is_no_key_of_an_agent_is_refused(self, coordination):
        with pytest.raises(InvalidRecord, match="AgentState"):
            await coordination.spawn(agent("a"), parent="boss")

    async def test_fifty_agents_at_once_leave_every_event_count_and_list_right(
        self, memory, coordination
    ):
        bosses = [await coordination.spawn(agent(f"boss{n}")) for n in range(5)]
        spawned: list[AgentState] = []

        async def live(number: int) -> None:
            boss = bosses[number % 5]
            child = await coordination.spawn(agent(f"a{number}"), parent=boss)
            spawned.append(child)
            async with coordination.handoff(boss, child, task_context={"task_id": f"t{number}"}):
                await anyio.lowlevel.checkpoint()
            if number % 10 == 0:
                await coordination.fail(child, RuntimeError("late"))
            else:
                await coordination.terminate(child, by=boss)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(live, number)
        kinds = [event.event_type for event in await all_events(memory)]
        assert {kind: kinds.count(kind) for kind in kinds} == {
            "spawn": 55, "handoff": 50, "error": 5, "termination": 45,
        }  # fmt: skip
        for number, boss in enumerate(bosses):
            state = await memory.get(AgentState, boss.key)
            assert state is not None
            own = {child.key for child in spawned if child.parent_agent == boss.key}
            assert len(own) == 10
            assert sorted(state.child_agents) == sorted(own), number
        statuses = [s.status for s in await memory.get_many(AgentState, [c.key for c in spawned])]
        assert (statuses.count("terminated"), statuses.count("error")) == (45, 5)
        state = await System(memory).get()
        assert (state.total_agents_spawned, state.current_agent_count) == (55, 10)
        assert state.error_counts == {"RuntimeError": 5}


class TestActs:
    async def test_a_handoff_records_success_and_duration_by_itself(self, memory, coordination):
        async with coordination.handoff(
            agent("a"), agent("b"), task_context={"task_id": "t"}, context={"kept": 1}
        ) as notes:
            notes["rows"] = 3
            assert await all_events(memory) == []
            await anyio.sleep(0.01)
        (event,) = await all_events(memory)
        assert (event.event_type, event.success) == ("handoff", True)
        assert (event.source_agent_id, event.target_agent_id) == ("a", "b")
        assert event.context == {"kept": 1, "rows": 3}
        assert event.duration_seconds is not None
        assert event.duration_seconds >= 0.01
        assert (event.error_kind, event.error_message) == (None, None)

    async def test_an_exception_makes_a_failure_of_it_and_goes_on(self, memory, coordination):
        with pytest.raises(ValueError, match="no such row"):
            async with coordination.collaborate(agent("a"), agent("b")):
                raise ValueError("no such row")
        (event,) = await all_events(memory)
        assert (event.event_type, event.success) == ("collaboration", False)
        assert event.error_kind == "ValueError"
        assert event.error_message == "ValueError: no such row"

    async def test_a_cancelled_act_is_recorded_too(self, memory, coordination):
        with anyio.CancelScope() as scope:
            async with coordination.handoff(agent("a"), agent("b")):
                scope.cancel()
                await anyio.sleep(10)
        (event,) = await all_events(memory)
        assert (event.success, event.error_kind) == (False, "CancelledError")

    async def test_a_success_that_is_cancelled_as_it_is_recorded_is_a_success(self, use_backend):
        class Slow(LocalMemory):
            """Takes its time for the first write."""

            slow = True

            async def write(self, ops, **options):
                if self.slow:
                    self.slow = False
                    await anyio.sleep_forever()
                return await super().write(ops, **options)

        use_backend("local")
        memory = Slow()
        with anyio.move_on_after(0.05) as scope:
            async with Coordination(memory).handoff(agent("a"), agent("b")) as notes:
                notes["rows"] = 3
        assert scope.cancelled_caught
        (event,) = await all_events(memory)
        assert (event.success, event.context) == (True, {"rows": 3})

    async def test_any_message_of_an_error_can_be_kept(self, memory, coordination):
        with pytest.raises(OSError):  # noqa: PT011 -- its message is what is odd
            async with coordination.handoff(agent("a"), agent("b")):
                raise OSError("\ud800" + "x" * 5_000)
        (event,) = await all_events(memory)
        assert event.error_message is not None
        assert len(event.error_message) == 2_000

    async def test_a_failure_that_cannot_be_recorded_reaches_the_caller_as_it_was(
        self, use_backend, caplog
    ):
        use_backend("local")
        store = FaultyMemory(LocalMemory())
        store.fail("write")
        with pytest.raises(KeyError):
            async with Coordination(store).handoff(agent("a"), agent("b")):
                raise KeyError("x")
        assert "not recorded as it was: Unavailable" in caplog.text

    async def test_an_error_that_cannot_even_be_told_is_recorded_and_goes_on(
        self, memory, coordination
    ):
        with pytest.raises(Speechless):
            async with coordination.handoff(agent("a"), agent("b")):
                raise Speechless
        (event,) = await all_events(memory)
        assert (event.success, event.error_message) == (False, "Speechless")

    async def test_an_act_whose_notes_cannot_be_stored_is_recorded_without_them(
        self, memory, coordination, caplog
    ):
        given = {"kept": 1}

        async def work(act, error=None) -> None:
            async with act(agent("a"), agent("b"), context=given) as notes:
                notes["socket"] = object()
                if error is not None:
                    raise error

        with pytest.raises(InvalidRecord, match="context"):
            await work(coordination.handoff)
        with pytest.raises(KeyError):
            await work(coordination.collaborate, KeyError("x"))
        recorded = {each.event_type: each for each in await all_events(memory)}
        assert [each.context for each in recorded.values()] == [given, given]
        assert recorded["handoff"].success
        assert recorded["collaboration"].error_kind == "KeyError"
        assert "not recorded as it was: InvalidRecord" in caplog.text

    async def test_what_cannot_be_stored_is_refused_before_the_work(self, memory, coordination):
        with pytest.raises(InvalidRecord, match="task_context"):
            async with coordination.handoff(
                agent("a"), agent("b"), task_context={"task_id": object()}
            ):
                pytest.fail("the block was entered")
        assert await all_events(memory) == []

    async def test_an_end_is_in_the_state_and_as_an_event(self, memory, coordination):
        boss, child = [await coordination.spawn(agent(name)) for name in ("boss", "a")]
        event = await coordination.terminate(child, by=boss, context={"why": "done"})
        assert (event.source_agent_id, event.target_agent_id) == ("boss", "a")
        state = await memory.get(AgentState, child.key)
        assert state is not None
        assert state.status is AgentStatus.TERMINATED
        assert state.terminated_at is not None

    async def test_a_failure_is_in_the_state_with_its_task(self, memory, coordination):
        child = await coordination.spawn(agent("a"))
        event = await coordination.fail(child.key, "out of tokens", task_context={"task_id": "t7"})
        assert (event.error_kind, event.error_message) == ("error", "out of tokens")
        assert (event.source_agent_id, event.target_agent_id) == ("a", None)
        state = await memory.get(AgentState, child.key)
        assert state is not None
        assert (state.status, state.current_task) == (AgentStatus.ERROR, "t7")
        assert state.task_status is TaskStatus.FAILED

    @pytest.mark.decided
    async def test_what_is_not_stored_cannot_end_or_fail(self, memory, coordination):
        with pytest.raises(Conflict):
            await coordination.terminate(agent("a"))
        with pytest.raises(Conflict):
            await coordination.fail(agent("a"), "x")
        assert await all_events(memory) == []

    async def test_an_event_made_elsewhere_can_be_recorded_twice(self, memory, coordination):
        event = CoordinationEvent(event_id="e1", event_type="review", timestamp=NOON)
        await coordination.record(event)
        stored = await coordination.record(event)
        (found,) = await all_events(memory)
        assert found.evolve(committed_at=None) == stored
        assert found.event_type == "review"

    async def test_every_act_is_one_write_and_no_read(self, use_backend):
        use_backend("local")
        store = FaultyMemory(LocalMemory())
        coordination = Coordination(store)
        boss = await coordination.spawn(agent("boss"))
        child = await coordination.spawn(agent("a"), parent=boss)
        async with coordination.handoff(boss, child):
            pass
        await coordination.fail(child, "x")
        await coordination.terminate(child)
        assert (store.calls["write"], store.calls["read"], store.calls["find"]) == (5, 0, 0)


class TestAsking:
    @pytest.fixture
    async def told(self, coordination) -> list[CoordinationEvent]:
        """Twelve events, an hour apart."""
        told = []
        for hour in range(12):
            event = CoordinationEvent(
                event_id=f"e{hour}",
                event_type="handoff" if hour % 2 else "spawn",
                timestamp=NOON + timedelta(hours=hour),
                source_agent_id=f"a{hour % 3}",
                target_agent_id=f"b{hour % 4}",
                task_context={"task_id": f"t{hour % 5}"},
            )
            told.append(await coordination.record(event))
        return told

    @pytest.mark.usefixtures("told")
    async def test_recent_events_come_newest_first_page_by_page(self, coordination):
        page = await coordination.recent(page_size=7)
        rest = await coordination.recent(page_size=7, after=page.cursor)
        found = [event.event_id for event in (*page.records, *rest.records)]
        assert found == [f"e{hour}" for hour in reversed(range(12))]
        assert rest.cursor is None

    @pytest.mark.usefixtures("told")
    async def test_recent_events_of_a_type_an_agent_and_a_time(self, coordination):
        async def found(**filters) -> list[str]:
            return [event.event_id for event in (await coordination.recent(**filters)).records]

        assert await found(event_type="handoff") == ["e11", "e9", "e7", "e5", "e3", "e1"]
        assert await found(source_agent_id="a0") == ["e9", "e6", "e3", "e0"]
        assert await found(source_agent_id="a0", target_agent_id="b1") == ["e9"]
        assert await found(source_agent_id="a0", event_type="spawn") == ["e6", "e0"]
        span = {"start": NOON + timedelta(hours=2), "end": NOON + timedelta(hours=5)}
        assert await found(**span) == ["e4", "e3", "e2"]
        assert await found(target_agent_id="b3", **span) == ["e3"]

    @pytest.mark.usefixtures("told")
    async def test_the_timeline_of_a_task_is_oldest_first(self, coordination):
        page = await coordination.timeline("t1")
        assert [event.event_id for event in page.records] == ["e1", "e6", "e11"]
        late = await coordination.timeline("t1", start=NOON + timedelta(hours=6))
        assert [event.event_id for event in late.records] == ["e6", "e11"]
        assert (await coordination.timeline("none")).records == []

    @pytest.mark.usefixtures("told")
    async def test_more_shards_find_what_was_told_with_fewer(self, memory):
        page = await Coordination(memory, shards=30).recent()
        assert len(page.records) == 12

    async def test_events_are_spread_over_all_shards(self, use_backend):
        use_backend("local")
        coordination = Coordination(LocalMemory(), shards=4)
        told = [
            await coordination.record(CoordinationEvent(event_type="spawn")) for _ in range(100)
        ]
        assert {event.shard for event in told} == {0, 1, 2, 3}

    @pytest.mark.parametrize("shards", [0, 31, True])
    def test_a_number_of_shards_that_no_query_could_ask_for_is_refused(self, shards):
        with pytest.raises(ConfigurationError, match="30"):
            Coordination(LocalMemory(), shards=shards)


class TestTree:
    async def test_it_shows_who_spawned_whom(self, coordination):
        boss = await coordination.spawn(agent("boss"))
        left = await coordination.spawn(agent("left"), parent=boss)
        right = await coordination.spawn(agent("right"), parent=boss)
        leaf = await coordination.spawn(agent("leaf"), parent=left)
        tree = await coordination.tree(boss)
        assert tree is not None
        shape = {(depth, branch.key) for depth, branch in tree}
        assert shape == {(0, boss.key), (1, left.key), (1, right.key), (2, leaf.key)}
        assert {branch.key for branch in tree.children} == {left.key, right.key}
        (under_left,) = next(b for b in tree.children if b.key == left.key).children
        assert under_left.state == leaf

    async def test_an_agent_that_is_gone_keeps_its_place(self, memory, coordination):
        boss = await coordination.spawn(agent("boss"))
        child = await coordination.spawn(agent("a"), parent=boss)
        await memory.delete(AgentState, child.key)
        tree = await coordination.tree(boss)
        assert tree is not None
        (gone,) = tree.children
        assert (gone.key, gone.state) == (child.key, None)

    async def test_of_an_agent_that_is_not_stored_there_is_none(self, coordination):
        assert await coordination.tree(agent("a")) is None

    async def test_a_circle_ends_and_so_does_a_long_line(self, use_backend):
        use_backend("local")
        memory = MeteredMemory(LocalMemory())
        names = [f"a{n}" for n in range(2_000)]
        following = zip(names, [*names[1:], names[0]], strict=True)
        await memory.put_many(
            agent(name).evolve(child_agents=[agent(child).key]) for name, child in following
        )
        tree = await Coordination(memory).tree(agent("a0"))
        assert tree is not None
        assert [(depth, branch.state.agent_id) for depth, branch in tree if branch.state] == list(
            enumerate(names)
        )
