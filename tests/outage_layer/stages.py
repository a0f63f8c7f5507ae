"""A store that can be away, and what waits for it: what reads in an outage are tried with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestra_memory import LocalMemory, Query, Unavailable
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.layers.fallback.reading import Reader
from orchestra_memory.layers.fallback.standby import Standby
from orchestra_memory.operations import DEFAULT, Op, Options, Page, Snapshot, Source
from orchestra_memory.protocol import MemoryManager
from orchestra_memory.resilience.journal import VolatileJournal
from orchestra_memory.values import utc_now

REFUSED = "refused"


class Away(MemoryManager):
    """`inner`, which raises `failure` while there is one; ``cached`` answers for the cache."""

    def __init__(self, inner: MemoryManager, cached: MemoryManager | None = None) -> None:
        self.inner = inner
        self.cached = cached
        self.failure: Exception | None = None
        self.calls: list[tuple[str, Options]] = []

    def away(self, failure: Exception | None = None) -> None:
        self.failure = failure or Unavailable(REFUSED)

    def _asked(self, verb: str, options: Options) -> MemoryManager:
        self.calls.append((verb, options))
        if options.cache == "only":
            if self.cached is None:
                raise Unavailable("the cache knows nothing")
            return self.cached
        if self.failure is not None:
            raise self.failure
        return self.inner

    async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
        return await self._asked("read", options).read(refs, options=options)

    async def write(self, ops: Any, *, options: Options = DEFAULT) -> Any:
        return await self._asked("write", options).write(ops, options=options)

    async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
        return await self._asked("find", options).find(query, options=options)

    async def aggregate(self, query: Any, measures: Any, *, options: Options = DEFAULT) -> Any:
        return await self._asked("aggregate", options).aggregate(query, measures, options=options)

    async def health(self) -> Any:
        return await self.inner.health()


class AsCache(MemoryManager):
    """What `inner` holds, as a cache would say it that was filled ``age`` seconds ago."""

    def __init__(self, inner: MemoryManager, age: float = 0.0) -> None:
        self.inner = inner
        self.age = age

    def _labelled(self, item: Any) -> Any:
        return item and replace(item, source=Source.CACHE, age=self.age)

    async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
        snapshot = await self.inner.read(refs)
        items = tuple(map(self._labelled, snapshot.items))
        if None in items:
            known = {ref: item for ref, item in zip(refs, items, strict=True) if item}
            raise Unavailable("the cache does not know all", known=known)
        return Snapshot(items)

    async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
        page = await self.inner.find(query)
        return replace(page, items=tuple(map(self._labelled, page.items)), source=Source.CACHE)

    async def write(self, ops: Any, *, options: Options = DEFAULT) -> Any:
        raise NotImplementedError

    async def aggregate(self, query: Any, measures: Any, *, options: Options = DEFAULT) -> Any:
        raise NotImplementedError

    async def health(self) -> Any:
        raise NotImplementedError


class Stage:
    """A `Reader` with all that it goes by, each within reach."""

    def __init__(
        self,
        inner: MemoryManager | None = None,
        *,
        cached: MemoryManager | None = None,
        primary: Away | None = None,
        clock: Callable[[], datetime] = utc_now,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        self.inner = inner or LocalMemory(clock=clock)
        self.primary = primary or Away(self.inner, cached)
        self.standby = Standby() if ticks is None else Standby(clock=ticks)
        self.journal = VolatileJournal(clock=clock)
        self.queue = Queue(self.journal)
        self.reader = Reader(self.primary, self.queue, self.standby, clock=clock)

    async def wait(self, *ops: Op, commit: str | None = None) -> list[Any]:
        """Have these wait for replay."""
        return await self.queue.append([(op, NO_BASIS) for op in ops], commit=commit)

    async def read(self, *refs: Any, **options: Any) -> Any:
        return await self.reader.read(refs, Options(**options))

    async def read_one(self, ref: Any, **options: Any) -> Any:
        (item,) = await self.read(ref, **options)
        return item

    async def find(self, query: Query[Any], **options: Any) -> Page[Any]:
        return await self.reader.find(query, Options(**options))


async def all_pages(find: Callable[[Query[Any]], Any], query: Query[Any]) -> list[Page[Any]]:
    pages: list[Page[Any]] = []
    while True:
        page = await find(query)
        pages.append(page)
        assert len(pages) < 100, "pages without end"
        if page.cursor is None:
            return pages
        query = query.with_(after=page.cursor)


def as_run(work: Callable[[], Any]) -> Any:
    """What `work` returns, on a loop of its own."""
    return asyncio.run(work())


async def listed(pages: AsyncGenerator[Page[Any]]) -> list[Page[Any]]:
    return [page async for page in pages]


def keys(items: Sequence[Any]) -> list[str]:
    return [item.record.key for item in items]


class Time:
    """One clock for all: the wall's, and one that only counts."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        return self.now.timestamp()

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def staged(cached: Any = None) -> tuple[Stage, Time]:
    time = Time()
    return Stage(cached=cached, clock=time, ticks=time.ticks), time


def titles(snapshot: Any) -> list[str | None]:
    return [item and item.record.title for item in snapshot]
