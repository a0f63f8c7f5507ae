"""The memory beneath, asked with restraint while Redis is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from ...errors import DeadlineExceeded
from ...operations import Measure, Options, Page, Ref, Snapshot, Totals
from ...queries import Query
from ...record import Record
from ...resilience.deadline import Deadline, remaining

if TYPE_CHECKING:
    from ...protocol import MemoryManager
    from .link import Link

R = TypeVar("R", bound=Record)

AT_ONCE: Final = 64
"""Reads under way at once while Redis is bypassed: what the cache kept from the store must not fall
upon it all together."""


class Below:
    """Reads of the memory beneath, of which few are under way at once while Redis is bypassed."""

    def __init__(self, inner: MemoryManager, link: Link) -> None:
        self._inner = inner
        self._link = link
        self._turns = anyio.Semaphore(AT_ONCE, fast_acquire=True)

    async def read(self, refs: Sequence[Ref[R]], options: Options) -> Snapshot[R]:
        if not self._link.bypassed:
            return await self._inner.read(refs, options=options)
        async with self._turn("read", options) as left:
            return await self._inner.read(refs, options=left)

    async def find(self, query: Query[R], options: Options) -> Page[R]:
        if not self._link.bypassed:
            return await self._inner.find(query, options=options)
        async with self._turn("find", options) as left:
            return await self._inner.find(query, options=left)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], options: Options
    ) -> Totals:
        if not self._link.bypassed:
            return await self._inner.aggregate(query, measures, options=options)
        async with self._turn("aggregate", options) as left:
            return await self._inner.aggregate(query, measures, options=left)

    @asynccontextmanager
    async def _turn(self, operation: str, options: Options) -> AsyncIterator[Options]:
        """A turn, and the options with the time that is left when it has come."""
        deadline = Deadline.after(options.timeout)
        with until(deadline, operation):
            await self._turns.acquire()
        try:
            yield remaining(options, deadline)
        finally:
            self._turns.release()


@contextmanager
def until(deadline: Deadline, operation: str) -> Iterator[None]:
    """Raise ``DeadlineExceeded`` where the wait for others outlasts the call."""
    try:
        with anyio.fail_after(None if deadline.at is None else deadline.left()):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"the {operation} still waited for others when its time was over; give it more, or "
            "look at health() for what holds them up",
            operation=operation,
        ) from error
