"""This library with its cache, doing what the caches do."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import (
    CachedMemory,
    FirestoreMemory,
    GuardedMemory,
    MemoryItem,
    MeteredMemory,
)
from orchestra_memory.layers.cached.connect import connect

from .cached_item import REDIS, TTL
from .item import dumped
from .way import Jobs, Way, flat

PACKAGES: Final = ("orchestra-memory", "redis", "hiredis")

_OPEN: Final[dict[str, asyncio.Future[CachedMemory]]] = {}
_TASKS: Final[list[asyncio.Task[None]]] = []


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> CachedMemory:
    """The layers that ``open_memory`` makes; they stay open, in a task, until the process ends."""
    del jobs, new
    if place not in _OPEN:
        _OPEN[place] = asyncio.get_running_loop().create_future()
        _TASKS.append(asyncio.create_task(_held(client, place)))
    return await _OPEN[place]


async def _held(client: AsyncClient, place: str) -> None:
    store = FirestoreMemory(client, collections={"memory_items": place})
    inner = GuardedMemory(MeteredMemory(store))
    async with (
        connect(os.environ[REDIS]) as redis,
        CachedMemory(inner, redis, store=f"peers/{place}", ttl=TTL) as memory,
    ):
        _OPEN[place].set_result(memory)
        await asyncio.Event().wait()


async def put(memory: CachedMemory, jobs: Jobs) -> Jobs:
    for record in flat(jobs):
        await memory.put(record)
    return ()


async def get(memory: CachedMemory, jobs: Jobs) -> Jobs:
    return [[await memory.get(MemoryItem, record.id) for record in flat(jobs)]]


native: Final = MemoryItem.model_validate
plain: Final = dumped
read_back: Final = get
WAYS: Final = (
    Way("put", "put", put, writes=True),
    Way("get", "get", get),
)
