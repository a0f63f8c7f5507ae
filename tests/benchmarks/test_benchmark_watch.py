"""What is seen of the event loop."""

import asyncio
import gc
import time

import pytest

from benchmarks.measure import timed, watched
from benchmarks.watch import Watch, callbacks_timed

pytestmark = pytest.mark.anyio


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def slept():
    await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 -- that it holds the loop is the point
    await asyncio.sleep(0)


async def burnt():
    await asyncio.sleep(0)
    burn(0.05)
    await asyncio.sleep(0)
    return "done"


async def test_a_callback_that_computes_is_seen_for_as_long_as_it_does():
    result, seen = await watched(burnt())
    assert result == "done"
    assert seen.callback >= 0.05
    assert seen.stall >= 0.04


async def test_a_callback_that_only_waits_stalls_the_loop_but_takes_no_processor_time():
    _, seen = await watched(slept())
    assert seen.stall >= 0.04
    assert seen.callback < seen.stall / 2


async def test_callbacks_are_not_added_up():
    async def in_slices():
        for _ in range(10):
            burn(0.02)
            await asyncio.sleep(0)

    _, seen = await watched(in_slices())
    assert 0.02 <= seen.callback < 0.1


async def test_what_holds_the_loop_without_a_task_is_seen_too():
    watch = Watch()
    with callbacks_timed(watch):
        asyncio.get_running_loop().call_soon(burn, 0.03)
        await asyncio.sleep(0.01)
    assert watch.seen().callback >= 0.03


async def test_callbacks_are_left_alone_afterwards():
    before = asyncio.Handle._run
    with pytest.raises(ZeroDivisionError):
        await watched(_failing())
    assert asyncio.Handle._run is before


async def _failing():
    return 1 / 0


async def test_what_the_collector_takes_of_a_callback_is_told_apart():
    before = list(gc.callbacks)

    async def collect():
        kept = [[] for _ in range(500_000)]
        for _ in range(10):
            gc.collect()
        return len(kept)

    _, seen = await watched(collect())
    assert seen.work < seen.callback / 2
    assert gc.callbacks == before


async def test_without_the_collector_a_callback_is_its_own_work():
    gc.disable()
    try:
        _, seen = await watched(burnt())
    finally:
        gc.enable()
    assert seen.work == seen.callback


async def test_growth_of_the_process_is_seen():
    async def grow():
        return bytearray(b"x" * 50_000_000)

    _, seen = await watched(grow())
    assert seen.memory >= 40_000_000


async def test_time_passed_and_processor_time_are_told_apart():
    _, cost = await timed(asyncio.sleep(0.1), None)
    assert cost.seconds >= 0.1 > cost.client_cpu
    assert cost.server_cpu is None
