"""What the guard tells its breaker, and whom it lets through while that is not closed."""

import asyncio
import time
from typing import Any

import anyio
import pytest

from orchestra_memory import (
    Breaker,
    BreakerOpen,
    Conflict,
    Count,
    DeadlineExceeded,
    GuardedMemory,
    MemoryItem,
    Options,
    Overloaded,
    PartialWrite,
    PermissionDenied,
    Put,
    Query,
    Receipt,
    Status,
    Unauthenticated,
    Unavailable,
)
from orchestra_memory.resilience.breaker import State
from orchestra_memory.resilience.retry import Retries

from ..unit.jumping import jumping, now
from .faulty import ONCE, Faulty, fails, guarded

ITEM = MemoryItem(id="i", user_id="alice")
PARTIAL = PartialWrite("cut", committed=[], remaining=[Put(ITEM)])


@jumping
async def test_a_store_that_keeps_failing_is_not_asked() -> None:
    store, memory, breaker = guarded()
    store.error = Unavailable("gone")
    for _ in range(5):
        await fails(memory)
    assert breaker.state is State.OPEN
    for _ in range(100):
        assert not (await fails(memory, BreakerOpen)).ambiguous
    assert store.calls == 5


@jumping
async def test_no_verb_goes_through_an_open_breaker() -> None:
    store, memory, breaker = guarded()
    breaker.trip()
    query = Query(MemoryItem)
    for call in (
        memory.get(MemoryItem, "i"),
        memory.put(ITEM),
        memory.find(query),
        memory.aggregate(query, [Count()]),
        anext(memory.pages(query)),
    ):
        with pytest.raises(BreakerOpen):
            await call
    assert store.calls == 0


@jumping
async def test_a_call_refused_by_the_breaker_is_refused_at_once() -> None:
    _, memory, breaker = guarded(Retries())
    breaker.trip()
    began = now()
    await fails(memory, BreakerOpen)
    assert now() == began


@jumping
async def test_who_retries_stops_once_the_breaker_is_open() -> None:
    store, memory, breaker = guarded(Retries(attempts=3, pause=1))
    store.error = Unavailable("cut", ambiguous=True)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(fails_to_write(memory))
        await asyncio.sleep(0)
        breaker.trip()
    assert store.calls == 1
    assert isinstance(writing.result(), BreakerOpen)
    # The attempt before may have been applied.
    assert writing.result().ambiguous


async def fails_to_write(memory: GuardedMemory) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await memory.put(ITEM)
    return caught.value


@jumping
async def test_a_write_that_was_in_doubt_stays_so_when_it_is_refused_later() -> None:
    store, memory, _ = guarded(Retries(attempts=2))

    async def refused(*_: Any, **__: Any) -> Receipt:
        store.calls += 1
        raise Unavailable("gone", ambiguous=store.calls == 1)

    store.write = refused  # type: ignore[method-assign]
    assert (await fails_to_write(memory)).ambiguous
    assert store.calls == 2


@jumping
async def test_what_a_retry_mended_is_no_failure() -> None:
    store, memory, breaker = guarded(Retries(attempts=2), consecutive=1)
    errors = iter([Unavailable("cut")])
    read = store.read

    async def once(*args: Any, **options: Any) -> Any:
        for error in errors:
            raise error
        return await read(*args, **options)

    store.read = once  # type: ignore[method-assign]
    assert await memory.get(MemoryItem, "i") is None
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(
    "error",
    [
        Conflict("no"),
        Overloaded("busy"),
        PermissionDenied("no"),
        Unauthenticated("expired"),
        PARTIAL,
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
@jumping
async def test_what_the_store_refuses_never_opens_it(error: Exception) -> None:
    store, memory, breaker = guarded(consecutive=1, least=1)
    store.error = error
    for _ in range(100):
        await fails(memory, type(error))
    assert breaker.state is State.CLOSED
    assert memory.error == ""


@jumping
async def test_a_bulk_write_that_was_cut_counts_as_its_cause() -> None:
    store, memory, breaker = guarded(consecutive=1)
    store.error = PARTIAL
    store.error.__cause__ = Unavailable("gone")
    await fails(memory, PartialWrite)
    assert breaker.state is State.OPEN


@jumping
async def test_callers_who_give_up_never_open_it() -> None:
    store, memory, breaker = guarded(consecutive=1, least=1)
    store.seconds = 1
    for _ in range(100):
        with anyio.move_on_after(0.5):
            await memory.get(MemoryItem, "i")
    assert breaker.state is State.CLOSED
    assert store.calls == 100


@jumping
async def test_one_missed_deadline_opens_it_where_nothing_is_to_confirm() -> None:
    store, memory, breaker = guarded()
    store.seconds = 60
    await fails(memory, DeadlineExceeded)
    assert breaker.state is State.OPEN
    assert "DeadlineExceeded" in memory.error


@pytest.mark.parametrize("answers", [True, False])
@jumping
async def test_a_missed_deadline_is_looked_into_before_it_opens(answers: bool) -> None:
    store, memory, breaker = guarded(confirm=0.25)
    store.seconds, store.answers = 60, answers
    began = now()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(fails(memory, DeadlineExceeded))
    assert now() - began < 2.1  # nobody waits for the look
    await asyncio.sleep(0.3)
    assert store.probes == 1
    assert breaker.state is (State.CLOSED if answers else State.OPEN)


@pytest.mark.parametrize("answers", [True, False])
@jumping
async def test_a_short_deadline_of_a_callers_own_counts_only_if_nothing_answers(
    answers: bool,
) -> None:
    store, memory, breaker = guarded(confirm=0.25, least=1)
    store.seconds, store.answers = 60, answers
    for _ in range(10):
        await fails(memory, DeadlineExceeded if breaker.allows() else BreakerOpen, timeout=0.01)
        await asyncio.sleep(1)
    assert breaker.state is (State.CLOSED if answers else State.OPEN)


async def test_a_deadline_this_process_was_too_busy_for_says_nothing(anyio_backend: str) -> None:
    store = Faulty()
    memory = GuardedMemory(store, timeout=0.1, retries=ONCE, breaker=Breaker())
    store.seconds = 60
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails(memory, DeadlineExceeded))
        await asyncio.sleep(0.01)
        time.sleep(0.5)  # noqa: ASYNC251 -- the busy process
    assert memory.lags == 1
    assert memory.breaker is not None
    assert memory.breaker.state is State.CLOSED


@jumping
async def test_only_who_catches_up_is_let_through_before_it_is_closed() -> None:
    store, memory, breaker = guarded()
    breaker.trip()
    with memory.catching_up():
        await fails(memory, BreakerOpen)
    breaker.drained()
    breaker.catch_up()
    with memory.catching_up():
        assert await memory.get(MemoryItem, "i") is None
    await fails(memory, BreakerOpen)
    async with asyncio.TaskGroup() as tasks:
        with GuardedMemory(store).catching_up():
            tasks.create_task(fails(memory, BreakerOpen))
    assert store.calls == 1


@jumping
async def test_a_probe_asks_the_store_whatever_the_breaker_says() -> None:
    store, memory, breaker = guarded()
    breaker.trip()
    assert await memory.probe(1)
    store.answers = False
    assert not await memory.probe(1)
    assert store.probes == 2


@jumping
async def test_while_it_is_open_its_health_is_known_without_asking() -> None:
    store, memory, breaker = guarded()
    assert (await memory.health()).component == "faulty"
    breaker.trip()
    health = await memory.health()
    assert (health.status, health.answered) == (Status.DOWN, False)
    assert "open" in health.detail
    assert store.probes == 1


@jumping
async def test_without_a_cache_nothing_is_known_by_the_cache_only() -> None:
    store, memory, breaker = guarded(consecutive=1)
    query, only = Query(MemoryItem), Options(cache="only")
    for call in (
        lambda: memory.get(MemoryItem, "i", options=only),
        lambda: memory.find(query, options=only),
        lambda: memory.aggregate(query, [Count()], options=only),
        lambda: anext(memory.pages(query, options=only)),
    ):
        with pytest.raises(Unavailable, match="only"):
            await call()
    assert store.calls == 0
    assert breaker.state is State.CLOSED
