"""One turn, timed or watched.

Both begin with nothing left to collect, and with what the benchmark holds put out of the garbage
collector's sight: it would go through all the records and answers kept for comparing, and charge
whoever has the turn. What a turn makes itself is collected as usual.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import psutil

from .turns import Cost, Seen
from .watch import watching

T = TypeVar("T")


async def timed(work: Coroutine[Any, Any, T], server: psutil.Process | None) -> tuple[T, Cost]:
    """Run `work`, with the clocks of this process and of the `server` process if given."""
    with fresh():
        before = _clocks(server)
        result = await work
        after = _clocks(server)
    seconds, client, served = (end - start for start, end in zip(before, after, strict=True))
    return result, Cost(seconds, client, None if server is None else served)


async def watched(work: Coroutine[Any, Any, T]) -> tuple[T, Seen]:
    """Run `work` and look at this process and its event loop."""
    with fresh():
        async with watching() as watch:
            result = await work
            return result, watch.seen()


@contextmanager
def fresh() -> Iterator[None]:
    gc.collect()
    if sys.platform == "linux":
        # What earlier turns left goes back to the system, lest this turn's growth hide in it.
        _libc().malloc_trim(0)
    frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()


def _clocks(server: psutil.Process | None) -> tuple[float, float, float]:
    """Time, this process's processor time, and the server's, which is counted in hundredths."""
    served = 0.0 if server is None else sum(server.cpu_times()[:2])
    return time.perf_counter(), time.process_time(), served


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
