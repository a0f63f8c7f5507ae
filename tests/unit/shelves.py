"""Stores that tell what bulk writes give them, when, and how much of it at once."""

import asyncio
import weakref
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import anyio
import anyio.lowlevel

from orchestra_memory import Billed, Conflict, Delete, LocalMemory, Options, Put, Receipt
from orchestra_memory.operations import DEFAULT, Op
from orchestra_memory.testing.contract.models import Lease

LONG = 20
"""Seconds after which something hangs."""


class Shelf(LocalMemory):
    """Notes what it is given, in the order in which it is applied.

    ``seed`` makes every write take its own time; ``fails`` says which ones do, before they apply.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        fails: Callable[[Sequence[Op]], BaseException | None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.begun: list[Sequence[Op]] = []
        self.applied: list[Op] = []
        self.options: list[Options] = []
        self.now = self.most = 0
        self.open = anyio.Event()
        self.open.set()
        self.fails = fails
        self._random = None if seed is None else Random(seed)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        self.begun.append(ops)
        self.options.append(options)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._take_time()
            if (failure := self.fails(ops)) is not None:
                raise failure
            self.applied += ops
        finally:
            self.now -= 1
        revisions = tuple(None if isinstance(op, Delete) else rank_of(op) for op in ops)
        return Receipt(revisions, len(self.applied), billed=Billed(writes=len(ops)))

    async def _take_time(self) -> None:
        await self.open.wait()
        for _ in range(1 if self._random is None else self._random.randrange(40)):
            await anyio.lowlevel.checkpoint()

    @property
    def keys(self) -> list[str]:
        return [op.ref.key for op in self.applied]


def rank_of(op: Op) -> int:
    """Of its record, 0 if it brings none."""
    return op.record.rank if isinstance(op, Put) and isinstance(op.record, Lease) else 0


def is_key(*keys: str) -> Callable[[Sequence[Op]], BaseException | None]:
    """Fails the writes with any of these."""

    def fails(ops: Sequence[Op]) -> BaseException | None:
        found = [op.ref for op in ops if op.ref.key in keys]
        return Conflict("in the way", refs=found) if found else None

    return fails


async def settled() -> None:
    """Returns when nothing goes on by itself any more."""
    for _ in range(100):
        await anyio.lowlevel.checkpoint()


class Crowd(LocalMemory):
    """Forgets what it is given, having counted what is still there."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = weakref.WeakSet[Any]()
        self.written = self.most = self.tasks = self.behind = self.given = 0

    def lease(self, key: str) -> Lease:
        lease = Lease.model_construct(id=key, rank=self.given, expiration=None)
        self.alive.add(lease)
        self.given += 1
        self.behind = max(self.behind, self.given - self.written)
        return lease

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        for _ in range(6):
            # Others are taken meanwhile.
            await anyio.lowlevel.checkpoint()
        self.written += len(ops)
        self.most = max(self.most, len(self.alive))
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))
        return Receipt((0,) * len(ops), self.written)
