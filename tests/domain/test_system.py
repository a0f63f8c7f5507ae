"""What the state of the system promises, on every stack."""

import anyio
import pytest

from orchestra_memory import (
    ConfigurationError,
    EmergencyStopped,
    InvalidRecord,
    LocalMemory,
    PermissionDenied,
    StorageError,
    SystemState,
)
from orchestra_memory.domain.system import System
from orchestra_memory.testing.faults import FaultyMemory

from ..outages import outages

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def system(memory) -> System:
    return System(memory)


class TestState:
    async def test_before_any_change_everything_is_at_its_default(self, system):
        assert await system.get() == SystemState()

    async def test_the_first_change_makes_it(self, system, memory):
        await system.update(system_version="2.1")
        assert await memory.get(SystemState, "global_config") == SystemState(system_version="2.1")

    async def test_an_update_leaves_other_fields_as_they_are(self, system):
        await system.count(active_sessions=2)
        await system.update(global_config={"limit": 10}, system_version="2")
        await system.update(system_version="3")
        state = await system.get()
        assert (state.active_sessions, state.system_version) == (2, "3")
        assert state.global_config == {"limit": 10}

    async def test_counters_of_many_at_once_add_up(self, system):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(lambda: system.count(total_agents_spawned=2, active_sessions=-1))
                group.start_soon(system.count_error, "Timeout")
        state = await system.get()
        assert (state.total_agents_spawned, state.active_sessions) == (40, -20)
        assert state.error_counts == {"Timeout": 20}

    async def test_a_kind_of_error_may_have_dots_or_no_name(self, system):
        await system.count_error("http.client.Timeout", by=3)
        await system.count_error("")
        assert (await system.get()).error_counts == {"http_client_Timeout": 3, "unknown": 1}

    async def test_flags_are_switched_one_by_one(self, system):
        await system.set_flag("fast", True)
        await system.set_flag("cheap", False)
        await system.set_flag("fast", False)
        assert (await system.get()).feature_flags == {"fast": False, "cheap": False}

    async def test_a_flag_that_nobody_set_is_at_its_default(self, system):
        assert await system.flag("new") is False
        assert await system.flag("new", default=True) is True
        await system.set_flag("new", False)
        assert await system.flag("new", default=True) is False

    @pytest.mark.parametrize("name", ["", "a.b"])
    async def test_a_flag_needs_a_name_without_dots(self, system, name):
        with pytest.raises(InvalidRecord, match="feature_flags"):
            await system.set_flag(name, True)

    async def test_nothing_is_stored_that_could_not_be_read_by_who_checks(self, system):
        with pytest.raises(InvalidRecord, match=r"feature_flags\.x"):
            await system.set_flag("x", "perhaps")
        with pytest.raises(InvalidRecord, match=r"error_counts\.x"):
            await system.count_error("x", by=0.5)
        assert await system.get() == SystemState()
        await system.check()

    async def test_each_namespace_has_its_own(self, memory):
        one, two = (System(memory.with_options(namespace=name)) for name in ("a", "b"))
        await one.set_flag("fast", True)
        assert await two.get() == SystemState()


@pytest.mark.decided
class TestEmergency:
    async def test_a_stop_is_seen_by_another_instance_with_its_reason(self, memory):
        await System(memory).emergency_stop("runaway costs")
        with pytest.raises(EmergencyStopped) as stopped:
            await System(memory).check()
        assert (stopped.value.reason, stopped.value.known) == ("runaway costs", True)
        assert "runaway" not in str(stopped.value)

    async def test_it_goes_on_after_resume(self, system, memory):
        await system.check()
        await system.emergency_stop("drill")
        with pytest.raises(EmergencyStopped):
            await system.check()
        await system.resume()
        await system.check()
        state = await system.get()
        assert (state.emergency_stop, state.emergency_reason) == (False, None)


class TestChecking:
    """How often the store is asked, and what counts when it does not answer."""

    @pytest.fixture
    def store(self, use_backend) -> FaultyMemory:
        use_backend("local")
        return FaultyMemory(LocalMemory())

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def system(self, store, clock) -> System:
        return System(store, clock=clock)

    async def test_the_store_is_asked_once_a_second(self, system, store, clock):
        for _ in range(5):
            await system.check()
        assert store.calls["read"] == 1
        clock.now += 0.99
        await system.check()
        assert store.calls["read"] == 1
        clock.now += 0.01
        await system.check()
        assert store.calls["read"] == 2

    async def test_all_who_ask_at_once_share_one_question(self, system, store):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(system.check)
        assert store.calls["read"] == 1

    async def test_a_stop_by_another_is_seen_within_a_second(self, system, store, clock):
        await system.check()
        await System(store).emergency_stop("drill")
        clock.now += 1
        with pytest.raises(EmergencyStopped):
            await system.check()

    async def test_a_stop_of_ones_own_is_seen_at_once(self, system):
        await system.check()
        await system.emergency_stop("drill")
        with pytest.raises(EmergencyStopped):
            await system.check()

    async def test_in_an_outage_it_goes_on_and_says_so_once(self, system, store, clock, caplog):
        store.fail()
        for _ in range(3):
            await system.check()
            clock.now += 1
        assert caplog.messages == [
            "whether the system is stopped cannot be told: the store is away"
        ]

    async def test_a_dead_store_is_not_asked_by_each_call(self, system, store):
        store.fail()
        for _ in range(5):
            await system.check()
        assert store.calls["read"] == 1

    async def test_unknown_counts_as_stopped_where_that_is_wanted(self, system, store):
        store.overload()
        with pytest.raises(EmergencyStopped) as stopped:
            await system.check(on_unknown="stop")
        assert stopped.value.known is False

    async def test_what_to_do_in_doubt_is_no_guess(self, system):
        with pytest.raises(ConfigurationError, match="on_unknown"):
            await system.check(on_unknown="Stop")

    async def test_what_was_stopped_before_an_outage_stays_stopped(self, system, store, clock):
        await system.emergency_stop("drill")
        with pytest.raises(EmergencyStopped):
            await system.check()
        store.fail()
        clock.now += 5
        with pytest.raises(EmergencyStopped) as stopped:
            await system.check(on_unknown="continue")
        assert (stopped.value.reason, stopped.value.known) == ("drill", False)

    async def test_after_an_outage_it_is_known_again(self, system, store, clock, caplog):
        caplog.set_level("INFO", "orchestra_memory.system")
        store.fail()
        await system.check()
        store.heal()
        clock.now += 1
        await system.check(on_unknown="stop")
        assert caplog.messages[-1] == "whether the system is stopped is known again"

    async def test_what_is_no_outage_is_raised(self, system, store):
        store.fail("read", error=lambda: PermissionDenied("no", operation="read"))
        with pytest.raises(PermissionDenied):
            await system.check()

    async def test_a_stop_that_cannot_be_committed_is_an_error_and_never_waits(self):
        store = LocalMemory()
        async with outages(store) as memory:
            with pytest.raises(StorageError):
                await System(memory).emergency_stop("drill")
        assert await System(store).get() == SystemState()

    async def test_a_stop_whose_answer_was_lost_is_looked_up(self, system, store):
        await system.check()
        store.lose_answers("write", times=1)
        with pytest.raises(StorageError):
            await system.emergency_stop("drill")
        with pytest.raises(EmergencyStopped):
            await system.check()
