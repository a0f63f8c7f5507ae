"""A guard with a breaker, around a store that fails as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    GuardedMemory,
    Health,
    LocalMemory,
    MemoryItem,
    Options,
    Query,
    Receipt,
    Ref,
    Status,
    Unavailable,
)
from orchestra_memory.operations import DEFAULT, Measure, Op, Totals
from orchestra_memory.resilience.retry import Retries

from ..unit.jumping import now

ONCE = Retries(attempts=1)


class Faulty(LocalMemory):
    """Fails as it is told: ``error`` is raised by every call, ``seconds`` are waited first."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.seconds = 0.0
        self.calls = 0
        self.under_way = 0
        self.probes = 0
        self.answers = True

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Any:
        await self._fail()
        return await super().read(refs, options=options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        await self._fail()
        return await super().write(ops, options=options)

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Any:
        await self._fail()
        return await super().find(query, options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        await self._fail()
        return await super().aggregate(query, measures, options=options)

    async def _fail(self) -> None:
        self.calls += 1
        self.under_way += 1
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        if self.error is not None:
            raise self.error

    async def health(self) -> Health:
        self.probes += 1
        if not self.answers:
            await asyncio.sleep(3600)
        return Health("faulty", Status.DOWN, answered=True)


def guarded(retries: Retries = ONCE, **settings: Any) -> tuple[Faulty, GuardedMemory, Breaker]:
    store = Faulty()
    breaker = Breaker(BreakerSettings(**settings), clock=now, chance=lambda: 0.5)
    return store, GuardedMemory(store, timeout=2, retries=retries, breaker=breaker), breaker


async def fails(memory: GuardedMemory, error: type[Exception] = Unavailable, **options: Any) -> Any:
    with pytest.raises(error) as caught:
        await memory.get(MemoryItem, "i", options=Options(**options))
    return caught.value
