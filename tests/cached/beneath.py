"""What a cache is put between: a store that counts what it is asked, and a Redis that can go."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import anyio
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from orchestra_memory import LocalMemory, MemoryItem, MemoryManager, Ref
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.values import utc_now

Hook = Callable[[], Awaitable[None]]

A: Final = Ref(Note, "a")
NOW: Final = utc_now().replace(microsecond=0)


def said(number: int, session: str = "s", **fields) -> MemoryItem:
    """What was said in a session, each a second after the one before."""
    at = NOW + timedelta(seconds=number)
    return MemoryItem(id=f"m{number:03}", user_id="u", session_id=session, timestamp=at, **fields)


class Store(MemoryManager):
    """Counts, by the ids and queries it is asked for, and lets tests step in between."""

    def __init__(self, inner: MemoryManager | None = None) -> None:
        self.inner = inner or LocalMemory()
        self.reads: list[list[str]] = []
        self.options: list[Any] = []
        self.finds = self.aggregates = self.writes = 0
        self.before_read: Hook | None = None
        self.after_read: Hook | None = None
        self.before_write: Hook | None = None
        self.after_write: Hook | None = None

    @property
    def asked(self) -> int:
        """How often anything was asked, apart from writes."""
        return len(self.reads) + self.finds + self.aggregates

    async def read(self, refs, *, options=DEFAULT):
        self.reads.append([ref.key for ref in refs])
        self.options.append(options)
        await _call(self.before_read)
        answer = await self.inner.read(refs, options=options)
        await _call(self.after_read)
        return answer

    async def write(self, ops, *, options=DEFAULT):
        self.writes += 1
        await _call(self.before_write)
        receipt = await self.inner.write(ops, options=options)
        await _call(self.after_write)
        return receipt

    async def find(self, query, *, options=DEFAULT):
        self.finds += 1
        await _call(self.before_read)
        page = await self.inner.find(query, options=options)
        await _call(self.after_read)
        return page

    async def aggregate(self, query, measures: Sequence[Any], *, options=DEFAULT):
        self.aggregates += 1
        return await self.inner.aggregate(query, measures, options=options)

    async def health(self):
        return await self.inner.health()


async def _call(hook: Hook | None) -> None:
    if hook is not None:
        await hook()


class _LeavingPool(ConnectionPool):
    away = False

    async def get_connection(self, *args, **options):
        if self.away:
            raise RedisConnectionError("gone")
        return await super().get_connection(*args, **options)


class Leaving(Redis):
    """A client whose Redis goes ``away`` and comes back, as a test says."""

    @classmethod
    def at(cls, url: str) -> "Leaving":
        return cls.from_pool(_LeavingPool.from_url(url, max_connections=300))

    @property
    def away(self) -> bool:
        return self.connection_pool.away

    @away.setter
    def away(self, away: bool) -> None:
        self.connection_pool.away = away


class Stop:
    """Holds up whoever passes, until it is opened; ``reached`` once somebody stands there."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self._open = anyio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


@asynccontextmanager
async def in_background(call: Callable[[], Awaitable[Any]]) -> AsyncIterator[anyio.CancelScope]:
    """A call under way while the body runs; it is waited for at the end."""
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await call()

        tasks.start_soon(run)
        yield tasks.cancel_scope


async def entries(redis: Redis, store: str) -> list[bytes]:
    """The keys of records that are kept of this store."""
    return [key async for key in redis.scan_iter(f"om:{{{store}/*:r:*")]
