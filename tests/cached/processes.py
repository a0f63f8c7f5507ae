"""Processes that share a cache and a store, and what each may be shown.

`Judge` knows what each record has been. A version counts from when its write was acknowledged with
the cache told, or any reader was shown it and its writer had fenced the record until the commit. A
write that was acknowledged without either (`cache_invalidation="pending"`) counts in its own
process at once, and in the others as soon as its process has told Redis.

A patch does not say where its record is listed: its lists are those of the record as it was before,
so that one on an untold version is not listed elsewhere until that is told.
"""

import asyncio
import uuid
from typing import Any

from redis.asyncio import Redis

from orchestra_memory import CachedMemory, CachePolicy, LocalMemory, Receipt

from .calls import Item, Judge, Write
from .stepped import GatedMemory, GatedRedis, Gates, History, Line, SteppedLoop, Version


class World:
    """What the processes of one example share."""

    def __init__(self, loop: SteppedLoop, redis: Redis, mode: Any, window: int) -> None:
        self.loop = loop
        self.redis = redis
        self.mode = mode
        self.policies = {Item: CachePolicy(window=window)}
        self.name = uuid.uuid4().hex
        self.store = LocalMemory()
        self.history = History()
        self.gates = Gates()
        self.keys: dict[str, None] = {}
        """All keys in Redis that were used so far."""


class Process:
    """One that uses the cache, until it stops or dies."""

    def __init__(self, world: World, number: int) -> None:
        self.line = Line(number)
        self.own: set[Version] = set()
        """What it has had acknowledged."""
        self.untold: list[Version] = []
        """What it has written, and others need not see yet."""
        self._world = world
        self._ending = asyncio.Event()
        self._ready: asyncio.Future[CachedMemory] = world.loop.create_future()
        self._task: asyncio.Task[None] | None = None

    @property
    def memory(self) -> CachedMemory:
        return self._ready.result()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._live())
        await self._ready

    async def stop(self) -> None:
        self._ending.set()
        if self._task is not None:
            await self._task

    async def _live(self) -> None:
        world = self._world
        async with CachedMemory(
            GatedMemory(world.store, world.gates, self.line, world.history),
            GatedRedis(world.redis, world.loop, world.gates, self.line, world.keys),
            store=world.name,
            mode=world.mode,
            timeout=1_000,  # of a time that stands still
            policies=world.policies,
        ) as memory:
            self._ready.set_result(memory)
            await self._ending.wait()

    def judge(self) -> Judge:
        """What an answer may be to a call that begins now."""
        return Judge.now(self._world.history, self.own)

    def acknowledged(self, write: Write, receipt: Receipt) -> None:
        for key, _, _ in write.steps:
            version = self._world.history.at(key, receipt.version)
            self.own.add(version)
            if receipt.cache_invalidation == "done" or version.fenced:
                version.counts = True
            else:
                self.untold.append(version)

    def tell(self) -> None:
        """Let count what this process has told Redis by now."""
        if self.untold and not self.memory.status().pending:
            for version in self.untold:
                version.counts = True
            self.untold = []
