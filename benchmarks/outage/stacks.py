"""What is measured: a store with the outage fallback around it, and the same store without."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import (
    FallbackMemory,
    FirestoreMemory,
    GuardedMemory,
    MemoryItem,
    MemoryManager,
    MeteredMemory,
    recent,
)
from orchestra_memory.assembly import CONFIRM
from orchestra_memory.backends.firestore.client import connect
from orchestra_memory.backends.firestore.credentials import CredentialSource
from orchestra_memory.layers.fallback.states import Hook
from orchestra_memory.resilience.breaker import Breaker, BreakerSettings
from orchestra_memory.resilience.journal import Journal, VolatileJournal

from ..ours import PAGE, present
from ..records import Job

DEADLINE: Final = 2.0
"""Seconds of a single call, as the library gives it by default."""
DEFAULTS: Final = BreakerSettings(confirm=CONFIRM)
"""The breaker that ``open_memory`` makes."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A store with the fallback, and what stands around it where there is none.

    ``guard`` is beneath the fallback, and has the breaker that belongs to it; ``plain`` has none.
    """

    plain: GuardedMemory
    guard: GuardedMemory
    memory: FallbackMemory
    breaker: Breaker


@asynccontextmanager
async def opened(
    store: MemoryManager,
    journal: Journal | VolatileJournal,
    *,
    deadline: float = DEADLINE,
    breaker: BreakerSettings = DEFAULTS,
    hooks: Iterable[Hook] = (),
) -> AsyncIterator[Stack]:
    """The layers that ``open_memory`` makes around a store, with a fallback and without one."""
    meter = MeteredMemory(store)
    closes = Breaker(breaker)
    guard = GuardedMemory(meter, timeout=deadline, breaker=closes)
    memory = FallbackMemory(guard, journal=journal, guard=guard, drain=0, hooks=hooks)
    with unlogged():
        async with memory:
            yield Stack(GuardedMemory(meter, timeout=deadline), guard, memory, closes)


def connected(project: str, address: str) -> AbstractAsyncContextManager[AsyncClient]:
    """The client that ``open_memory`` makes: how it connects again is part of what is measured."""
    return connect(project, "(default)", emulator=address, credentials=CredentialSource())


def of_firestore(client: AsyncClient, collection: str) -> FirestoreMemory:
    """One collection of the emulator."""
    # Not closed: connections of its own it opens beyond 90 calls at once, which nobody makes here.
    return FirestoreMemory(client, collections={"memory_items": collection})


@contextmanager
def unlogged() -> Iterator[None]:
    """That stores go away and come back is what is measured here, and nothing to warn of."""
    log = logging.getLogger("orchestra_memory.fallback")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


async def read_back(memory: MemoryManager, job: Sequence[MemoryItem]) -> Job:
    """What is there of these records."""
    return present(await memory.get_many(MemoryItem, [record.id for record in job]))


async def scanned(memory: MemoryManager, job: Job) -> Job:
    """The session of these records, by a query."""
    query = recent(user_id=job[0].user_id, session_id=job[0].session_id, page_size=PAGE)
    return [record async for record in memory.scan(query)]
