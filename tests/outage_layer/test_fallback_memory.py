"""The layer as a whole: what its callers get, what its operator is told, how it begins and ends."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    ConfigurationError,
    Durability,
    DurabilityUnavailable,
    FallbackMemory,
    GuardedMemory,
    Journal,
    LocalMemory,
    MemoryItem,
    Options,
    Patch,
    Ref,
    Source,
    Status,
    SystemState,
    Unauthenticated,
    Unavailable,
)
from orchestra_memory.layers.fallback import healing
from orchestra_memory.layers.fallback.states import State, Transition
from orchestra_memory.resilience.journal import journals
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio

QUICK = BreakerSettings(pause=0.02, longest_pause=0.02, urgent_pause=0.02, confirm=0.05)
TARGET = "the store of the test"
OPEN = "orchestra_memory.fallback"


def item(**fields: Any) -> MemoryItem:
    return MemoryItem(user_id="u", **fields)


@pytest.fixture
def store() -> FaultyMemory:
    return FaultyMemory(LocalMemory())


def guarded(store: FaultyMemory, settings: BreakerSettings = QUICK) -> GuardedMemory:
    once = Retries(attempts=1)
    return GuardedMemory(store, timeout=0.2, retries=once, breaker=Breaker(settings))


@pytest.fixture
async def opened(store: FaultyMemory, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens layers around the store, with a journal unless there is to be none."""
    async with AsyncExitStack() as stack:

        async def layer(*, persistent: bool = True, **options: Any) -> FallbackMemory:
            opening = Journal.open(tmp_path / "journal", target=TARGET, medium="persistent")
            journal = await stack.enter_async_context(opening) if persistent else None
            guard = guarded(store)
            options = {"drain": 0.1, **options}
            memory = FallbackMemory(guard, journal=journal, guard=guard, **options)
            return await stack.enter_async_context(memory)

        yield layer


async def until(memory: FallbackMemory, state: State) -> None:
    with anyio.fail_after(20):
        while memory.status().state is not state:  # noqa: ASYNC110 -- it tells nobody
            await anyio.sleep(0.005)


async def degraded(memory: FallbackMemory, store: FaultyMemory) -> None:
    store.fail()
    for _ in range(5):
        with pytest.raises(Unavailable):
            await memory.get(MemoryItem, "unknown")
    assert memory.status().state is State.DEGRADED


async def test_while_the_store_answers_it_is_in_nobodys_way(store, opened) -> None:
    memory = await opened()
    receipt = await memory.put(stored := item())
    assert receipt.durability is Durability.COMMITTED
    (found,) = await memory.read([Ref(MemoryItem, stored.id)])
    assert (found.source, found.revision) == (Source.PRIMARY, receipt.revisions[0])
    assert (memory.status().state, memory.status().waiting) == (State.NORMAL, 0)
    assert (await memory.health()).status is Status.OK
    assert (store.calls["write"], store.calls["read"]) == (1, 1)


async def test_an_outage_is_lived_through_and_made_up_for(store, opened) -> None:
    memory = await opened()
    await memory.put(known := item(text_content="known"))
    await degraded(memory, store)
    receipt = await memory.put(new := item(text_content="new"))
    assert (receipt.durability, receipt.revisions) == (Durability.JOURNALED, (None,))
    answers = await memory.read([Ref(MemoryItem, each.id) for each in (known, new)])
    assert answers.records == [known, new]
    assert [each.source for each in answers] == [Source.MEMORY, Source.JOURNAL]
    store.heal()
    await until(memory, State.NORMAL)
    assert await store.get(MemoryItem, new.id) == new
    assert await memory.get(MemoryItem, "unknown") is None


async def test_once_it_is_known_that_the_store_is_away_it_is_not_asked(store, opened) -> None:
    memory = await opened()
    await degraded(memory, store)
    asked = store.calls["read"] + store.calls["write"]
    for _ in range(100):
        await memory.put(item())
    assert store.calls["read"] + store.calls["write"] == asked


async def test_a_hanging_store_costs_the_first_callers_their_deadline_and_nobody_else(
    store, opened
) -> None:
    memory = await opened()
    store.hang()
    began = time.monotonic()
    await memory.put(item())
    assert time.monotonic() - began < 5
    await until(memory, State.DEGRADED)
    hung = store.calls["write"]
    for _ in range(50):
        await memory.put(item())
    assert store.calls["write"] == hung


async def test_one_probe_at_a_time_while_a_hundred_callers_wait(store, opened) -> None:
    memory = await opened()
    await degraded(memory, store)
    store.hang("health")
    before = store.calls["health"]

    async def ask() -> None:
        for _ in range(20):
            with pytest.raises(Unavailable):
                await memory.get(MemoryItem, "unknown")
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(100):
            tasks.create_task(ask())
    assert store.calls["health"] - before <= 2


async def test_without_a_journal_writes_are_volatile(store, opened) -> None:
    memory = await opened(persistent=False)
    await degraded(memory, store)
    assert (await memory.put(item())).durability is Durability.VOLATILE
    with pytest.raises(DurabilityUnavailable):
        await memory.put(item(), options=Options(min_durability=Durability.JOURNALED))


async def test_min_durability_is_what_the_layer_says_unless_the_call_does(store, opened) -> None:
    memory = await opened(min_durability=Durability.COMMITTED)
    await degraded(memory, store)
    with pytest.raises(Unavailable):
        await memory.put(item())
    journaled = Options(min_durability=Durability.JOURNALED)
    assert (await memory.put(item(), options=journaled)).durability is Durability.JOURNALED


async def test_an_increment_whose_answer_was_lost_is_applied_once(store, opened) -> None:
    memory = await opened()
    ref = Ref(SystemState, "global_config")
    patch = Patch(ref, increment={"active_sessions": 1}, or_create=SystemState())
    store.lose_answers("write", times=1)
    receipt = await memory.write([patch])
    assert receipt.durability is Durability.JOURNALED
    await until(memory, State.NORMAL)
    state = await store.get(SystemState, "global_config")
    assert state.active_sessions == 1


async def test_the_operator_is_told_once_for_each_change(store, opened, caplog) -> None:
    told: list[Transition] = []
    memory = await opened(hooks=[told.append])
    with caplog.at_level(logging.DEBUG, logger=OPEN):
        await degraded(memory, store)
        await memory.put(item())
        health = await memory.health()
        store.heal()
        await until(memory, State.NORMAL)
    assert health.status is Status.DEGRADED
    assert "degraded since" in health.detail
    assert "1 write waits" in health.detail
    assert "it does not answer" in health.detail
    states = [transition.after.state for transition in told]
    assert states == [State.DEGRADED, State.RECOVERING, State.NORMAL]
    lines = [record for record in caplog.records if isinstance(record.args, tuple)]
    lines = [line for line in lines if line.args and isinstance(line.args[0], Transition)]
    assert [line.levelno for line in lines] == [logging.WARNING, logging.INFO, logging.INFO]


async def test_a_bypassed_cache_is_a_state_of_its_own(opened, monkeypatch) -> None:
    monkeypatch.setattr(healing, "TICK", 0.01)
    bypassed = False
    memory = await opened(bypassed=lambda: bypassed)
    bypassed = True
    assert memory.status().state is State.CACHE_BYPASSED
    assert (await memory.health()).status is Status.DEGRADED


async def test_an_expired_credential_is_seen_by_callers_and_pauses_the_replay(
    store, opened
) -> None:
    memory = await opened()
    await degraded(memory, store)
    await memory.put(waits := item())
    store.heal()
    store.fail("read", "write", error=lambda: Unauthenticated("renew it"))
    with anyio.fail_after(20):
        while True:
            try:
                await memory.get(MemoryItem, "other")
            except Unauthenticated:
                break
            except Unavailable:
                await anyio.sleep(0.01)
    assert memory.status().state is State.RECOVERING
    assert "renew it" in (await memory.health()).detail
    assert await memory.get(MemoryItem, waits.id) == waits
    store.heal()
    await until(memory, State.NORMAL)
    assert await store.get(MemoryItem, waits.id) == waits


async def test_a_replay_that_is_broken_keeps_nobody_from_a_store_that_answers(
    store, opened, monkeypatch
) -> None:
    memory = await opened()
    await degraded(memory, store)
    await memory.put(item())

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(healing.Replayer, "drain", broken)
        store.heal()
        await until(memory, State.RECOVERING)
        with anyio.fail_after(20):
            while (await memory.put(item())).durability is not Durability.COMMITTED:  # noqa: ASYNC110
                await anyio.sleep(0.01)
    await until(memory, State.NORMAL)


async def test_writers_that_never_rest_get_through_to_a_store_that_is_back(store, opened) -> None:
    memory = await opened()
    await degraded(memory, store)
    through = asyncio.Event()

    async def write() -> None:
        while not through.is_set():
            receipt = await memory.put(item())
            if receipt.durability is Durability.COMMITTED:
                through.set()
            await asyncio.sleep(0)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(write())
        await asyncio.sleep(0.1)
        store.heal()
        # So that something has come whenever a replay ends.
        store.delay(0.02, "write")
    store.heal()
    await until(memory, State.NORMAL)


async def test_what_a_dead_process_left_is_taken_over_while_it_runs(
    store, opened, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(healing, "TICK", 0.01)
    monkeypatch.setattr(healing, "ADOPT_EVERY", 0.02)
    memory = await opened()
    left = item()
    guard = guarded(away := FaultyMemory(store))
    away.fail()
    async with (
        Journal.open(tmp_path / "journal", target=TARGET, medium="persistent") as journal,
        FallbackMemory(guard, journal=journal, guard=guard, drain=0) as other,
    ):
        await other.put(left)
    with anyio.fail_after(20):
        while await store.get(MemoryItem, left.id) is None:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    await until(memory, State.NORMAL)
    assert len(await journals(tmp_path / "journal", target=TARGET)) == 1


class Ending:
    """A layer that ends while the store is away, and how long that took."""

    def __init__(self, store: FaultyMemory, directory: Path | None, drain: float) -> None:
        self.store, self.directory, self.drain = store, directory, drain
        self.seconds = 0.0

    async def __call__(self, comes_back_after: float | None = None) -> MemoryItem:
        async with AsyncExitStack() as stack:
            journal = None
            if self.directory is not None:
                opening = Journal.open(self.directory, target=TARGET, medium="persistent")
                journal = await stack.enter_async_context(opening)
            guard = guarded(self.store)
            memory = FallbackMemory(guard, journal=journal, guard=guard, drain=self.drain)
            await stack.enter_async_context(memory)
            await degraded(memory, self.store)
            await memory.put(stored := item())
            if comes_back_after is not None:
                asyncio.get_running_loop().call_later(comes_back_after, self.store.heal)
            began = time.monotonic()
            await stack.aclose()
            self.seconds = time.monotonic() - began
        return stored


async def test_at_the_end_what_is_in_a_journal_does_not_wait_for_a_store_that_is_away(
    store, tmp_path
) -> None:
    ending = Ending(store, tmp_path, drain=60)
    await ending()
    assert ending.seconds < 10
    assert len(await journals(tmp_path, target=TARGET)) == 1


async def test_at_the_end_what_would_be_lost_waits_for_the_store(store, caplog) -> None:
    ending = Ending(store, None, drain=60)
    stored = await ending(comes_back_after=0.2)
    assert await store.get(MemoryItem, stored.id) == stored
    assert "lost" not in caplog.text


async def test_at_the_end_it_waits_no_longer_than_it_may(store, caplog) -> None:
    ending = Ending(store, None, drain=0.2)
    await ending()
    assert 0.1 < ending.seconds < 10
    assert "1 write is lost" in caplog.text


async def test_the_end_is_in_order_for_a_caller_that_is_cancelled(store, tmp_path) -> None:
    stored = item()
    guard = guarded(store)
    with anyio.CancelScope() as scope:
        async with (
            Journal.open(tmp_path, target=TARGET, medium="persistent") as journal,
            FallbackMemory(guard, journal=journal, guard=guard) as memory,
        ):
            store.fail("write", times=1)
            await memory.put(stored)
            scope.cancel()
            await anyio.sleep_forever()
    assert await store.get(MemoryItem, stored.id) == stored
    assert await journals(tmp_path, target=TARGET) == []


async def test_it_is_used_within_its_block_only(store) -> None:
    guard = guarded(store)
    memory = FallbackMemory(guard, guard=guard)
    with pytest.raises(RuntimeError, match="enter it first"):
        await memory.put(item())
    async with memory:
        await memory.put(item())
    with pytest.raises(RuntimeError, match="enter it first"):
        await memory.put(item())
    with pytest.raises(RuntimeError, match="entered once"):
        await memory.__aenter__()


def test_it_needs_a_guard_with_a_breaker(store) -> None:
    with pytest.raises(ConfigurationError, match="breaker"):
        FallbackMemory(store, guard=GuardedMemory(store))
