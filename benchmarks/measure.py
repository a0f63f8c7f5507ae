"""What one turn cost: time, processor time of both sides, memory, and the loop's longest stall."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import time
from collections.abc import Coroutine
from functools import cache
from typing import Any, Final, TypeVar

import psutil

from .turns import Cost

T = TypeVar("T")

TICK: Final = 0.002
"""Seconds between two looks at the clock; a stall is seen to this exactness."""
TICKS_PER_LOOK_AT_MEMORY: Final = 5


async def measured(work: Coroutine[Any, Any, T], server: psutil.Process | None) -> tuple[T, Cost]:
    """Run `work`, watching this process, its event loop, and the `server` process if given."""
    _release_memory()
    watch = _Watch()
    ticking = asyncio.create_task(watch.tick())
    await asyncio.sleep(0)
    before = _clocks(server)
    try:
        result = await work
    finally:
        after = _clocks(server)
        watch.look()
        ticking.cancel()
    seconds, client, served = (end - start for start, end in zip(before, after, strict=True))
    return result, Cost(
        seconds, client, None if server is None else served, watch.growth, watch.stall
    )


def _clocks(server: psutil.Process | None) -> tuple[float, float, float]:
    """Time, this process's processor time, and the server's, which is counted in hundredths."""
    served = 0.0 if server is None else sum(server.cpu_times()[:2])
    return time.perf_counter(), time.process_time(), served


class _Watch:
    """A ticking task: how late its ticks come, and how large the process is."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._rss()
        self._due = time.perf_counter() + TICK
        self.growth = 0
        self.stall = 0.0

    async def tick(self) -> None:
        number = 0
        while True:
            self._due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            self.stall = max(self.stall, time.perf_counter() - self._due)
            number += 1
            if number % TICKS_PER_LOOK_AT_MEMORY == 0:
                self.growth = max(self.growth, self._rss() - self._before)

    def look(self) -> None:
        """Count a tick that is overdue when the work ends, and the memory it ends with."""
        self.stall = max(self.stall, time.perf_counter() - self._due)
        self.growth = max(self.growth, self._rss() - self._before)

    def _rss(self) -> int:
        return int(self._process.memory_info().rss)


def _release_memory() -> None:
    """Give what earlier turns left back to the system, lest this turn's growth hide in it."""
    gc.collect()
    if sys.platform == "linux":
        _libc().malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
