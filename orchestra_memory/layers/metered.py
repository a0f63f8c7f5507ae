"""Counting the cost: what the memory beneath bills is added up."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from ..costs import OPERATIONS, Cost, Operation
from ..errors import PartialWrite
from ..health import Health
from ..operations import (
    DEFAULT,
    FREE,
    Billed,
    Delete,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Snapshot,
    Totals,
)
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record


class Answer(Protocol):
    """What every answer of a store says."""

    @property
    def billed(self) -> Billed: ...


A = TypeVar("A", bound=Answer)
R = TypeVar("R", bound=Record)


class MeteredMemory(MemoryManager):
    """Adds up what the memory beneath bills; :meth:`cost` tells it.

    Its place is right above the store, so that every attempt and all background work count. What
    :meth:`health` asks of a store is not counted.
    """

    def __init__(self, inner: MemoryManager) -> None:
        self._inner = inner
        self._billed: dict[Operation, Billed] = dict.fromkeys(OPERATIONS, FREE)
        self._calls = 0
        self._failed = 0

    def __repr__(self) -> str:
        return f"<MeteredMemory {self._calls} calls of {self._inner!r}>"

    def cost(self) -> Cost:
        """What was billed since this was made, by operation."""
        return Cost(**self._billed, calls=self._calls, failed=self._failed)

    def add(self, cost: Cost) -> None:
        """Count what was billed beside this memory, too."""
        for operation in OPERATIONS:
            self._billed[operation] += getattr(cost, operation)
        self._calls += cost.calls
        self._failed += cost.failed

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        return await self._metered("read", self._inner.read(refs, options=options))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        return await self._metered("write", self._inner.write(ops, options=options))

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        return await self._metered("find", self._inner.find(query, options=options))

    async def pages(
        self, query: Query[R], *, options: Options = DEFAULT
    ) -> AsyncGenerator[Page[R]]:
        async with aclosing(self._inner.pages(query, options=options)) as pages:
            while page := await self._metered_page(pages):
                yield page

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._metered(
            "aggregate", self._inner.aggregate(query, measures, options=options)
        )

    async def health(self) -> Health:
        return await self._inner.health()

    async def _metered_page(self, pages: AsyncGenerator[Page[R]]) -> Page[R] | None:
        try:
            return await self._metered("find", anext(pages))
        except StopAsyncIteration:
            self._calls -= 1
            self._failed -= 1
            return None

    async def _metered(self, operation: Operation, call: Awaitable[A]) -> A:
        self._calls += 1
        try:
            answer = await call
        except BaseException as error:
            self._failed += 1
            if isinstance(error, PartialWrite):
                self._billed[operation] += at_least(error.committed)
            raise
        self._billed[operation] += answer.billed
        return answer


def at_least(committed: Sequence[Op]) -> Billed:
    """What these operations were billed if each was one document."""
    deletes = sum(isinstance(op, Delete) for op in committed)
    return Billed(writes=len(committed) - deletes, deletes=deletes)
