"""The cache that most write first: read, else fetch and fill; writers delete. It must be caught."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from orchestra_memory import (
    Health,
    MemoryManager,
    Options,
    Page,
    Query,
    Receipt,
    Ref,
    Snapshot,
    Source,
    Stored,
    Totals,
)
from orchestra_memory.operations import DEFAULT, Measure, Op

T = TypeVar("T")

TIMEOUT = 0.05


class CacheAside(MemoryManager):
    """Keeps records by id; absence, lists and counts are asked below."""

    def __init__(self, inner: MemoryManager, redis: Redis, *, store: str, ttl: float) -> None:
        self._inner = inner
        self._redis = redis
        self._store = store
        self._ttl_ms = round(ttl * 1000)

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        texts = await _tried(self._redis.mget([self._key(ref) for ref in refs]))
        known = [_decoded(ref, text) for ref, text in zip(refs, texts or [], strict=False)]
        if len(known) == len(refs) and all(known):
            return Snapshot(tuple(known))
        snapshot = await self._inner.read(refs, options=options)
        for ref, stored in zip(refs, snapshot.items, strict=True):
            if stored is not None and texts is not None:
                text = json.dumps([stored.revision, stored.record.model_dump(mode="json")])
                await _tried(self._redis.set(self._key(ref), text, px=self._ttl_ms))
        return snapshot

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        receipt = await self._inner.write(ops, options=options)
        deleted = await _tried(self._redis.delete(*(self._key(op.ref) for op in ops)))
        told = "pending" if deleted is None else "done"
        return replace(receipt, cache_invalidation=told)

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        return await self._inner.find(query, options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._inner.aggregate(query, measures, options=options)

    async def health(self) -> Health:
        return await self._inner.health()

    def _key(self, ref: Ref[Any]) -> str:
        return f"naive:{self._store}:{ref.collection}:{ref.key}"


def _decoded(ref: Ref[Any], text: bytes | None) -> Stored[Any] | None:
    if text is None:
        return None
    revision, fields = json.loads(text)
    return Stored(ref.model(**fields), revision, Source.CACHE)


async def _tried(asked: Awaitable[T]) -> T | None:
    """The answer, ``None`` where Redis gives none in time."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await asked
    except (RedisError, OSError):
        return None
