"""The contract, kept through the cache over each store: over Firestore, all of the usual stack."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from orchestra_memory import (
    CachedMemory,
    GuardedMemory,
    LocalMemory,
    MemoryManager,
    SqliteMemory,
)
from orchestra_memory.testing.contract import MemoryContract


@pytest.fixture
async def cached(redis) -> AsyncIterator[Callable]:
    """Puts a cache around a memory; all of one test share their entries, and no others'."""
    store = uuid4().hex
    async with AsyncExitStack() as stack:

        async def around(inner: MemoryManager) -> CachedMemory:
            return await stack.enter_async_context(CachedMemory(inner, redis, store=store))

        yield around


class TestCachedLocal(MemoryContract):
    @pytest.fixture
    def inner(self, use_backend) -> LocalMemory:
        use_backend("local")
        return LocalMemory()

    @pytest.fixture
    async def memory(self, cached, inner) -> CachedMemory:
        return await cached(inner)

    @pytest.fixture
    async def another(self, cached, inner, memory) -> CachedMemory:
        return await cached(inner)


class TestCachedSqlite(MemoryContract):
    @pytest.fixture
    async def memory(self, cached, use_backend, database) -> AsyncIterator[CachedMemory]:
        use_backend("sqlite")
        async with SqliteMemory.open(database) as inner:
            yield await cached(inner)

    @pytest.fixture
    async def another(self, cached, memory, database) -> AsyncIterator[CachedMemory]:
        async with SqliteMemory.open(database) as inner:
            yield await cached(inner)


class TestCachedFirestore(MemoryContract):
    shows_commits_whole = False

    @pytest.fixture
    async def memory(self, cached, open_firestore) -> CachedMemory:
        return await cached(GuardedMemory(open_firestore()))

    @pytest.fixture
    async def another(self, cached, open_firestore, memory) -> CachedMemory:
        return await cached(GuardedMemory(open_firestore()))
