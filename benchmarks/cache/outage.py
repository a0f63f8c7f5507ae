"""Redis stopped by `SIGSTOP`: what the first answer waits, and what the later ones take."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import anyio

from orchestra_memory import MemoryItem, MemoryManager

from ..compare import compared
from ..measure import timed
from ..order import rotated
from ..records import Job
from ..result import Report
from ..summary import Spread
from .stacks import Stack
from .ways import asked

PATIENCE: Final = 60.0
"""Seconds for the cache to be in use again once Redis goes on."""
LOOK: Final = 0.05
TURNS: Final = 6
"""Turns of each way in one outage."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage, in seconds: the first answer, medians of later ones with the cache and without,
    the slowest of those with it, and how soon Redis was used again when it went on."""

    first: float
    later: float
    plain: float
    slowest: float
    back: float


@dataclass(frozen=True, slots=True)
class Outages:
    """All outages, and how many records were compared."""

    rounds: Sequence[Outage]
    compared: int


async def measured(stack: Stack, pid: int, job: Job, rounds: int, report: Report) -> Outages:
    """Stop the Redis server `pid` again and again, and read what is in the cache meanwhile.

    Raises ``WrongData`` if a record is not answered as it was stored.
    """
    await stack.cached.put_many(job)
    outages: list[Outage] = []
    count = 0
    for number in range(1, rounds + 1):
        report(f"Redis stopped, {number} of {rounds}")
        await read(stack.cached, job)
        async with stopped(pid):
            first, found = await _first(stack.cached, job[0])
            count += compared("get with Redis stopped", [[job[0]]], [found])
            later, slowest = await _later(stack, job, number)
            count += 2 * TURNS * len(job)
        outages.append(Outage(first, *later, slowest, await _back(stack)))
    return Outages(outages, count)


@asynccontextmanager
async def stopped(pid: int) -> AsyncIterator[None]:
    """A server that takes connections and commands, and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _first(memory: MemoryManager, record: MemoryItem) -> tuple[float, Job]:
    began = time.perf_counter()
    found = await read(memory, [record])
    return time.perf_counter() - began, found


async def _later(stack: Stack, job: Job, number: int) -> tuple[tuple[float, float], float]:
    """Median seconds of a read with the cache and without, and the longest with it."""
    ways = {"cached": stack.cached, "plain": stack.plain}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name, memory in rotated(list(ways.items()), number + turn):
            (found, times), _ = await timed(asked(_getting(memory), job), None)
            compared(f"get, {name}, with Redis stopped", [job], [found])
            seconds[name] += times
    cached, plain = seconds["cached"], seconds["plain"]
    return (median(cached), median(plain)), max(cached)


def _getting(memory: MemoryManager) -> Callable[[MemoryItem], Any]:
    return lambda record: memory.get(MemoryItem, record.id)


async def read(memory: MemoryManager, job: Job) -> list[MemoryItem]:
    found = [await memory.get(MemoryItem, record.id) for record in job]
    return [record for record in found if record is not None]


async def _back(stack: Stack) -> float:
    """Wait until the cache is in use again; seconds."""
    began = time.perf_counter()
    with anyio.fail_after(PATIENCE):
        while stack.cached.status().state != "closed":  # noqa: ASYNC110 -- it tells nobody
            await anyio.sleep(LOOK)
    return time.perf_counter() - began


def figures(part: str, outages: Outages) -> dict[str, Spread]:
    """What promises are about."""
    rounds = outages.rounds
    return {
        f"{part}.stopped.first_ms": Spread.of([each.first * 1e3 for each in rounds]),
        f"{part}.stopped.later/no cache": Spread.of([each.later / each.plain for each in rounds]),
    }
