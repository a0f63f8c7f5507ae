"""Looking at this process while it works: how long its event loop is held, how it grows."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import psutil

from .turns import Seen

TICK: Final = 0.002
"""Seconds between two looks at the clock; a stall is seen to this exactness."""
TICKS_PER_LOOK_AT_MEMORY: Final = 5


class Watch:
    """What has been seen so far."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._size()
        self._due = time.perf_counter() + TICK
        self._growth = 0
        self._stall = 0.0
        self._began = time.thread_time()
        self._collected = 0.0
        self._callback = 0.0
        self._work = 0.0

    def seen(self) -> Seen:
        """Counts the callback that is under way, too, and a tick that is overdue."""
        self._look_at_clock()
        self._look_at_memory()
        self.callback_ended()
        return Seen(self._stall, self._callback, self._growth, self._work)

    def callback_began(self) -> None:
        self._began = time.thread_time()
        self._collected = 0.0

    def callback_ended(self) -> None:
        took = time.thread_time() - self._began
        self._callback = max(self._callback, took)
        self._work = max(self._work, took - self._collected)

    def collected(self, seconds: float) -> None:
        """The garbage collector took so long, within the callback that is under way."""
        self._collected += seconds

    async def tick(self) -> None:
        number = 0
        while True:
            self._look_at_clock()
            if number % TICKS_PER_LOOK_AT_MEMORY == 0:
                self._look_at_memory()
            number += 1
            self._due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)

    def _look_at_clock(self) -> None:
        self._stall = max(self._stall, time.perf_counter() - self._due)

    def _look_at_memory(self) -> None:
        self._growth = max(self._growth, self._size() - self._before)

    def _size(self) -> int:
        return int(self._process.memory_info().rss)


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    """Look at this process and its event loop; every callback is slowed by about 1 µs."""
    watch = Watch()
    with callbacks_timed(watch), collections_timed(watch):
        # The callback under way began before it could be timed.
        await asyncio.sleep(0)
        ticking = asyncio.create_task(watch.tick())
        try:
            yield watch
        finally:
            ticking.cancel()


@contextmanager
def callbacks_timed(watch: Watch) -> Iterator[None]:
    """Tell `watch` of every callback on an event loop."""
    # asyncio has no hook for this, and a task is not all that holds a loop: gRPC's answers come by
    # a callback on a socket.
    handles: Any = asyncio.Handle
    run = handles._run

    def timed(handle: asyncio.Handle) -> None:
        watch.callback_began()
        run(handle)
        watch.callback_ended()

    handles._run = timed
    try:
        yield
    finally:
        handles._run = run


@contextmanager
def collections_timed(watch: Watch) -> Iterator[None]:
    """Tell `watch` of every pass of the garbage collector."""
    began = 0.0

    def timed(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        else:
            watch.collected(time.thread_time() - began)

    gc.callbacks.append(timed)
    try:
        yield
    finally:
        gc.callbacks.remove(timed)
