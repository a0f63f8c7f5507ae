"""What becomes of the calls that are under way when the breaker opens."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestra_memory import (
    BreakerOpen,
    Count,
    DeadlineExceeded,
    GuardedMemory,
    MemoryItem,
    Query,
    Unavailable,
)
from orchestra_memory.resilience.breaker import State
from orchestra_memory.resilience.retry import Retries

from ..unit.jumping import jumping, now
from .faulty import fails, guarded

ITEM = MemoryItem(id="i", user_id="alice")
READS: dict[str, Callable[[GuardedMemory], Any]] = {
    "get": lambda memory: memory.get(MemoryItem, "i"),
    "find": lambda memory: memory.find(Query(MemoryItem)),
    "pages": lambda memory: anext(memory.pages(Query(MemoryItem))),
    "aggregate": lambda memory: memory.aggregate(Query(MemoryItem), [Count()]),
}


@pytest.mark.parametrize("name", READS)
@jumping
async def test_a_read_under_way_waits_no_longer_once_the_breaker_opens(name: str) -> None:
    store, memory, breaker = guarded(Retries(), confirm=0.25)
    store.seconds, store.answers = 60, False
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails(memory, DeadlineExceeded))
        await asyncio.sleep(1.9)
        reading = tasks.create_task(raised_by(READS[name](memory)))
        await reading
        ended = now()
    assert isinstance(reading.result(), BreakerOpen)
    assert breaker.state is State.OPEN
    assert ended == breaker.since
    assert store.under_way == 0
    assert store.calls == 2  # nor is it tried again
    assert "DeadlineExceeded" in memory.error  # that it was ended is no failure of the store


@jumping
async def test_a_write_under_way_keeps_its_deadline_when_the_breaker_opens() -> None:
    store, memory, breaker = guarded()
    store.seconds = 1.5
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(memory.put(ITEM))
        await asyncio.sleep(1)
        breaker.trip()
    assert writing.result() is not None


@jumping
async def test_a_read_goes_on_while_the_breaker_is_closed_or_catching_up() -> None:
    store, memory, breaker = guarded(failures=1, least=99)
    store.seconds = 1.5
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(memory.get(MemoryItem, "i"))
        await asyncio.sleep(1)
        breaker.catch_up()
        await asyncio.sleep(0.1)
        breaker.drained()
    assert reading.result() is None


@jumping
async def test_who_gives_up_a_read_as_the_breaker_opens_has_given_it_up() -> None:
    store, memory, breaker = guarded()
    store.seconds = 60

    def end() -> None:
        breaker.trip()
        scope.cancel()

    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_later(1, end)
        await memory.get(MemoryItem, "i")
    assert scope.cancelled_caught
    assert store.under_way == 0


async def raised_by(call: Any) -> Exception:
    with pytest.raises(Unavailable) as caught:
        await call
    return caught.value
