"""Every call through the guard answers in time, and repeats only what is safe to repeat."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from orchestra_memory import (
    ABSENT,
    Conflict,
    Count,
    DeadlineExceeded,
    GuardedMemory,
    LocalMemory,
    MemoryItem,
    MemoryManager,
    Options,
    Overloaded,
    Patch,
    Put,
    Query,
    Receipt,
    Ref,
    Status,
    SystemState,
    Unavailable,
)
from orchestra_memory.layers.guarded import timeout_for
from orchestra_memory.operations import DEFAULT, Op
from orchestra_memory.resilience.retry import Retries, RetryBudget

pytestmark = pytest.mark.anyio

ITEM = MemoryItem(id="i", user_id="alice")


class Failing(LocalMemory):
    """Raises the given errors, one a call, before or after it has applied a write."""

    def __init__(self, *errors: Exception, applied: bool = False) -> None:
        super().__init__()
        self.errors = list(errors)
        self.applied = applied
        self.calls = 0

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Any:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return await super().read(refs, options=options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        self.calls += 1
        receipt = None
        if self.applied or not self.errors:
            receipt = await super().write(ops, options=options)
        if self.errors:
            raise self.errors.pop(0)
        assert receipt is not None
        return receipt


class Hung(LocalMemory):
    async def read(self, *_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()

    write = find = aggregate = health = read  # type: ignore[assignment]


CALLS: dict[str, Callable[[MemoryManager], Any]] = {
    "read": lambda memory: memory.get(MemoryItem, "i"),
    "write": lambda memory: memory.put(ITEM),
    "find": lambda memory: memory.find(Query(MemoryItem, page_size=1)),
    "aggregate": lambda memory: memory.aggregate(Query(MemoryItem), [Count()]),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_hung_store_is_left_at_the_deadline(name: str) -> None:
    memory = GuardedMemory(Hung(), timeout=0.02)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        await CALLS[name](memory)
    assert time.monotonic() - started < 1
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.operation == name
    assert caught.value.ambiguous == (name == "write")


async def test_a_call_can_have_a_deadline_of_its_own() -> None:
    memory = GuardedMemory(Hung(), timeout=60)
    with pytest.raises(DeadlineExceeded):
        await memory.with_options(timeout=0.02).get(MemoryItem, "i")


async def test_the_callers_cancellation_is_not_taken_for_the_stores_failure() -> None:
    memory = GuardedMemory(Hung(), timeout=60)
    with anyio.move_on_after(0.02) as scope:
        await memory.get(MemoryItem, "i")
    assert scope.cancelled_caught


async def test_a_hung_store_is_reported_as_down() -> None:
    health = await GuardedMemory(Hung(), timeout=0.02).health()
    assert health.status is Status.DOWN


@pytest.mark.parametrize("error", [Unavailable("gone"), Overloaded("busy")])
async def test_a_read_is_tried_again(error: Exception) -> None:
    store = Failing(error, error)
    assert await GuardedMemory(store).get(MemoryItem, "i") is None
    assert store.calls == 3


async def test_a_read_is_tried_three_times_and_no_more() -> None:
    store = Failing(*[Unavailable("gone")] * 9)
    with pytest.raises(Unavailable, match="gone"):
        await GuardedMemory(store).get(MemoryItem, "i")
    assert store.calls == 3


async def test_an_error_of_the_callers_is_not_tried_again() -> None:
    store = Failing(Conflict("no"))
    with pytest.raises(Conflict):
        await GuardedMemory(store).put(ITEM)
    assert store.calls == 1


async def test_a_write_that_can_be_repeated_is_tried_again_after_an_unknown_outcome() -> None:
    store = Failing(Unavailable("cut", ambiguous=True), applied=True)
    await GuardedMemory(store).put(ITEM)
    assert store.calls == 2


REF = Ref(SystemState, "global_config")


@pytest.mark.parametrize(
    "op",
    [
        Patch(REF, increment={"active_sessions": 1}, or_create=SystemState()),
        Put(SystemState(), expect=ABSENT),
        Put(SystemState(), expect=7),
    ],
    ids=["increment", "absent", "revision"],
)
async def test_what_would_change_the_result_is_not_repeated_when_it_may_have_been_applied(
    op: Op,
) -> None:
    store = Failing(Unavailable("cut", ambiguous=True), applied=False)
    with pytest.raises(Unavailable) as caught:
        await GuardedMemory(store).write([op])
    assert caught.value.ambiguous
    assert store.calls == 1


async def test_what_was_surely_not_applied_is_repeated() -> None:
    store = Failing(Unavailable("refused"))
    await GuardedMemory(store).write(
        [Patch(REF, increment={"active_sessions": 1}, or_create=SystemState())]
    )
    stored = await store.get(SystemState, "global_config")
    assert stored is not None
    assert stored.active_sessions == 1


async def test_retries_do_not_outlast_the_deadline() -> None:
    store = Failing(*[Unavailable("gone")] * 9)
    memory = GuardedMemory(store, timeout=0.05, retries=Retries(attempts=100, pause=5))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await memory.get(MemoryItem, "i")
    assert time.monotonic() - started < 1


async def test_in_an_outage_retries_add_a_tenth_to_the_load() -> None:
    store = Failing(*[Unavailable("gone")] * 2_000)
    memory = GuardedMemory(store, retries=Retries(pause=0, budget=RetryBudget()))
    for _ in range(500):
        with pytest.raises(Unavailable):
            await memory.get(MemoryItem, "i")
    assert store.calls <= 500 * 1.1 + 11


def test_bulk_calls_get_time_for_every_record() -> None:
    assert timeout_for(1, 2.0) == 2.0
    assert timeout_for(20_000, 2.0) > 100
