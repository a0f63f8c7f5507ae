"""How many calls reach a store that hangs while its breaker is half open and many callers wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from orchestra_memory import LocalMemory, MemoryManager
from orchestra_memory.resilience.breaker import Breaker, BreakerSettings, State
from orchestra_memory.resilience.journal import VolatileJournal
from orchestra_memory.testing.faults import FaultyMemory

from ..records import Job, sessions
from ..summary import Spread
from . import stacks
from .outages import answered

PAUSE: Final = 0.01
"""Seconds between two calls of one caller."""
PATIENCE: Final = 60.0
"""Seconds until the breaker has been half open as often as is wanted."""


@dataclass(frozen=True, slots=True)
class Probes:
    """For each time that the breaker was half open: calls that reached the store, and answers that
    callers got meanwhile without it."""

    callers: int
    reached: Sequence[int]
    answers: Sequence[int]

    @property
    def compared(self) -> int:
        return sum(self.answers)


@dataclass(slots=True)
class _Count:
    """Counts from when the breaker becomes half open until it is something else; a hook of it."""

    breaker: Breaker
    store: FaultyMemory
    answers: int = 0
    reached_at_first: int | None = None
    answers_at_first: int = 0
    reached: list[int] = field(default_factory=list[int])
    answered: list[int] = field(default_factory=list[int])

    def __call__(self) -> None:
        calls = self.store.calls.total()
        if self.breaker.state is State.HALF_OPEN:
            self.reached_at_first, self.answers_at_first = calls, self.answers
        elif self.reached_at_first is not None:
            self.reached.append(calls - self.reached_at_first)
            self.answered.append(self.answers - self.answers_at_first)
            self.reached_at_first = None


async def measured(
    callers: int,
    times: int,
    *,
    deadline: float = stacks.DEADLINE,
    breaker: BreakerSettings = stacks.DEFAULTS,
) -> Probes:
    """A store that hangs, and so many callers of records that the fallback knows, until the breaker
    has been half open so many times. Calls have this ``deadline``, in seconds.

    Raises ``WrongData`` for a record that is not answered as it was put.
    """
    store = FaultyMemory(LocalMemory())
    (job,) = sessions(1, callers)
    opening = stacks.opened(store, VolatileJournal(), deadline=deadline, breaker=breaker)
    async with opening as stack:
        for record in job:
            await stack.memory.put(record)
        count = _Count(stack.breaker, store)
        stack.breaker.hooks.append(count)
        store.hang()
        async with anyio.create_task_group() as tasks, asyncio.timeout(PATIENCE):
            for record in job:
                tasks.start_soon(_call, stack.memory, [record], count)
            while len(count.reached) < times:  # noqa: ASYNC110 -- it tells nobody
                await anyio.sleep(PAUSE)
            tasks.cancel_scope.cancel()
        stack.breaker.hooks.remove(count)
        store.heal()
    return Probes(callers, count.reached[:times], count.answered[:times])


async def _call(memory: MemoryManager, job: Job, count: _Count) -> None:
    while True:
        await answered(memory, job)
        count.answers += 1
        await anyio.sleep(PAUSE)


def figures(part: str, found: Probes) -> dict[str, Spread]:
    """What promises are about; one time with more calls is not hidden by the others."""
    most = max(found.reached)
    return {f"{part}.probes": Spread(most, min(found.reached), most)}
