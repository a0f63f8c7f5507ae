"""A memory whose every write meets an outage, for tests of what must hold in spite of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    FallbackMemory,
    GuardedMemory,
    MemoryManager,
    Record,
)
from orchestra_memory.health import Health
from orchestra_memory.operations import (
    DEFAULT,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Snapshot,
    Totals,
)
from orchestra_memory.queries import Query
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.faults import FaultyMemory

R = TypeVar("R", bound=Record)


class Outages(MemoryManager):
    """Every write meets an outage, which is over before anything is read."""

    def __init__(self, memory: FallbackMemory, store: FaultyMemory) -> None:
        self._memory = memory
        self._store = store

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        self._store.fail("write")
        return await self._memory.write(ops, options=options)

    async def _recover(self) -> None:
        self._store.heal()
        await self._memory.replay()

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        await self._recover()
        return await self._memory.read(refs, options=options)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        await self._recover()
        return await self._memory.find(query, options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        await self._recover()
        return await self._memory.aggregate(query, measures, options=options)

    async def health(self) -> Health:
        return await self._memory.health()


@asynccontextmanager
async def outages(inner: MemoryManager) -> AsyncIterator[Outages]:
    """Such a memory over a store, with nothing between that would delay or spare it a call."""
    store = FaultyMemory(inner)
    never = Breaker(BreakerSettings(consecutive=10**9, least=10**9))
    guard = GuardedMemory(store, retries=Retries(attempts=1), breaker=never)
    async with FallbackMemory(guard, guard=guard) as memory:
        yield Outages(memory, store)
        store.heal()
