"""The stack that a worker writes through, from the store to the fallback."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeAlias

from orchestra_memory import CachedMemory, FirestoreMemory, GuardedMemory, MemoryManager
from orchestra_memory.backends.firestore.client import connect as connect_firestore
from orchestra_memory.backends.firestore.credentials import CredentialSource
from orchestra_memory.layers.cached.connect import connect as connect_redis
from orchestra_memory.resilience.journal import Journal
from orchestra_memory.values import utc_now

from .job import Job
from .naive import NaiveFallback
from .remote import RemoteMemory

Status: TypeAlias = Callable[[], tuple[int, str]]

NAIVE = "naive"
LIFE = 30.0
"""Seconds an entry of the cache lives."""


@asynccontextmanager
async def opened_store(store: str, host: str, port: int) -> AsyncIterator[MemoryManager]:
    """The store at this address, without anything around it."""
    if store == "sqlite":
        remote = RemoteMemory(host, port)
        yield remote
        await remote.aclose()
        return
    emulator = f"{host}:{port}"
    source = CredentialSource()
    async with connect_firestore(
        store, "(default)", emulator=emulator, credentials=source
    ) as client:
        memory = FirestoreMemory(client)
        yield memory
        await memory.aclose()


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[tuple[MemoryManager, Status]]:
    """The whole stack, and a function that tells how many writes wait, and how it fares."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(job.store, job.host, job.port))
        if job.mode == NAIVE:
            naive = NaiveFallback(GuardedMemory(store, timeout=job.timeout))
            yield await stack.enter_async_context(naive), lambda: (naive.waiting, "")
            return
        yield await _protected(store, job, stack)


async def _protected(
    store: MemoryManager, job: Job, stack: AsyncExitStack
) -> tuple[MemoryManager, Status]:
    from orchestra_memory import Breaker, FallbackMemory

    guarded = GuardedMemory(store, timeout=job.timeout, breaker=Breaker())
    redis = await stack.enter_async_context(connect_redis(job.redis))
    cached = CachedMemory(guarded, redis, store=job.target, ttl=LIFE)
    primary = await stack.enter_async_context(cached)
    journal = await stack.enter_async_context(
        Journal.open(job.journal, target=job.target, medium="persistent", clock=clock_of(job))
    )
    memory = FallbackMemory(primary, journal=journal, guard=guarded, drain=job.drain)
    yielded = await stack.enter_async_context(memory)
    return yielded, lambda: (journal.status().entries, memory.status().state.value)


def clock_of(job: Job) -> Callable[[], datetime]:
    """A clock that is off, and is set anew while it runs."""
    began = time.monotonic()

    def now() -> datetime:
        runs = time.monotonic() - began
        off = job.jump if job.jump_after and runs >= job.jump_after else job.clock
        return utc_now() + timedelta(seconds=off)

    return now
