"""What is measured: a store with the cache around it, and the same store without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import (
    CachedMemory,
    FirestoreMemory,
    GuardedMemory,
    LocalMemory,
    MemoryManager,
    MeteredMemory,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

TTL: Final = 3600.0
PATIENCE: Final = 0.05
"""Seconds that Redis is waited for, as the library does by default."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A memory with the cache, what is beneath it, and the meter on the store."""

    cached: CachedMemory
    plain: MemoryManager
    meter: MeteredMemory


@asynccontextmanager
async def over_firestore(
    redis: Redis,
    client: AsyncClient,
    collection: str,
    *,
    ttl: float = TTL,
    patience: float = PATIENCE,
) -> AsyncIterator[Stack]:
    """The layers that ``open_memory`` makes for a Firestore URL and a cache."""
    # Not closed: connections of its own it opens beyond 90 calls at once, which no way makes.
    meter = MeteredMemory(FirestoreMemory(client, collections={"memory_items": collection}))
    plain = GuardedMemory(meter)
    store = f"firestore/{collection}"
    async with CachedMemory(plain, redis, store=store, ttl=ttl, timeout=patience) as cached:
        yield Stack(cached, plain, meter)


@asynccontextmanager
async def over_local(redis: Redis, name: str) -> AsyncIterator[Stack]:
    """The cache around local memory, which answers at once."""
    meter = MeteredMemory(LocalMemory())
    async with CachedMemory(meter, redis, store=f"local/{name}", ttl=TTL) as cached:
        yield Stack(cached, meter, meter)
