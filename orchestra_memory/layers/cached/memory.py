"""The cache as a memory around a memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, TypeVar

import anyio

from ...errors import CacheUnavailable, ConfigurationError
from ...health import Health, Status
from ...operations import DEFAULT, Measure, Op, Options, Page, Receipt, Ref, Snapshot, Totals
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record
from .below import Below
from .counters import LinkStatus
from .keys import Keyspace
from .link import Link
from .listing import Lister
from .policy import CachePolicy, Policies
from .reading import Reader
from .writing import Writer

if TYPE_CHECKING:
    from redis.asyncio import Redis

R = TypeVar("R", bound=Record)

Mode: TypeAlias = Literal["available", "strict"]

WARM_UP: Final = 1.0
"""Seconds for which entering waits at most for the first attempt to connect to end, so that the
first call finds Redis if it is there. Where it refuses that is known at once."""


LAST_TRY: Final = 1.0
"""Seconds for which leaving waits while Redis has not been told of every write."""

log: Final = logging.getLogger("orchestra_memory.cache")


class CachedMemory(MemoryManager):
    """Keeps in Redis what is read and written, and never serves what a write has replaced.

    Records by id are kept, and of each scope that a record type declares the first records, so that
    lists, counts and sums of a scope are answered, too. Once a write has been acknowledged, no
    reader that goes through such a cache gets an older value, in any process, if all that write go
    through one, with the same Redis and ``store``.

    Use it as ``async with CachedMemory(...) as memory``. `inner` and `redis` are ready and stay
    their owner's to close. ``store`` names what `inner` keeps its records in, such as
    ``"project/database"``: caches of one store share their entries. ``ttl`` is how many seconds an
    entry lives, 3,600 by default; ``policies`` says otherwise for record types. ``timeout`` is how
    long Redis is waited for in one step, 0.05 s.

    Where Redis does not answer, calls are answered by `inner` alone. A write that Redis could not
    be told of says so by ``Receipt.cache_invalidation == "pending"``: in ``mode="available"`` (the
    default) other processes may see the old value until Redis is told, which this process does
    before it reads from Redis again, or for ``ttl`` at most. In ``mode="strict"`` such a write is
    refused before anything is written, with ``CacheUnavailable``.

    ``Options(cache=...)`` says how one call goes: ``"use"`` (the default), ``"refresh"`` reads
    below and keeps what it finds, ``"bypass"`` reads below and keeps nothing, ``"only"`` never
    reads below and raises ``Unavailable`` for what is not known. ``Options(max_age=...)`` takes
    older entries for unknown. `pages` and `scan` always read below. The records of one read, up to
    400 of a namespace, hold as of one moment wherever they come from.
    """

    def __init__(
        self,
        inner: MemoryManager,
        redis: Redis,
        *,
        store: str,
        ttl: float = 3600.0,
        mode: Mode = "available",
        timeout: float = 0.05,
        policies: Mapping[type[Record], CachePolicy] | None = None,
    ) -> None:
        if mode not in ("available", "strict"):
            raise ConfigurationError(f'mode of the cache is "available" or "strict", not {mode!r}')
        self._inner = inner
        self._mode = mode
        self._link = Link(redis, Keyspace(store), timeout=timeout)
        decided, below = Policies(ttl, policies), Below(inner, self._link)
        self._reader = Reader(below, self._link, decided)
        self._lister = Lister(below, self._link, self._reader, decided)
        self._writer = Writer(inner, below, self._link, decided, strict=mode == "strict")
        self._entered = False
        self._healing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<CachedMemory {self._mode}, {self._link!r} around {self._inner!r}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a CachedMemory is entered once; make another one")
        self._entered = True
        self._healing = asyncio.create_task(self._link.heal())
        with anyio.move_on_after(WARM_UP):
            await self._link.connected()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        healing, self._healing = self._healing, None
        if healing is not None:
            healing.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([healing])
                await self._tell_the_rest()

    async def _tell_the_rest(self) -> None:
        with suppress(CacheUnavailable), anyio.move_on_after(LAST_TRY):
            await self._link.tell_the_rest()
        if left := self._link.status().pending:
            log.warning(
                "%s invalidations were not told to Redis: what is kept of them may be old until "
                "it expires, or until `orchestra-memory cache invalidate`",
                f"{left:,}",
            )

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        self._check_open()
        return await self._reader.read(refs, options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        self._check_open()
        return await self._writer.write(ops, options)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        self._check_open()
        return await self._lister.find(query, options)

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        self._check_open()
        return self._inner.pages(query, options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        self._check_open()
        return await self._lister.aggregate(query, measures, options)

    async def health(self) -> Health:
        self._check_open()
        return health_of(self._link.status(), await self._inner.health())

    def status(self) -> LinkStatus:
        """How Redis fares, and how often it could answer; asks nobody."""
        return self._link.status()

    def _check_open(self) -> None:
        if self._healing is None:
            raise RuntimeError("enter it first: async with CachedMemory(...) as memory")


def health_of(link: LinkStatus, inner: Health) -> Health:
    """The cache's own state with what is beneath: without Redis it still answers, but slower."""
    counters = link.counters
    if link.state == "closed":
        detail = f"{counters['hits']:,} hits, {counters['misses']:,} misses"
        return Health("cache", max_status(Status.OK, inner.status), detail, None, (inner,))
    reason = f" ({link.error})" if link.error else ""
    detail = f"Redis {link.state}{reason}, {link.pending:,} invalidations pending"
    return Health("cache", max_status(Status.DEGRADED, inner.status), detail, None, (inner,))


def max_status(ours: Status, theirs: Status) -> Status:
    """The worse of two."""
    order = list(Status)
    return max(ours, theirs, key=order.index)
