"""Cancelled, failed or out of time: sources are closed, no task is left, and nothing hangs."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from orchestra_memory import DeadlineExceeded, MemoryManager, Options, PartialWrite
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.contract.models import Lease

from .shelves import LONG, Crowd, Shelf, is_key
from .sources import SOURCES, Closing, as_iterator, as_stream, leases

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("halts_at", [None, 0, 200, 900])
async def test_cancelled_it_closes_the_generator_and_leaves_no_task(halts_at: int | None) -> None:
    for turns in (1, 2, 3, 5, 10, 30, 80):
        before = asyncio.all_tasks()
        source, shelf = Closing(halts_at=halts_at), Shelf(seed=turns)
        records = source.records()
        task = asyncio.create_task(shelf.put_many(records))
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert source.closed or turns < 5
        assert records.ag_frame is None
        assert shelf.now == 0
        for _ in range(4):
            # Nor is there one that closes what was forgotten.
            assert asyncio.all_tasks() == before
            await anyio.lowlevel.checkpoint()


async def test_a_scope_cancels_it_likewise() -> None:
    before = asyncio.all_tasks()
    records = Closing().records()
    with anyio.move_on_after(0.05) as scope:
        await Shelf(seed=1).put_many(records)
    assert scope.cancelled_caught
    assert records.ag_frame is None
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("halts_at", [None, 2_000])
async def test_a_failure_closes_the_generator_too(halts_at: int | None) -> None:
    before = asyncio.all_tasks()
    source = Closing(halts_at=halts_at)
    with anyio.fail_after(LONG), pytest.raises(PartialWrite):
        await Shelf(fails=is_key("n500")).put_many(source.records())
    assert source.closed
    assert asyncio.all_tasks() == before


async def test_a_stream_that_is_no_generator_is_left_open() -> None:
    send, receive = anyio.create_memory_object_stream[Lease](4_800)
    for lease in leases(4_800):
        send.send_nowait(lease)
    send.close()
    shelf = Shelf(fails=is_key("n500"))
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(receive)
    shelf.fails = lambda _: None
    await shelf.put_many([op.record for op in caught.value.remaining])
    await shelf.put_many(receive)
    receive.close()
    assert sorted(shelf.keys) == sorted(lease.id for lease in leases(4_800))


@pytest.mark.parametrize("halts_at", [0, 10, 1_000])
async def test_a_source_that_stands_still_is_left_at_the_deadline(halts_at: int) -> None:
    shelf, records = Shelf(), Closing(halts_at=halts_at).records()
    with anyio.fail_after(LONG), pytest.raises((DeadlineExceeded, PartialWrite)) as caught:
        await shelf.put_many(records, options=Options(timeout=0.3))
    error = caught.value
    cause = error.__cause__ if isinstance(error, PartialWrite) else error
    assert isinstance(cause, DeadlineExceeded)
    assert not cause.ambiguous
    assert records.ag_frame is None
    remaining = error.remaining if isinstance(error, PartialWrite) else ()
    assert len(shelf.applied) + len(remaining) == halts_at


@pytest.mark.parametrize("source", [as_iterator, as_stream])
async def test_an_endless_source_is_left_at_the_deadline(source) -> None:
    shelf = Crowd()
    with anyio.fail_after(LONG), pytest.raises(PartialWrite) as caught:
        await shelf.put_many(
            source(iter(lambda: shelf.lease("n"), None)), options=Options(timeout=0.3)
        )
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    assert caught.value.stored == shelf.written > 0
    assert caught.value.stored + len(caught.value.remaining) == shelf.given


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("of_the_view", [False, True])
async def test_all_chunks_share_the_deadline_of_the_call(source, of_the_view: bool) -> None:
    shelf = Shelf(seed=1)
    memory: MemoryManager = shelf.with_options(timeout=50) if of_the_view else shelf
    options = DEFAULT if of_the_view else Options(timeout=50)
    await memory.put_many(source(leases(4_000)), options=options)
    left = [options.timeout for options in shelf.options if options.timeout is not None]
    assert len(left) == len(shelf.begun) >= 10
    assert 50 >= left[0] > left[-1] > 0
    assert left == sorted(left, reverse=True)


async def test_without_a_deadline_chunks_have_none() -> None:
    shelf = Shelf()
    await shelf.put_many(leases(1_000))
    assert {options.timeout for options in shelf.options} == {None}
