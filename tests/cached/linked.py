"""Links to real servers, and what a test has to do with these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager

import anyio
from redis.asyncio import Redis

from orchestra_memory import MemoryItem, Ref
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.keys import Keyspace
from orchestra_memory.layers.cached.link import Link, RecordReply
from orchestra_memory.layers.cached.scripts import Filling
from orchestra_memory.layers.cached.steps import Leased, RecordFill
from orchestra_memory.testing import faults
from orchestra_memory.testing.redis_server import RedisServer

PATIENT = 5.0
"""Seconds that no working server needs, however busy the machine."""
SHORT = 0.2
"""Seconds for a call that is to fail."""
KEYS = Keyspace("project/database")


@asynccontextmanager
async def linked(url: str, *, within: float = PATIENT) -> AsyncIterator[Link]:
    """A link whose first attempt to connect is over."""
    async with connect(url, patience=within) as redis, anyio.create_task_group() as tasks:
        link = Link(redis, KEYS, timeout=within)
        tasks.start_soon(link.heal)
        await link.connected()
        yield link
        tasks.cancel_scope.cancel()


def stopped(server: RedisServer) -> AbstractContextManager[None]:
    """The server hangs: its connections stay, and nothing is answered."""
    assert server.pid is not None
    return faults.stopped(server.pid)


@asynccontextmanager
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as redis:
        yield redis


async def scripts_run(redis: Redis) -> int:
    """How often the server was asked for a step of the protocol."""
    stats = await redis.info("commandstats")
    return stats.get("cmdstat_evalsha", {}).get("calls", 0)


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    """Wait until it is so; a generous bound, met early where all is well."""
    with anyio.fail_after(seconds):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)


async def used_again(link: Link) -> None:
    await eventually(lambda: not link.bypassed)


def ref(key: str = "a", namespace: str | None = None) -> Ref[MemoryItem]:
    return Ref(MemoryItem, key, namespace)


async def read(link: Link, key: str = "a") -> RecordReply:
    (reply,) = await link.read([ref(key)])
    return reply


async def lease(link: Link, key: str = "a") -> str:
    reply = await read(link, key)
    assert isinstance(reply, Leased)
    return reply.token


async def fill(link: Link, key: str = "a", version: int = 5) -> None:
    """Put an entry in the cache as a reader does."""
    token = await lease(link, key)
    await link.fill([RecordFill(ref(key), token, Filling(version, key.encode(), 600_000))])


async def key_of(redis: Redis, key: str = "a") -> str:
    epoch = await redis.get(KEYS.epoch_key(None))
    return KEYS.key(ref(key), epoch.decode())
