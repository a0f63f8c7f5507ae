"""A faulty memory fails as it is told, as a real store would, and otherwise does nothing."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from orchestra_memory import (
    Count,
    DeadlineExceeded,
    GuardedMemory,
    LocalMemory,
    MemoryItem,
    MemoryManager,
    Options,
    Overloaded,
    Patch,
    PermissionDenied,
    Query,
    Ref,
    Status,
    SystemState,
    Unavailable,
)
from orchestra_memory.testing.contract import MemoryContract
from orchestra_memory.testing.faults import Fault, FaultyMemory, Way

pytestmark = pytest.mark.anyio

ITEM = MemoryItem(id="i", user_id="alice")
SOON = Options(timeout=0.02)
CALLS: dict[str, Callable[[MemoryManager, Options], Awaitable[Any]]] = {
    "read": lambda memory, options: memory.read([Ref(MemoryItem, "i")], options=options),
    "write": lambda memory, options: memory.put(ITEM, options=options),
    "find": lambda memory, options: memory.find(Query(MemoryItem), options=options),
    "aggregate": lambda memory, options: memory.aggregate(
        Query(MemoryItem), [Count()], options=options
    ),
}
each_verb = pytest.mark.parametrize("verb", CALLS)


@pytest.fixture
def inner() -> LocalMemory:
    return LocalMemory()


@pytest.fixture
def faulty(inner: LocalMemory) -> FaultyMemory:
    return FaultyMemory(inner)


class TestWithoutFaults(MemoryContract):
    @pytest.fixture
    def memory(self, inner, use_backend):
        use_backend("local")
        return FaultyMemory(inner)


async def call(memory: MemoryManager, verb: str, options: Options = SOON) -> Any:
    return await CALLS[verb](memory, options)


@each_verb
async def test_a_call_that_fails_is_not_carried_out(faulty, verb):
    faulty.fail()
    with pytest.raises(Unavailable) as caught:
        await call(faulty, verb)
    assert not caught.value.ambiguous
    assert (faulty.calls[verb], faulty.reached[verb]) == (1, 0)


@each_verb
async def test_a_lost_answer_is_in_doubt_only_for_a_write(faulty, verb):
    faulty.lose_answers()
    with pytest.raises(Unavailable) as caught:
        await call(faulty, verb)
    assert caught.value.ambiguous is (verb == "write")
    assert faulty.reached[verb] == 1


async def test_a_write_whose_answer_is_lost_was_applied(faulty, inner):
    faulty.lose_answers("write")
    with pytest.raises(Unavailable):
        await faulty.put(ITEM)
    assert await inner.get(MemoryItem, "i") == ITEM


@each_verb
@pytest.mark.parametrize("applied", [False, True])
async def test_a_call_that_hangs_misses_its_deadline(faulty, verb, applied):
    faulty.hang(applied=applied)
    with pytest.raises(DeadlineExceeded) as caught:
        await call(faulty, verb)
    assert caught.value.ambiguous is (verb == "write")
    assert faulty.reached[verb] == applied


async def test_without_a_deadline_it_hangs_until_its_caller_gives_up(faulty):
    faulty.hang()
    with anyio.move_on_after(0.02) as scope:
        await faulty.get(MemoryItem, "i")
    assert scope.cancelled_caught
    assert not faulty.reached


async def test_what_hangs_goes_on_when_it_is_healed(faulty, inner):
    faulty.hang("write")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(faulty.put, ITEM)
        await anyio.wait_all_tasks_blocked()
        assert await inner.get(MemoryItem, "i") is None
        faulty.heal()
    assert await inner.get(MemoryItem, "i") == ITEM


async def test_a_late_call_is_carried_out_within_its_deadline(faulty):
    faulty.delay(0.001)
    await faulty.put(ITEM, options=Options(timeout=60))
    assert faulty.reached["write"] == 1


async def test_a_call_that_is_later_than_its_deadline_is_not_begun(faulty):
    faulty.delay(60)
    with pytest.raises(DeadlineExceeded):
        await faulty.put(ITEM, options=SOON)
    assert not faulty.reached


async def test_overload_is_no_outage(faulty):
    faulty.overload()
    with pytest.raises(Overloaded):
        await faulty.put(ITEM)
    assert not faulty.reached


async def test_it_fails_with_the_error_it_is_given(faulty):
    faulty.fail(error=lambda: PermissionDenied("not you"))
    with pytest.raises(PermissionDenied, match="not you"):
        await faulty.get(MemoryItem, "i")


async def test_a_fault_meets_so_many_calls_of_each_verb_it_is_for(faulty):
    faulty.fail("read", "write", times=2)
    for verb in ("read", "write"):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await call(faulty, verb)
        await call(faulty, verb)
    assert faulty.reached == {"read": 1, "write": 1}


async def test_the_fault_that_was_set_last_holds(faulty):
    faulty.fail()
    faulty.overload("read")
    with pytest.raises(Overloaded):
        await call(faulty, "read")
    with pytest.raises(Unavailable):
        await call(faulty, "find")


async def test_calls_go_wrong_by_plan_and_then_as_what_stands(faulty):
    faulty.plan("read", [None, Fault(Way.LOSE)])
    faulty.overload("read", times=1)
    await call(faulty, "read")
    with pytest.raises(Unavailable):
        await call(faulty, "read")
    with pytest.raises(Overloaded):
        await call(faulty, "read")
    await call(faulty, "read")


async def test_healing_one_verb_leaves_the_others(faulty):
    faulty.plan("read", [Fault(Way.LOSE)])
    faulty.fail()
    faulty.heal("read")
    await call(faulty, "read")
    with pytest.raises(Unavailable):
        await call(faulty, "find")


async def test_health_tells_of_an_outage_and_does_not_raise(faulty):
    assert (await faulty.health()).status is Status.OK
    faulty.fail("health")
    assert (await faulty.health()).status is Status.DOWN
    faulty.overload("health")
    assert (await faulty.health()).status is Status.DOWN


async def test_each_page_of_a_scan_is_a_call_of_find(faulty):
    await faulty.put_many([MemoryItem(id=str(n), user_id="alice") for n in range(4)])
    faulty.plan("find", [None, Fault(Way.FAIL)])
    seen: list[MemoryItem] = []

    async def scan() -> None:
        async for item in faulty.scan(Query(MemoryItem, page_size=1)):
            seen.append(item)

    with pytest.raises(Unavailable):
        await scan()
    assert (len(seen), faulty.calls["find"]) == (1, 2)


async def test_an_increment_whose_answer_is_lost_is_not_sent_again(faulty, inner):
    guarded = GuardedMemory(faulty)
    await inner.put(SystemState(total_agents_spawned=0))
    ref = Ref(SystemState, SystemState().key)
    faulty.lose_answers("write", times=1)
    with pytest.raises(Unavailable) as caught:
        await guarded.write([Patch(ref, increment={"total_agents_spawned": 1})])
    assert caught.value.ambiguous
    assert faulty.calls["write"] == 1


@pytest.mark.parametrize("verb", ["delete", "READ", ""])
async def test_a_verb_that_does_not_exist_is_refused(faulty, verb):
    for refused in (faulty.fail, faulty.hang, faulty.heal):
        with pytest.raises(ValueError, match="verbs are read, write"):
            refused(verb)
    with pytest.raises(ValueError, match="verbs are read, write"):
        faulty.plan(verb, [])


async def test_a_number_of_times_is_one_or_more(faulty):
    with pytest.raises(ValueError, match="1 or more"):
        faulty.fail(times=0)


async def test_it_says_what_it_was_asked(faulty):
    assert "not called" in repr(faulty)
    await faulty.put(ITEM)
    assert "1 write" in repr(faulty)
